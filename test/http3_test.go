package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/gatewright/gatewright/internal/testenv"
)

const threefold = `
listeners:
  - name: secure
    address: "{{listen "secure"}}"
    http3: true
    tls:
      certificates:
        - {cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}
        - {cert: {{.certs}}/shop.crt, key: {{.certs}}/shop.key}
      hsts: {}
  - name: partners
    address: "{{listen "partners"}}"
    http3: true
    http3Port: 443
    tls:
      certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]
      clientCA: {{.certs}}/clients.pem
      clientCertificate: required
backends:
  app: {endpoints: ["{{.app}}"]}
  hashed: {endpoints: ["{{.hashed}}"]}
auth:
  apiKey: {keys: {forward: {owner: X-User-ID}}}
  clientCertificate:
    partners: {dnsNames: ["*.partners.example.com"], forward: {user: X-Partner}}
limits:
  per-ip: {key: [clientIP], tokenBucket: {capacity: 2, refill: 1/h}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}]}
  - {name: body, match: {path: /body}, auth: public, to: [{backend: hashed}]}
  - {name: kept, match: {path: /kept}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: limited, match: {path: /limited}, auth: public, limits: [per-ip], to: [{backend: app}]}
  - {name: partners, match: {path: /partners}, auth: {anyOf: [{clientCertificate: partners}]}, to: [{backend: app}]}
`

// threeClient speaks HTTP/3 and nothing else.
func (p *pems) threeClient(serverName string, certificates ...tls.Certificate) *http.Client {
	client, done := p.threeOnce(serverName, certificates...)
	p.t.Cleanup(done)
	return client
}

// threeOnce is such a client, and what ends its connections.
func (p *pems) threeOnce(serverName string, certificates ...tls.Certificate) (*http.Client, func()) {
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: p.ca.Pool(), ServerName: serverName, Certificates: certificates},
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: 20 * time.Second},
	}
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, func() { transport.Close() }
}

// hashing is a backend that answers with twice the bytes that it gets, and with their
// hash before.
func hashing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gateway has cut the request off
		}
		sum := sha256.Sum256(body)
		w.Header().Set("X-Sum", hex.EncodeToString(sum[:]))
		_, _ = w.Write(append(body, body...)) // the client may be gone
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func startThreefold(t *testing.T) (*gateway, *pems, *testenv.CA) {
	t.Helper()
	p, clients := newPEMs(t), testenv.NewCA(t)
	p.server("first", "api.example.com")
	p.server("shop", "shop.example.org")
	p.write("clients.pem", clients.PEM)
	g := start(t, setup{config: threefold, values: map[string]string{"app": backend(t, "app").Addr(), "hashed": hashing(t), "certs": p.folder}})
	return g, p, clients
}

// TestHTTP3: by UDP at the address of the listener, with the same certificates, judge,
// limits, routes, headers and log.
func TestHTTP3(t *testing.T) {
	t.Parallel()
	g, p, clients := startThreefold(t)
	client := p.threeClient("api.example.com")
	forged := []header{{"X-User-ID", "root"}, {"X-Forwarded-For", "198.51.100.1"}, {"X-Envoy-External-Address", "198.51.100.1"}, {"X-Forwarded-Client-Cert", "Hash=0"}}
	r := mustAsk(t, client, g.secureURL("secure", "/app/3?a=b"), append(forged, header{"Host", "api.example.com"})...).ok(t)
	e := r.echo(t)
	if e.header("X-Forwarded-Proto") != "https" || e.header("X-Envoy-External-Address") != "127.0.0.1" || strings.Contains(e.header("X-Forwarded-For"), "198.51.100.1") || e.header("X-User-ID") != "" || e.header("X-Forwarded-Client-Cert") != "" || e.Query != "a=b" {
		t.Errorf("the backend sees %+v", e)
	}
	if r.Header.Get("Strict-Transport-Security") == "" {
		t.Error("HSTS is missing")
	}
	line := g.logged("/app/3")
	if line["protocol"] != "HTTP/3" || line["client_ip"] != "127.0.0.1" || line["listener"] != nil && line["listener"] != "secure" {
		t.Errorf("the log says %v", line)
	}
	// TCP's answers, and they alone where there is one, tell where HTTP/3 is.
	_, port, _ := strings.Cut(g.listeners["secure"], ":")
	for path, status := range map[string]int{"/app/1": 200, "/nobody": 404, "/kept": 401} {
		r := mustAsk(t, p.client("api.example.com", true), g.secureURL("secure", path), header{"Host", "api.example.com"})
		if got, want := r.Header.Get("Alt-Svc"), `h3=":`+port+`"; ma=86400`; got != want || r.Status != status {
			t.Errorf("%s: %d tells of %q, want %q", path, r.Status, got, want)
		}
	}
	asked := func(path string, c *http.Client) reply {
		t.Helper()
		return mustAsk(t, c, g.secureURL("secure", path), header{"Host", "api.example.com"})
	}
	asked("/kept", client).denied(t, 401, "credential-missing")
	asked("/nobody", client).denied(t, 404, "route-not-found")
	asked("/limited", client).ok(t)
	asked("/limited", p.client("api.example.com", true)).ok(t) // one bucket for both
	asked("/limited", client).denied(t, 429, "rate-limited")
	shop := p.threeClient("shop.example.org")
	mustAsk(t, shop, g.secureURL("secure", "/app/shop"), header{"Host", "shop.example.org"}).ok(t)
	mustAsk(t, shop, g.secureURL("secure", "/app/shop"), header{"Host", "api.example.com"}).denied(t, 421, "misdirected-request")

	// Client certificates are asked for and verified as by TCP.
	partner := clients.Pair(partnerA)
	r = mustAsk(t, p.threeClient("api.example.com", partner), g.secureURL("partners", "/partners")).ok(t)
	if got := r.echo(t).header("X-Partner"); got != "a.partners.example.com" {
		t.Errorf("the backend sees the partner %q", got)
	}
	if got := mustAsk(t, p.client("api.example.com", true, partner), g.secureURL("partners", "/app/1")).Header.Get("Alt-Svc"); got != `h3=":443"; ma=86400` {
		t.Errorf("the port that is told is %q", got)
	}
	stranger, expired := testenv.NewCA(t).Pair(partnerA), partnerA
	expired.NotAfter = time.Now().Add(-time.Minute)
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "a stranger's": {stranger}, "expired": {clients.Pair(expired)}} {
		if r, _, err := askedBy(p.threeClient("api.example.com", certificates...), g.secureURL("partners", "/app/1")); err == nil {
			t.Errorf("%s: it is answered with %d", name, r.Status)
		}
	}
}

