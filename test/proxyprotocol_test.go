package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const balanced = `
listeners:
  - {name: plain, address: "{{listen "plain"}}", proxyProtocol: {from: [127.0.0.8/29]}}
  - {name: hops, address: "{{listen "hops"}}", proxyProtocol: {from: [127.0.0.8/29]}, trustedHops: 1}
  - {name: both, address: "{{listen "both"}}", proxyProtocol: {from: [127.0.0.8/29], optional: true}, trustedProxies: [192.0.2.0/24, 127.0.0.9]}
  - name: secure
    address: "{{listen "secure"}}"
    proxyProtocol: {from: [127.0.0.8/29]}
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  once: {key: [clientIP, route], tokenBucket: {capacity: 1, refill: 1/d}}
routes:
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [once], to: [{backend: app}]}
`

func startBalanced(t *testing.T) *gateway {
	t.Helper()
	p := newPEMs(t)
	p.server("first", "api.example.com")
	return start(t, setup{config: balanced, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}})
}

// proxyV2 is a header of PROXY protocol version 2: a command, an address family
// and what follows.
func proxyV2(command, family byte, block string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(block) >> 8), byte(len(block))}) + block
}

// addresses4 are source 198.51.100.X and destination 127.0.0.1, with ports.
func addresses4(x byte) string {
	return string([]byte{198, 51, 100, x, 127, 0, 0, 1, 0x12, 0x34, 0x1f, 0x90})
}

// tlv is a further field of version 2.
func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// TestProxyProtocol: whom the header of a load balancer names is the client, in
// limits, in logs and to backends, of both versions, with TLS and without, and
// beside proxies of HTTP; what else the header has means nothing.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	g := startBalanced(t)
	const balancer = "127.0.0.9"
	source6 := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01"
	n := 0
	for _, c := range []struct{ listener, header, chain, client string }{
		{"plain", "PROXY TCP4 198.51.100.1 127.0.0.1 1000 80\r\n", "", "198.51.100.1"},
		{"plain", "PROXY TCP6 2001:db8::1 ::1 1000 80\r\n", "", "2001:db8::1"},
		{"plain", "PROXY UNKNOWN\r\n", "", balancer},
		{"plain", proxyV2(1, 0x11, addresses4(2)), "", "198.51.100.2"},
		{"plain", proxyV2(1, 0x21, source6+source6+"\x10\x00\x00\x50"), "", "2001:db8::1"},
		{"plain", proxyV2(0, 0, ""), "", balancer}, // LOCAL: its own question
		{"plain", proxyV2(1, 0x11, addresses4(3)+tlv(1, "h2")+tlv(0xEA, "198.51.100.66")+tlv(0x20, "junk")), "", "198.51.100.3"},
		{"plain", "PROXY TCP4 198.51.100.4 127.0.0.1 1000 80\r\n", "198.51.100.99", "198.51.100.4"}, // of HTTP nobody is believed
		{"hops", "PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n", "203.0.113.1, 198.51.100.5", "198.51.100.5"},
		{"hops", proxyV2(1, 0x11, addresses4(6)), "", "198.51.100.6"},
		{"both", "PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\n", "203.0.113.1, 198.51.100.7, 192.0.2.9", "198.51.100.7"},
		{"both", "PROXY TCP4 198.51.100.8 127.0.0.1 1000 80\r\n", "203.0.113.1", "198.51.100.8"}, // no proxy has sent this one
		{"both", "", "203.0.113.1, 198.51.100.9", "198.51.100.9"},
		{"both", "", "203.0.113.1, 198.51.100.9", "127.0.0.10"}, // of the load balancers, and no proxy of HTTP: it asks for itself
		{"both", "", "", "127.0.0.11"},
		{"secure", "PROXY TCP4 198.51.100.10 127.0.0.1 1000 80\r\n", "", "198.51.100.10"},
		{"secure", proxyV2(1, 0x11, addresses4(11)+tlv(0x20, "\x01")), "198.51.100.99", "198.51.100.11"},
	} {
		n++
		path := fmt.Sprintf("/%d", n)
		head := " HTTP/1.1\r\nHost: a\r\nX-Envoy-External-Address: 203.0.113.99\r\nConnection: close\r\n"
		if c.chain != "" {
			head += "X-Forwarded-For: " + c.chain + "\r\n"
		}
		ask := func(path string) reply {
			from := balancer
			if c.header == "" && strings.HasPrefix(c.client, "127.") {
				from = c.client
			}
			conn := connectFrom(t, from, g.listeners[c.listener])
			if _, err := io.WriteString(conn, c.header); err != nil {
				t.Fatal(err)
			}
			if c.listener == "secure" {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			r, err := spoken(conn, "GET "+path+head+"\r\n")
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			return r
		}
		e := ask("/open" + path).ok(t).echo(t)
		if got := e.header("X-Envoy-External-Address"); got != c.client {
			t.Errorf("%q %q: the backend hears of %q, want %s", c.header, c.chain, got, c.client)
		}
		if got := g.logged("/open" + path)["client_ip"]; got != c.client {
			t.Errorf("%q %q: the log has %v, want %s", c.header, c.chain, got, c.client)
		}
		ask("/once" + path)
		if r := ask("/once" + path); r.Status != http.StatusTooManyRequests {
			t.Errorf("%q %q: status %d, want 429", c.header, c.chain, r.Status)
		}
	}
}

