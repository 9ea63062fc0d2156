package test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const strong = `
listeners:
  - name: ecdsa
    address: "{{listen "ecdsa"}}"
    tls: {certificates: [{cert: {{.certs}}/ecdsa.crt, key: {{.certs}}/ecdsa.key}]}
  - name: rsa
    address: "{{listen "rsa"}}"
    tls: {certificates: [{cert: {{.certs}}/rsa.crt, key: {{.certs}}/rsa.key}]}
  - name: chosen
    address: "{{listen "chosen"}}"
    tls:
      certificates: [{cert: {{.certs}}/ecdsa.crt, key: {{.certs}}/ecdsa.key}]
      cipherSuites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
      curves: [P-384]
      sessionTickets: false
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}]}
`

func startStrong(t *testing.T) (*gateway, *pems) {
	t.Helper()
	p := newPEMs(t)
	p.server("ecdsa", "api.example.com")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.ca.IssueFiles(testenv.Leaf{DNS: []string{"api.example.com"}, Key: key}, p.path("rsa.crt"), p.path("rsa.key"))
	return start(t, setup{config: strong, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}}), p
}

// goodSuites are those of TLS 1.2 that a listener of each kind of key takes.
var goodSuites = map[string][]uint16{
	"ecdsa": {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	"rsa":   {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
}

// Alerts of TLS (RFC 8446, section 6).
const (
	alertProtocolVersion       = 70
	alertInappropriateFallback = 86
)

// TestDefaultListenerIsStrong offers a listener without settings everything that there
// is, as testssl.sh does: old versions, each of the 65536 suites, weak signatures and
// groups, compression, heartbeats, a fallback.
func TestDefaultListenerIsStrong(t *testing.T) {
	t.Parallel()
	g, _ := startStrong(t)
	for listener, good := range goodSuites {
		addr := g.listeners[listener]
		says := func(what string, p probe) serverHello {
			t.Helper()
			if p.version == 0 {
				p.version = tls.VersionTLS12
			}
			if p.suites == nil {
				p.suites = good
			}
			h, err := p.answer(addr)
			if err != nil {
				t.Fatalf("%s, %s: %v", listener, what, err)
			}
			return h
		}
		refuses := func(what string, p probe) byte {
			t.Helper()
			h := says(what, p)
			if h.alert == 0 {
				t.Errorf("%s takes %s: version %x, suite %04x", listener, what, h.version, h.suite)
			}
			return h.alert
		}
		for _, suite := range good {
			if h := says("a good suite", probe{suites: []uint16{suite}}); h.suite != suite || h.version != tls.VersionTLS12 || h.compression != 0 {
				t.Errorf("%s: of %04x it makes alert %d, %04x, version %x", listener, suite, h.alert, h.suite, h.version)
			}
		}
		// Each suite but the good ones, a thousand in a hello.
		var others []uint16
		for n := range 1 << 16 {
			if suite := uint16(n); !slices.Contains(good, suite) && suite != tls.TLS_FALLBACK_SCSV {
				others = append(others, suite)
			}
		}
		for part := range slices.Chunk(others, 1000) {
			refuses(fmt.Sprintf("one of %04x to %04x", part[0], part[len(part)-1]), probe{suites: part})
		}
		for version, name := range map[uint16]string{0x0300: "SSL 3", tls.VersionTLS10: "TLS 1.0", tls.VersionTLS11: "TLS 1.1"} {
			if alert := refuses(name, probe{version: version, suites: append(slices.Clone(good), 0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035, 0x000a)}); alert != alertProtocolVersion {
				t.Errorf("%s: to %s it says alert %d", listener, name, alert)
			}
			refuses(name+" by its extension", probe{versions: []uint16{version}})
		}
		if typ, record, err := sent(addr, oldHello()); err != nil || typ != recordAlert {
			t.Errorf("%s: to SSL 2 it answers %d, %x, %v", listener, typ, record, err)
		}
		refuses("signatures by SHA-1", probe{signatures: []uint16{0x0203, 0x0201}})
		refuses("weak groups", probe{groups: []uint16{0x0013, 0x0015, 0x0016}}) // P-192, P-224, secp256k1
		refuses("nothing but compression", probe{compression: []byte{1}})
		if alert := refuses("a fallback", probe{suites: append(slices.Clone(good), tls.TLS_FALLBACK_SCSV)}); alert != alertInappropriateFallback {
			t.Errorf("%s: to a fallback it says alert %d", listener, alert)
		}
		h := says("what is good", probe{compression: []byte{1, 0}})
		_, beats := h.extensions[15]
		_, extended := h.extensions[23]
		if h.alert != 0 || h.compression != 0 || beats || !extended || !bytes.Equal(h.extensions[0xff01], []byte{0}) {
			t.Errorf("%s answers %+v", listener, h)
		}
	}
}

// TestHandshakes: what is agreed on with clients of today, by default and by choice.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	g, p := startStrong(t)
	open := func(listener string, c *tls.Config) (tls.ConnectionState, error) {
		c.ServerName, c.RootCAs = "api.example.com", p.ca.Pool()
		return g.dialed(listener, c)
	}
	for _, c := range []struct {
		name, listener string
		config         *tls.Config
		taken          bool
	}{
		{"hybrid", "ecdsa", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}, true},
		{"X25519", "rsa", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, true},
		{"P-256", "ecdsa", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, true},
		{"P-521", "ecdsa", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, false},
		{"the chosen group", "chosen", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, true},
		{"another group", "chosen", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.X25519MLKEM768}}, false},
		{"the chosen suite", "chosen", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, true},
		{"another suite", "chosen", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, false},
	} {
		if _, err := open(c.listener, c.config); (err == nil) != c.taken {
			t.Errorf("%s at %s: %v", c.name, c.listener, err)
		}
	}
	for _, c := range []struct {
		offered []string
		want    string
	}{{[]string{"h2", "http/1.1"}, "h2"}, {[]string{"http/1.1", "h2"}, "h2"}, {[]string{"http/1.1"}, "http/1.1"}} {
		if state, err := open("ecdsa", &tls.Config{NextProtos: c.offered}); err != nil || state.NegotiatedProtocol != c.want {
			t.Errorf("of %v it chooses %q, %v", c.offered, state.NegotiatedProtocol, err)
		}
	}
	if state, err := open("ecdsa", &tls.Config{}); err != nil || state.CurveID != tls.X25519MLKEM768 || state.Version != tls.VersionTLS13 {
		t.Errorf("with a client of today it agrees on %v, version %x, %v", state.CurveID, state.Version, err)
	}
	for listener, want := range map[string]bool{"ecdsa": true, "chosen": false} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := p.client("api.example.com", false)
			transport := client.Transport.(*http.Transport)
			transport.TLSClientConfig.ClientSessionCache, transport.TLSClientConfig.MaxVersion = tls.NewLRUClientSessionCache(4), version
			mustAsk(t, client, g.secureURL(listener, "/1"))
			_, state, err := askedBy(client, g.secureURL(listener, "/2"))
			if err != nil || state.DidResume != want {
				t.Errorf("%s, version %x: resumed %t, want %t; %v", listener, version, err == nil && state.DidResume, want, err)
			}
		}
	}
}