// TestHTTP3Bodies: of some size, both ways, and on several streams at once.
func TestHTTP3Bodies(t *testing.T) {
	t.Parallel()
	g, p, _ := startThreefold(t)
	client := p.threeClient("api.example.com")
	body := make([]byte, 1<<20)
	_, _ = rand.Read(body) // it does not fail
	sum := sha256.Sum256(body)
	answers := make(chan error, 4)
	for range cap(answers) {
		go func() {
			req, err := http.NewRequest(http.MethodPost, g.secureURL("secure", "/body"), bytes.NewReader(body))
			if err != nil {
				answers <- err
				return
			}
			req.Host = "api.example.com"
			resp, err := client.Do(req)
			if err != nil {
				answers <- err
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err == nil && (resp.StatusCode != 200 || resp.Header.Get("X-Sum") != hex.EncodeToString(sum[:]) || !bytes.Equal(got, append(bytes.Clone(body), body...))) {
				err = fmt.Errorf("status %d, %d bytes, sum %s", resp.StatusCode, len(got), resp.Header.Get("X-Sum"))
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// TestHTTP3TakesNoEarlyData: a request that comes with the first bytes of a resumed
// connection could be sent again by whoever has heard it.
func TestHTTP3TakesNoEarlyData(t *testing.T) {
	t.Parallel()
	g, p, _ := startThreefold(t)
	config := &tls.Config{RootCAs: p.ca.Pool(), ServerName: "api.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(4), NextProtos: []string{"h3"}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	transport := &http3.Transport{TLSClientConfig: config}
	t.Cleanup(func() { transport.Close() })
	mustAsk(t, &http.Client{Transport: transport, Timeout: 20 * time.Second}, g.secureURL("secure", "/app/1"), header{"Host", "api.example.com"}).ok(t)
	transport.CloseIdleConnections()
	for range 3 {
		conn, err := quic.DialAddrEarly(ctx, g.listeners["secure"], config, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-conn.HandshakeComplete():
		case <-ctx.Done():
			t.Fatal("the handshake does not end")
		}
		if conn.ConnectionState().Used0RTT {
			t.Error("early data is taken")
		}
		if err := conn.CloseWithError(0, ""); err != nil {
			t.Error(err)
		}
	}
}

// TestHTTP3Certificates: a new certificate is served by UDP as by TCP, and connections
// that are open go on; a change of the listener does not end them either.
func TestHTTP3Certificates(t *testing.T) {
	t.Parallel()
	g, p, _ := startThreefold(t)
	host := header{"Host", "api.example.com"}
	kept, url := p.threeClient("api.example.com"), g.secureURL("secure", "/app/1")
	mustAsk(t, kept, url, host).ok(t)
	p.server("first", "api.example.com")
	want, err := tls.LoadX509KeyPair(p.path("first.crt"), p.path("first.key"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is served", func() error {
		_, state, err := askedBy(p.threeClient("api.example.com"), url, host)
		if err == nil && serialOf(state) != want.Leaf.SerialNumber.String() {
			err = errors.New("the one before it is")
		}
		return err
	})
	mustAsk(t, kept, url, host).ok(t)
	// It goes as it came.
	g.write(strings.ReplaceAll(strings.Replace(threefold, "    http3Port: 443\n", "", 1), "    http3: true\n", ""))
	eventually(t, "nothing tells of HTTP/3", func() error {
		if got := mustAsk(t, p.client("api.example.com", false), url, host).Header.Get("Alt-Svc"); got != "" {
			return errors.New(got)
		}
		return nil
	})
	mustAsk(t, p.client("api.example.com", false), url, host).ok(t)
}
