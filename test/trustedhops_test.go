package test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const behindProxies = `
listeners:
  - {name: direct, address: "{{listen "direct"}}", trustedHops: 0}
  - {name: one, address: "{{listen "one"}}"}
  - {name: two, address: "{{listen "two"}}", trustedHops: 2, rateLimit: filter}
trustedHops: 1
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  once: {key: [clientIP, route], tokenBucket: {capacity: 1, refill: 1/d}}
routes:
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [once], to: [{backend: app}]}
  - {name: moved, match: {path: /moved}, auth: public, redirect: {path: /open}}
`

// TestTrustedHops: the client is whom the farthest believed proxy has named, in
// limits, in logs and to backends; where that says nothing that can be believed,
// it is who has connected.
func TestTrustedHops(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: behindProxies, values: map[string]string{"app": backend(t, "app").Addr()}})
	const peer = "127.0.0.1"
	hundred := strings.Repeat("192.0.2.250, ", 99)
	n := 0
	counted := false // whether the bucket of the peer is empty
	for listener, cases := range map[string]map[string]string{
		"direct": {
			"198.51.100.1": peer, "198.51.100.1, 198.51.100.2": peer, hundred + "198.51.100.3": peer, "junk": peer,
		},
		"one": {
			"": peer, "198.51.100.11": "198.51.100.11", "203.0.113.1, 198.51.100.12": "198.51.100.12",
			"198.51.100.13,junk": peer, "junk, 198.51.100.14": "198.51.100.14", "198.51.100.15:4711": peer, ",": peer, "198.51.100.16,": peer,
			"2001:db8:1::1": "2001:db8:1::1", "junk, 2001:DB8:2::1": "2001:db8:2::1", hundred + "198.51.100.17": "198.51.100.17",
			"10.0.0.9": "10.0.0.9", "198.51.100.18\r\nX-Forwarded-For: 198.51.100.19": "198.51.100.19", "1.2.3": peer, "unknown": peer,
		},
		"two": {
			"": peer, "198.51.100.21": peer, "198.51.100.22, 198.51.100.23": "198.51.100.22", "junk, 198.51.100.24": peer,
			"203.0.113.2, 198.51.100.25, junk": "198.51.100.25", hundred + "198.51.100.26, 198.51.100.27": "198.51.100.26",
			"203.0.113.3, 2001:db8:3::1, 198.51.100.28": "2001:db8:3::1", "198.51.100.29\r\nX-Forwarded-For: 198.51.100.30": "198.51.100.29",
		},
	} {
		for chain, client := range cases {
			n++
			path := fmt.Sprintf("/%d", n)
			head := " HTTP/1.1\r\nHost: a\r\nX-Envoy-External-Address: 203.0.113.99\r\nConnection: close\r\n"
			if chain != "" {
				head += "X-Forwarded-For: " + chain + "\r\n"
			}
			e := g.raw(listener, "GET /open"+path+head+"\r\n").ok(t).echo(t)
			if got := e.header("X-Envoy-External-Address"); got != client {
				t.Errorf("%s, %q: the backend hears of %q, want %q", listener, chain, got, client)
			}
			// Of a peer on loopback Envoy says its own machine's address.
			seen := strings.Split(e.header("X-Forwarded-For"), ",")
			if net.ParseIP(seen[len(seen)-1]) == nil || listener == "direct" && len(seen) > 1 {
				t.Errorf("%s, %q: the backend sees X-Forwarded-For: %q", listener, chain, seen)
			}
			if got := g.logged("/open" + path)["client_ip"]; got != client {
				t.Errorf("%s, %q: the log has %v, want %s", listener, chain, got, client)
			}
			want := http.StatusOK
			if client == peer && counted {
				want = http.StatusTooManyRequests
			}
			counted = counted || client == peer
			for range 2 {
				if r := g.raw(listener, "GET /once"+path+head+"\r\n"); r.Status != want {
					t.Errorf("%s, %q: status %d, want %d", listener, chain, r.Status, want)
				}
				want = http.StatusTooManyRequests
			}
		}
	}
}

// TestProxyHeadersAreNotBelieved but from proxies that are counted: no header in
// which a proxy would say who the client is, or what it has asked for, gets past
// a listener without them. Those of Envoy pass none.
func TestProxyHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: behindProxies, values: map[string]string{"app": backend(t, "app").Addr()}})
	ofProxies := []string{
		"Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
		"X-Real-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
		"X-Original-URL", "X-Original-URI", "X-Original-Host", "X-Rewrite-URL", "X-Host", "X-HTTP-Host-Override",
	}
	ofEnvoy := []string{
		"X-Envoy-Internal", "X-Envoy-Original-Path", "X-Envoy-Original-Host", "X-Envoy-Original-Method", "X-Envoy-Decorator-Operation", "X-Envoy-Downstream-Service-Cluster",
		"X-Envoy-Retry-On", "X-Envoy-Retry-Grpc-On", "X-Envoy-Max-Retries", "X-Envoy-Upstream-Alt-Stat-Name", "X-Envoy-Upstream-Rq-Timeout-Ms",
		"X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms", "X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Force-Trace", "X-Envoy-IP-Tags", "X-Envoy-Attempt-Count",
		"X-Envoy-Hedge-On-Per-Try-Timeout", "X-Envoy-Retriable-Status-Codes", "X-Envoy-Retriable-Header-Names", "X-Envoy-Is-Timeout-Retry",
		"X-Envoy-Peer-Metadata", "X-Envoy-Auth-Partial-Body", "X-Envoy-Whatever", "X-Gatewright-Whatever", "X-Forwarded-Client-Cert",
	}
	for _, listener := range []string{"direct", "one", "two"} {
		var headers []header
		for _, name := range slices.Concat(ofProxies, ofEnvoy) {
			headers = append(headers, header{strings.ToUpper(name), "spoofed"})
		}
		e := get(t, g.url(listener, "/open/x"), headers...).ok(t).echo(t)
		for _, name := range ofEnvoy {
			if v := e.header(name); v != "" {
				t.Errorf("%s: the backend sees %s: %s", listener, name, v)
			}
		}
		for _, name := range ofProxies {
			want := "spoofed"
			if listener == "direct" {
				want = ""
			}
			if v := e.header(name); v != want {
				t.Errorf("%s: the backend sees %s: %q, want %q", listener, name, v, want)
			}
		}
	}
	for listener, scheme := range map[string]string{"direct": "http", "one": "https", "two": "https"} {
		https := []header{{"X-Forwarded-Proto", "https"}, {"Host", "client.example"}}
		if v := get(t, g.url(listener, "/open/x"), https...).ok(t).echo(t).header("X-Forwarded-Proto"); v != scheme {
			t.Errorf("%s: the backend sees X-Forwarded-Proto: %q, want %s", listener, v, scheme)
		}
		if to := get(t, g.url(listener, "/moved"), https...).Header.Get("Location"); to != scheme+"://client.example/open" {
			t.Errorf("%s: the redirect leads to %s", listener, to)
		}
	}
	for _, odd := range []string{"javascript", "", "https, http", "HTTPS", "https\r\nX-Forwarded-Proto: http"} {
		r := g.raw("one", "GET /moved HTTP/1.1\r\nHost: client.example\r\nX-Forwarded-Proto: "+odd+"\r\nConnection: close\r\n\r\n")
		if to := r.Header.Get("Location"); r.Status == http.StatusFound && to != "http://client.example/open" && to != "https://client.example/open" {
			t.Errorf("X-Forwarded-Proto %q: the redirect leads to %q", odd, to)
		}
	}
}
