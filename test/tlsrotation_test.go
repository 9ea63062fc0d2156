package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const rotating = `
listeners:
  - name: secure
    address: "{{listen "secure"}}"
    http3: true
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}]}
`

// rotations is how often the certificate is replaced.
const rotations = 50

// TestFiftyCertificates: a certificate is replaced fifty times while requests go on: by
// HTTP/1.1 and HTTP/3 with a connection for each, by HTTP/2 and HTTP/3 on one. None fails,
// the connection of HTTP/2 stays, and each certificate is served. (That of HTTP/3 stays over
// a few of them: TestHTTP3Certificates.)
func TestFiftyCertificates(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.server("first", "api.example.com")
	g := start(t, setup{config: rotating, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}, env: []string{"GATEWRIGHT_CERTIFICATE_POLL=20ms"}})
	url := g.secureURL("secure", "/app")
	one := p.client("api.example.com", false)
	one.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	two := p.client("api.example.com", true)
	connections := countDials(two)
	three := p.threeClient("api.example.com")
	load := []*loadKind{
		{name: "HTTP/1.1, each on its own connection", protocol: "HTTP/1.1", client: func() (*http.Client, func()) { return one, func() {} }},
		{name: "HTTP/2, on one", protocol: "HTTP/2.0", client: func() (*http.Client, func()) { return two, func() {} }},
		{name: "HTTP/3, on one", protocol: "HTTP/3.0", client: func() (*http.Client, func()) { return three, func() {} }},
		{name: "HTTP/3, each on its own connection", protocol: "HTTP/3.0", client: func() (*http.Client, func()) { return p.threeOnce("api.example.com") }},
	}
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for _, k := range load {
		workers.Go(func() { k.run(t, url, stop) })
	}
	for i := range rotations {
		p.server("first", "api.example.com")
		want, err := tls.LoadX509KeyPair(p.path("first.crt"), p.path("first.key"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("certificate %d is served", i), func() error {
			state, err := g.dialed("secure", &tls.Config{ServerName: "api.example.com", RootCAs: p.ca.Pool()})
			if err == nil && serialOf(&state) != want.Leaf.SerialNumber.String() {
				err = errors.New("the one before it is")
			}
			return err
		})
	}
	close(stop)
	workers.Wait()
	for _, k := range load {
		t.Logf("%s: %d requests", k.name, k.requests.Load())
		if k.requests.Load() < rotations {
			t.Errorf("%s: only %d requests went on meanwhile", k.name, k.requests.Load())
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("HTTP/2 has taken %d connections", n)
	}
	g.hasMetric(fmt.Sprintf(`gatewright_tls_reloads_total{result="applied"} %d`, rotations+1))
}

// loadKind are requests of a kind, one after the other.
type loadKind struct {
	name, protocol string
	// client is whom a request is made by, and what ends its connections.
	client   func() (*http.Client, func())
	requests atomic.Int64
}

// run sends requests until it is told to stop.
func (k *loadKind) run(t *testing.T, url string, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond): // others of this machine want to live, too
		}
		client, done := k.client()
		err := k.ask(client, url)
		done()
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			return
		}
		k.requests.Add(1)
	}
}

func (k *loadKind) ask(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Proto != k.protocol {
		return fmt.Errorf("%s by %s", resp.Status, resp.Proto)
	}
	return nil
}

// countDials counts the connections of a client.
func countDials(c *http.Client) *atomic.Int64 {
	var n atomic.Int64
	dial := new(net.Dialer).DialContext
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
	return &n
}
