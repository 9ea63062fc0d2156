package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// connectFrom is a connection from one of this machine's own addresses, of which
// 127.0.0.0/8 has many.
func connectFrom(t testing.TB, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// spoken writes to a connection and reads one response.
func spoken(conn net.Conn, text string) (reply, error) {
	if _, err := io.WriteString(conn, text); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}

const behindNetworks = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filter, address: "{{listen "filter"}}", rateLimit: filter}
  - {name: alone, address: "{{listen "alone"}}", trustedProxies: []}
  - {name: counted, address: "{{listen "counted"}}", trustedHops: 1}
trustedProxies: [127.0.0.8/29, "2001:db8:f::/48", 192.0.2.7]
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  once: {key: [clientIP, route], tokenBucket: {capacity: 1, refill: 1/d}}
routes:
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [once], to: [{backend: app}]}
  - {name: moved, match: {path: /moved}, auth: public, redirect: {path: /open}}
`

// TestTrustedProxies: of whom a believed proxy speaks is found in limits, in logs
// and by backends, however many of them are in a row; of everybody else nothing is
// believed, on the same listener.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: behindNetworks, values: map[string]string{"app": backend(t, "app").Addr()}})
	const proxy, stranger = "127.0.0.9", "127.0.0.66"
	n := 0
	limited := map[string]bool{}
	for _, c := range []struct{ listener, from, chain, client string }{
		{"public", proxy, "", proxy},
		{"public", proxy, "198.51.100.1", "198.51.100.1"},
		{"public", proxy, "203.0.113.9, 198.51.100.2", "198.51.100.2"},                                     // the client's own word goes before
		{"public", proxy, "198.51.100.3, 127.0.0.10, 2001:db8:f::1, 192.0.2.7", "198.51.100.3"},            // proxies in a row
		{"public", proxy, "127.0.0.10, 198.51.100.4, 127.0.0.11", "198.51.100.4"},                          // one that it makes up
		{"public", proxy, "198.51.100.5, 192.0.2.8", "192.0.2.8"},                                          // beside the network
		{"public", proxy, "127.0.0.12, 127.0.0.13", "127.0.0.12"},                                          // nobody else: the farthest
		{"public", proxy, "198.51.100.6\r\nX-Forwarded-For: 198.51.100.7, 127.0.0.10", "198.51.100.7"},     // in two lines
		{"public", proxy, "2001:DB8:1::1, 2001:db8:f:0::2", "2001:db8:1::1"},                               // of IPv6
		{"public", proxy, "10.0.0.1", "10.0.0.1"},                                                          // a private one is no proxy by that
		{"public", proxy, "junk", proxy},                                                                   //
		{"public", proxy, "198.51.100.8, junk", proxy},                                                     //
		{"public", proxy, "198.51.100.9:4711", proxy},                                                      // as trustedHops reads it
		{"public", proxy, "198.51.100.10, ", proxy},                                                        //
		{"public", stranger, "", stranger},                                                                 //
		{"public", stranger, "198.51.100.11", stranger},                                                    //
		{"public", stranger, "198.51.100.12, 127.0.0.9", stranger},                                         //
		{"public", "127.0.0.7", "198.51.100.13", "127.0.0.7"}, {"public", "127.0.0.16", "x", "127.0.0.16"}, // at the borders of the network
		{"public", "127.0.0.8", "198.51.100.14", "198.51.100.14"}, {"public", "127.0.0.15", "198.51.100.15", "198.51.100.15"},
		{"filter", proxy, "198.51.100.21", "198.51.100.21"}, {"filter", "127.0.0.67", "198.51.100.21", "127.0.0.67"},
		{"alone", "127.0.0.10", "198.51.100.31", "127.0.0.10"},
		{"counted", "127.0.0.11", "203.0.113.41, 198.51.100.41", "198.51.100.41"},
	} {
		n++
		path := fmt.Sprintf("/%d", n)
		head := " HTTP/1.1\r\nHost: a\r\nX-Envoy-External-Address: 203.0.113.99\r\nConnection: close\r\n"
		if c.chain != "" {
			head += "X-Forwarded-For: " + c.chain + "\r\n"
		}
		ask := func(path string) reply {
			r, err := spoken(connectFrom(t, c.from, g.listeners[c.listener]), "GET "+path+head+"\r\n")
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			return r
		}
		e := ask("/open" + path).ok(t).echo(t)
		if got := e.header("X-Envoy-External-Address"); got != c.client {
			t.Errorf("%+v: the backend hears of %q", c, got)
		}
		if seen := strings.Split(e.header("X-Forwarded-For"), ","); len(seen) > 1 && (c.from == stranger || c.listener == "alone") || net.ParseIP(seen[len(seen)-1]) == nil {
			t.Errorf("%+v: the backend sees X-Forwarded-For: %q", c, seen)
		}
		if got := g.logged("/open" + path)["client_ip"]; got != c.client {
			t.Errorf("%+v: the log has %v", c, got)
		}
		if r := ask("/once" + path); (r.Status == http.StatusTooManyRequests) != limited[c.client] {
			t.Errorf("%+v: status %d", c, r.Status)
		}
		limited[c.client] = true
		if r := ask("/once" + path); r.Status != http.StatusTooManyRequests {
			t.Errorf("%+v: status %d in the end", c, r.Status)
		}
	}
}

// TestHeadersOfTrustedProxies: what proxies say beside the address goes on from
// believed ones alone, and a scheme is one.
func TestHeadersOfTrustedProxies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: behindNetworks, values: map[string]string{"app": backend(t, "app").Addr()}})
	ofEnvoy := []string{"X-Envoy-Internal", "X-Envoy-Original-Path", "X-Envoy-Decorator-Operation", "X-Envoy-Downstream-Service-Cluster", "X-Envoy-Retry-On", "X-Envoy-Max-Retries", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Gatewright-Whatever"}
	for from, believed := range map[string]bool{"127.0.0.9": true, "127.0.0.66": false} {
		spoof := ""
		for _, name := range append(ofEnvoy, "X-Real-IP", "X-Forwarded-Host", "X-Original-URL") {
			spoof += name + ": spoofed\r\n"
		}
		conn := connectFrom(t, from, g.listeners["public"])
		r, err := spoken(conn, "GET /open/x HTTP/1.1\r\nHost: client.example\r\nX-Forwarded-Proto: https\r\n"+spoof+"\r\n")
		if err != nil {
			t.Fatal(err)
		}
		e := r.ok(t).echo(t)
		want := map[bool]string{true: "spoofed"}[believed]
		for _, name := range []string{"X-Real-IP", "X-Forwarded-Host", "X-Original-URL"} {
			if got := e.header(name); got != want {
				t.Errorf("%s: %s is %q, want %q", from, name, got, want)
			}
		}
		for _, name := range ofEnvoy {
			if got := e.header(name); got != "" {
				t.Errorf("%s: the backend sees %s: %s", from, name, got)
			}
		}
		scheme := map[bool]string{true: "https", false: "http"}[believed]
		if got := e.header("X-Forwarded-Proto"); got != scheme {
			t.Errorf("%s: X-Forwarded-Proto is %q, want %s", from, got, scheme)
		}
		for _, odd := range []string{"https", "javascript", "", "https, http", "HTTPS", "https\r\nX-Forwarded-Proto: http"} {
			r, err := spoken(connectFrom(t, from, g.listeners["public"]), "GET /moved HTTP/1.1\r\nHost: client.example\r\nX-Forwarded-Proto: "+odd+"\r\nConnection: close\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			to := r.Header.Get("Location")
			if r.Status == http.StatusFound && to != "http://client.example/open" && (to != "https://client.example/open" || !believed) {
				t.Errorf("%s: X-Forwarded-Proto %q leads to %q", from, odd, to)
			}
		}
	}
}