// TestProxyProtocolIsRefused: a connection without a header, with half of one or
// with junk ends, and so does any from elsewhere; others beside them go on.
func TestProxyProtocolIsRefused(t *testing.T) {
	t.Parallel()
	g := startBalanced(t)
	const balancer = "127.0.0.9"
	const request = "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n"
	const good = "PROXY TCP4 198.51.100.1 127.0.0.1 1000 80\r\n"
	open := connectFrom(t, balancer, g.listeners["plain"])
	if r, err := spoken(open, good+request); err != nil || r.Status != http.StatusOK {
		t.Fatalf("a good connection: %v %d", err, r.Status)
	}
	waiting := connectFrom(t, balancer, g.listeners["plain"]) // its header never comes
	if _, err := io.WriteString(waiting, "PROXY TCP4 198"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ listener, from, bytes string }{
		"none":                       {"plain", balancer, request},
		"none where it may":          {"both", "127.0.0.66", request},
		"from elsewhere":             {"plain", "127.0.0.66", good + request},
		"from elsewhere, optional":   {"both", "127.0.0.66", good + request},
		"from elsewhere, version 2":  {"both", "127.0.0.66", proxyV2(1, 0x11, addresses4(2)) + request},
		"no address":                 {"plain", balancer, "PROXY TCP4 a.b.c.d 127.0.0.1 1000 80\r\n" + request},
		"a host name":                {"plain", balancer, "PROXY TCP4 localhost 127.0.0.1 1000 80\r\n" + request},
		"another family":             {"plain", balancer, "PROXY TCP6 198.51.100.1 127.0.0.1 1000 80\r\n" + request},
		"a port too high":            {"plain", balancer, "PROXY TCP4 198.51.100.1 127.0.0.1 70000 80\r\n" + request},
		"too few parts":              {"plain", balancer, "PROXY TCP4 198.51.100.1\r\n" + request},
		"lower case":                 {"plain", balancer, "proxy TCP4 198.51.100.1 127.0.0.1 1000 80\r\n" + request},
		"without an end":             {"plain", balancer, "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n" + request},
		"version 3":                  {"plain", balancer, strings.Replace(proxyV2(1, 0x11, addresses4(3)), "\x21", "\x31", 1) + request},
		"an unknown command":         {"plain", balancer, proxyV2(7, 0x11, addresses4(3)) + request},
		"an address cut off":         {"plain", balancer, proxyV2(1, 0x11, addresses4(3)[:8]) + request},
		"an address of no family":    {"plain", balancer, proxyV2(1, 0x51, addresses4(3)) + request},
		"two headers":                {"plain", balancer, good + good + request},
		"without one where TLS is":   {"secure", balancer, "\x16\x03\x01\x00\x40" + strings.Repeat("hello", 13)},
		"in TLS rather than before":  {"secure", balancer, request},
		"version 2 with TLS, no TLS": {"secure", balancer, proxyV2(1, 0x11, addresses4(4)) + request},
	} {
		r, err := spoken(connectFrom(t, c.from, g.listeners[c.listener]), c.bytes)
		if err == nil && r.Status < 400 {
			t.Errorf("%s: status %d", name, r.Status)
		}
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if r, err := spoken(open, request); err != nil || r.Status != http.StatusOK {
		t.Errorf("the good connection, afterwards: %v %d", err, r.Status)
	}
	if r, err := spoken(waiting, ".51.100.2 127.0.0.1 1000 80\r\n"+request); err != nil || r.Status != http.StatusOK {
		t.Errorf("the rest of a header that came late: %v %d", err, r.Status)
	}
}
