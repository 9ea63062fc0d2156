package test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const threeBehindProxies = `
listeners:
  - name: secure
    address: "{{listen "secure"}}"
    http3: true
    trustedProxies: [127.0.0.8/29]
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}]}
`

// from has a client of HTTP/3 connect from an address of this machine, and counts its
// connections.
func from(t *testing.T, c *http.Client, address string) *atomic.Int64 {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	t.Cleanup(func() { transport.Close(); socket.Close() })
	var n atomic.Int64
	c.Transport.(*http3.Transport).Dial = func(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
		to, err := net.ResolveUDPAddr("udp4", addr)
		if err != nil {
			return nil, err
		}
		n.Add(1)
		return transport.DialEarly(ctx, to, t, q)
	}
	return &n
}

// TestGenerationsBehindProxies: connections stay while a certificate is replaced, and those
// after it are still told apart by who they come from.
func TestGenerationsBehindProxies(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.server("first", "api.example.com")
	g := start(t, setup{config: threeBehindProxies, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}, env: []string{"GATEWRIGHT_CERTIFICATE_POLL=20ms"}})
	url, speaks := g.secureURL("secure", "/app"), header{"X-Forwarded-For", "198.51.100.7"}
	believed := map[string]string{"127.0.0.9": "198.51.100.7", "127.0.0.66": "127.0.0.66"}
	kept, connections := map[string]*http.Client{}, map[string]*atomic.Int64{}
	for address := range believed {
		kept[address] = p.threeClient("api.example.com")
		connections[address] = from(t, kept[address], address)
	}
	asks := func(c *http.Client, address string) (serial string) {
		t.Helper()
		r, state, err := askedBy(c, url, speaks)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.ok(t).echo(t).header("X-Envoy-External-Address"); got != believed[address] {
			t.Errorf("a connection from %s is one of %s, want %s", address, got, believed[address])
		}
		return serialOf(state)
	}
	for i := range 3 {
		if i > 0 {
			p.server("first", "api.example.com")
		}
		want, err := tls.LoadX509KeyPair(p.path("first.crt"), p.path("first.key"))
		if err != nil {
			t.Fatal(err)
		}
		for address := range believed {
			eventually(t, "the new certificate is served", func() error {
				fresh, done := p.threeOnce("api.example.com")
				defer done()
				from(t, fresh, address)
				if got := asks(fresh, address); got != want.Leaf.SerialNumber.String() {
					return errors.New("the one before it is")
				}
				return nil
			})
			asks(kept[address], address)
		}
	}
	for address, n := range connections {
		if n.Load() != 1 {
			t.Errorf("the client at %s has taken %d connections", address, n.Load())
		}
	}
}
