package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// proxied is a backend that takes connections with a header of the PROXY protocol
// alone, and answers with whom the header of a request's connection has named.
type proxied struct {
	*httptest.Server
	// broken are connections that began with something else, and probes the requests
	// for its health.
	broken, probes atomic.Int64
}

// headed is a connection that begins with a header, which is read with its first byte.
type headed struct {
	net.Conn
	rest  *bufio.Reader
	once  sync.Once
	whom  string
	fault error
}

func (c *headed) Read(b []byte) (int, error) {
	c.once.Do(func() { c.whom, c.fault = readHeader(c.rest) })
	if c.fault != nil {
		return 0, c.fault
	}
	return c.rest.Read(b)
}

// headedListener makes such connections of all.
type headedListener struct{ net.Listener }

func (l headedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &headed{Conn: conn, rest: bufio.NewReader(conn)}, nil
}

// errHeader is a connection that begins with something else.
var errHeader = errors.New("no header")

// readHeader is whom a header names: the version, source and destination.
func readHeader(r *bufio.Reader) (string, error) {
	start, err := r.Peek(6)
	if err != nil {
		return "", err
	}
	if string(start) == "PROXY " {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasSuffix(line, "\r\n") {
			return "", fmt.Errorf("%w: %q", errHeader, line)
		}
		if len(fields) < 6 {
			return "v1 " + fields[1], nil
		}
		return fmt.Sprintf("v1 %s:%s %s:%s", fields[2], fields[4], fields[3], fields[5]), nil
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	if string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" {
		return "", fmt.Errorf("%w: %q", errHeader, head)
	}
	block := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(r, block); err != nil {
		return "", err
	}
	if head[12] == 0x20 {
		return "v2 LOCAL", nil
	}
	if head[12] != 0x21 || head[13] != 0x11 || len(block) < 12 {
		return "", fmt.Errorf("%w: %q %q", errHeader, head, block)
	}
	at := func(ip, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(block[ip:ip+4])), binary.BigEndian.Uint16(block[port:]))
	}
	return fmt.Sprintf("v2 %s %s", at(0, 8), at(4, 10)), nil
}

// ofConnection is the key of the connection that a request came over.
type ofConnection struct{}

// startProxied starts one; secured makes TLS of what is behind the header, nil leaves it
// plain.
func startProxied(t *testing.T, secured *tls.Config) *proxied {
	t.Helper()
	b := &proxied{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			b.probes.Add(1)
			return
		}
		fmt.Fprint(w, r.Context().Value(ofConnection{}).(*headed).whom)
	}))
	b.Listener = headedListener{b.Listener}
	b.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if inner, ok := c.(*tls.Conn); ok {
			c = inner.NetConn()
		}
		return context.WithValue(ctx, ofConnection{}, c)
	}
	b.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if inner, ok := c.(*tls.Conn); ok {
			c = inner.NetConn()
		}
		// That a connection ends before its header is there is no fault.
		if h := c.(*headed); state == http.StateClosed && errors.Is(h.fault, errHeader) {
			b.broken.Add(1)
		}
	}
	if secured != nil {
		b.TLS = secured
		b.StartTLS()
	} else {
		b.Start()
	}
	t.Cleanup(b.Close)
	return b
}

const toProxied = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: behind, address: "{{listen "behind"}}", proxyProtocol: {from: [127.0.0.0/8]}}
backends:
  text: {endpoints: ["{{.text}}"], proxyProtocol: v1, healthCheck: &probe {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}, panicThreshold: 0}
  bytes: {endpoints: ["{{.bytes}}"], proxyProtocol: v2, healthCheck: *probe, panicThreshold: 0}
  secure: {endpoints: ["{{.secure}}"], proxyProtocol: v2, tls: {ca: "{{.certs}}/ca.pem", serverName: app.internal}, healthCheck: *probe, panicThreshold: 0}
routes:
  - {name: text, match: {path: /text}, auth: public, to: [{backend: text}]}
  - {name: bytes, match: {path: /bytes}, auth: public, to: [{backend: bytes}]}
  - {name: secure, match: {path: /secure}, auth: public, to: [{backend: secure}]}
`

// withoutSecure is the same without the backend that has TLS.
var withoutSecure = regexp.MustCompile(`(?m)^.*secure.*\n`).ReplaceAllString(toProxied, "")

// TestProxyProtocolToBackends: each connection to a backend begins with whom it is for,
// in front of TLS where there is any; two clients never share one; probes have it, too.
func TestProxyProtocolToBackends(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.write("ca.pem", p.ca.PEM)
	var certificate atomic.Pointer[tls.Certificate]
	var shown atomic.Int64 // of certificates after the first
	first := p.ca.Pair(testenv.Leaf{DNS: []string{"app.internal"}})
	certificate.Store(&first)
	text, bytes := startProxied(t, nil), startProxied(t, nil)
	secure := startProxied(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		now := certificate.Load()
		if now != &first {
			shown.Add(1)
		}
		return now, nil
	}})
	g := start(t, setup{config: toProxied, values: map[string]string{
		"text": text.Listener.Addr().String(), "bytes": bytes.Listener.Addr().String(), "secure": secure.Listener.Addr().String(), "certs": p.folder,
	}})
	ask := func(conn net.Conn, path string) string {
		t.Helper()
		r, err := spoken(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		return r.ok(t).Body
	}
	for path, version := range map[string]string{"/text": "v1", "/bytes": "v2", "/secure": "v2"} {
		eventually(t, "the endpoint is well", func() error {
			if r := get(t, g.url("public", path)); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
		for range 3 {
			conn := connectFrom(t, "127.0.0.21", g.listeners["public"])
			want := fmt.Sprintf("%s %s %s", version, conn.LocalAddr(), g.listeners["public"])
			for range 2 { // on one connection of the client's, and one to the backend
				if got := ask(conn, path); got != want {
					t.Errorf("%s: the backend is told of %q, want %q", path, got, want)
				}
			}
			conn.Close()
		}
		// Whom a load balancer names is whom the backend is told of.
		conn := connectFrom(t, "127.0.0.22", g.listeners["behind"])
		if _, err := io.WriteString(conn, "PROXY TCP4 198.51.100.7 127.0.0.1 4660 8080\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, want := ask(conn, path), version+" 198.51.100.7:4660 127.0.0.1:8080"; got != want {
			t.Errorf("%s behind a load balancer: the backend is told of %q, want %q", path, got, want)
		}
	}
	t.Run("an authority that is replaced, and a backend that goes", func(t *testing.T) {
		next := testenv.NewCA(t)
		p.write("ca.pem", next.PEM)
		certificate.Store(new(next.Pair(testenv.Leaf{DNS: []string{"app.internal"}})))
		eventually(t, "the new authority is believed", func() error {
			secure.CloseClientConnections()
			r := get(t, g.url("public", "/secure"))
			if r.Status != http.StatusOK || shown.Load() == 0 {
				return errStatus(r)
			}
			return nil
		})
		g.values["bytes"] = text.Listener.Addr().String()
		g.write(withoutSecure)
		eventually(t, "the backend is gone", func() error {
			if r := get(t, g.url("public", "/secure")); r.Status != http.StatusNotFound {
				return errStatus(r)
			}
			return nil
		})
		get(t, g.url("public", "/text")).ok(t)
	})
	for name, b := range map[string]*proxied{"text": text, "bytes": bytes, "secure": secure} {
		if b.broken.Load() > 0 || b.probes.Load() == 0 {
			t.Errorf("%s: %d connections began without a header, %d probes", name, b.broken.Load(), b.probes.Load())
		}
	}
}