// TestNoRenegotiation: a client that begins another handshake on its connection is cut
// off (CVE-2009-3555, and a flood of handshakes at the price of one connection).
func TestNoRenegotiation(t *testing.T) {
	t.Parallel()
	g, _ := startStrong(t)
	conn, tap, log := overTap(t, g.listeners["ecdsa"])
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	again := probe{version: tls.VersionTLS12, suites: goodSuites["ecdsa"]}
	if _, err := tap.Conn.Write(sealed(t, log.String(), tap, recordHandshake, again.message())); err != nil {
		t.Fatal(err)
	}
	for {
		typ, _, err := readRecord(tap.Conn)
		if err != nil || typ == recordHandshake {
			t.Fatalf("it answers with a record of type %d, %v", typ, err)
		}
		if typ == recordAlert {
			break
		}
	}
	// What is sealed in the same way and is no handshake is read: the probe is a good
	// one.
	conn, tap, log = overTap(t, g.listeners["ecdsa"])
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	request := []byte("GET /1 HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n")
	if _, err := tap.Conn.Write(sealed(t, log.String(), tap, 23, request)); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 12)
	if _, err := conn.Read(first); err != nil || string(first) != "HTTP/1.1 200" {
		t.Errorf("it answers %q, %v", first, err)
	}
}
