package test

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const https = `
listeners:
  - {name: plain, address: "{{listen "plain"}}", redirectToHTTPS: {port: 8443, acmeChallenges: acme}}
  - {name: default, address: "{{listen "default"}}", redirectToHTTPS: true}
  - {name: moved, address: "{{listen "moved"}}", redirectToHTTPS: {status: 301}}
  - {name: open, address: "{{listen "open"}}"}
  - name: secure
    address: "{{listen "secure"}}"
    tls:
      certificates:
        - {cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}
        - {cert: {{.certs}}/shop.crt, key: {{.certs}}/shop.key}
        - {cert: {{.certs}}/wild.crt, key: {{.certs}}/wild.key}
      hsts: {includeSubDomains: true}
  - name: single
    address: "{{listen "single"}}"
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}], hsts: {maxAge: 0s}}
backends:
  app: {endpoints: ["{{.app}}"]}
  acme: {endpoints: ["{{.acme}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
  apiKey: {keys: {forward: {owner: X-User-ID}}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}]}
  - {name: own, match: {path: /own}, auth: public, to: [{backend: app}], response: {set: {Strict-Transport-Security: max-age=1}}}
  - {name: kept, match: {path: /kept}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: gone, match: {path: /gone}, auth: public, to: [{backend: gone}]}
  - {name: away, match: {path: /away}, auth: public, redirect: {path: /app}}
  - {name: said, match: {path: /said}, auth: public, respond: {status: 200}}
`

func startHTTPS(t *testing.T, more ...string) (g *gateway, p *pems, acme service) {
	t.Helper()
	p = newPEMs(t)
	p.server("first", "api.example.com")
	p.server("shop", "shop.example.org", "www.example.org")
	p.server("wild", "*.example.com")
	acme = backend(t, "acme")
	g = start(t, setup{config: https + strings.Join(more, ""), values: map[string]string{
		"app": backend(t, "app").Addr(), "acme": acme.Addr(), "gone": freeAddr(t), "certs": p.folder,
	}})
	return g, p, acme
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestRedirectToHTTPS: a listener that redirects serves nothing else, whatever is asked
// for and however; but what an ACME authority looks for.
func TestRedirectToHTTPS(t *testing.T) {
	t.Parallel()
	g, _, acme := startHTTPS(t)
	host := header{"Host", "shop.example.org:8080"}
	for _, c := range []struct {
		listener, path, want string
		status               int
	}{
		{"plain", "/app/1?a=b&c=%2e", "https://shop.example.org:8443/app/1?a=b&c=%2e", 308},
		{"plain", "/kept", "https://shop.example.org:8443/kept", 308},
		{"plain", "/nobody/has/this", "https://shop.example.org:8443/nobody/has/this", 308},
		{"plain", "/.well-known/acme-challenge", "https://shop.example.org:8443/.well-known/acme-challenge", 308},
		{"plain", "/.well-known/acme-challenges/x", "https://shop.example.org:8443/.well-known/acme-challenges/x", 308},
		{"default", "/app", "https://shop.example.org/app", 308},
		{"default", "/.well-known/acme-challenge/token", "https://shop.example.org/.well-known/acme-challenge/token", 308},
		{"moved", "/app", "https://shop.example.org/app", 301},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			r := do(t, method, g.url(c.listener, c.path), host, header{"Origin", "https://a.example.com"}, header{"Access-Control-Request-Method", "GET"},
				header{"X-Forwarded-Proto", "https"})
			if got := r.Header.Get("Location"); r.Status != c.status || got != c.want || r.Header.Get("Strict-Transport-Security") != "" {
				t.Errorf("%s %s%s: %d to %q, want %d to %q", method, c.listener, c.path, r.Status, got, c.status, c.want)
			}
		}
	}
	if line := g.logged("/kept"); line["route"] != "gatewright.https" {
		t.Errorf("the log says %v", line)
	}
	r := get(t, g.url("plain", "/.well-known/acme-challenge/token"), host, header{"X-User-ID", "root"}).ok(t)
	if e := r.echo(t); e.Backend != "acme" || e.Path != "/.well-known/acme-challenge/token" || e.Host != "shop.example.org" || e.header("X-User-ID") != "" {
		t.Errorf("the backend of challenges sees %+v", e)
	}
	// No spelling of a path that begins as challenges do gets anywhere else.
	before := acme.Requests()
	for _, path := range []string{"/.well-known/acme-challenge/../../app", "/.well-known/acme-challenge/%2e%2e/%2e%2e/kept", "/.well-known/acme-challenge/..%2f..%2fapp"} {
		if status := g.raw("plain", "GET "+path+" HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n").Status; status == http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	if acme.Requests() != before {
		t.Error("the backend of challenges has been asked for something else")
	}
	// What names no one host is not sent to it, TRACE is not answered.
	for request, want := range map[string]int{
		"GET /app HTTP/1.1\r\nHost: a,b\r\nConnection: close\r\n\r\n": 400, "GET /app HTTP/1.1\r\nHost: user@b\r\nConnection: close\r\n\r\n": 400,
		"TRACE /app HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": 405,
	} {
		if status := g.raw("plain", request).Status; status != want {
			t.Errorf("%q: %d, want %d", request, status, want)
		}
	}
	get(t, g.url("open", "/app/1")).ok(t)

	// Turned on and off while it is served, nothing of it in between.
	g.write(strings.Replace(https, `{name: open, address: "{{listen "open"}}"}`, `{name: open, address: "{{listen "open"}}", redirectToHTTPS: true}`, 1))
	eventually(t, "it redirects", func() error {
		if r := get(t, g.url("open", "/app/1")); r.Status != 308 {
			return errStatus(r)
		}
		return nil
	})
	g.write(https)
	eventually(t, "it serves", func() error {
		if r := get(t, g.url("open", "/app/1")); r.Status != 200 {
			return errStatus(r)
		}
		return nil
	})
}

// TestHSTS: each answer of the listener says it once, whoever has made it; no other
// listener does.
func TestHSTS(t *testing.T) {
	t.Parallel()
	g, p, _ := startHTTPS(t)
	client := p.client("api.example.com", true)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, status := range map[string]int{
		"/app/1": 200, "/own": 200, "/kept": 401, "/gone": 503, "/away": 302, "/said": 200, "/nobody": 404, "/app/..%2f": 400,
	} {
		r := mustAsk(t, client, g.secureURL("secure", path), header{"Host", "api.example.com"})
		if got := r.Header.Values("Strict-Transport-Security"); r.Status != status || len(got) != 1 || got[0] != "max-age=31536000; includeSubDomains" {
			t.Errorf("%s: %d with %q", path, r.Status, got)
		}
	}
	for name, request := range map[string]string{
		"no request": "GET\r\n\r\n", "no host": "GET / HTTP/1.1\r\n\r\n", "an underscore": "GET / HTTP/1.1\r\nHost: api.example.com\r\na_b: c\r\n\r\n",
		"long headers": "GET / HTTP/1.1\r\nHost: api.example.com\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n",
		"CONNECT":      "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n", "TRACE": "TRACE / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
	} {
		r := overTLS(t, g, "secure", "api.example.com", request)
		if got := r.Header.Values("Strict-Transport-Security"); len(got) != 1 {
			t.Errorf("%s: %d with %q", name, r.StatusCode, got)
		}
	}
	if got := mustAsk(t, client, g.secureURL("single", "/app/1")).Header.Get("Strict-Transport-Security"); got != "max-age=0" {
		t.Errorf("the other listener says %q", got)
	}
	for path := range map[string]int{"/app/1": 200, "/nobody": 404} {
		if got := get(t, g.url("open", path)).Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("in plain text it says %q", got)
		}
	}
}

// overTLS is the answer to bytes that are sent on a connection of their own, by HTTP/1.1.
func overTLS(t *testing.T, g *gateway, listener, name, request string) *http.Response {
	t.Helper()
	conn, err := tls.Dial("tcp", g.listeners[listener], &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Write([]byte(request)) }() // it may be closed before all is written
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.40q: %v", request, err)
	}
	r.Body.Close()
	return r
}

// TestMisdirectedRequests: on one connection, only hosts are asked for that its
// certificate is for, or that the client has asked for in its handshake.
func TestMisdirectedRequests(t *testing.T) {
	t.Parallel()
	g, p, _ := startHTTPS(t)
	for _, c := range []struct {
		listener, name, host string
		status               int
	}{
		{"secure", "shop.example.org", "shop.example.org", 200},
		{"secure", "shop.example.org", "SHOP.example.org:443", 200},
		{"secure", "shop.example.org", "www.example.org", 200}, // of the same certificate
		{"secure", "shop.example.org", "api.example.com", 421},
		{"secure", "shop.example.org", "a.example.com", 421},
		{"secure", "any.example.com", "other.example.com", 200}, // by the wildcard
		{"secure", "any.example.com", "a.b.example.com", 421},
		{"secure", "any.example.com", "example.com", 421},
		{"secure", "any.example.com", ".example.com", 421},
		{"secure", "api.example.com", "api.example.com", 200},
		{"secure", "api.example.com", "any.example.com", 421}, // of another certificate
		{"secure", "api.example.com", "10.0.0.1", 200},        // for which no handshake can ask
		{"secure", "api.example.com", "[2001:db8::1]", 200},
		{"secure", "nobody.test", "nobody.test", 200}, // it has asked for it
		{"secure", "nobody.test", "api.example.com", 200},
		{"secure", "nobody.test", "shop.example.org", 421},
		{"secure", "", "shop.example.org", 200}, // it has asked for no name
		{"single", "api.example.com", "shop.example.org", 200},
	} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			client := p.client(c.name, true)
			transport := client.Transport.(*http.Transport)
			transport.ForceAttemptHTTP2 = protocol == "h2"
			transport.TLSClientConfig.InsecureSkipVerify = true
			r, _, err := askedBy(client, g.secureURL(c.listener, "/app/"+protocol), header{"Host", c.host})
			if err != nil || r.Status != c.status {
				t.Errorf("%s, by %s on a connection for %q, %q: %v %d, want %d", c.listener, protocol, c.name, c.host, err, r.Status, c.status)
			}
			if r.Status == 421 {
				r.denied(t, 421, "misdirected-request")
			}
		}
	}
	eventually(t, "the log has the reason", func() error {
		for _, line := range g.accessLog() {
			if line["reason"] == "misdirected-request" {
				return nil
			}
		}
		return errStatus(reply{})
	})
}

// TestHTTPSHostByHost: all of it in a config that is served host by host, too, where a
// host in capitals finds its table in a second look.
func TestHTTPSHostByHost(t *testing.T) {
	t.Parallel()
	g, p, _ := startHTTPS(t, manyRoutes(100, 10))
	for _, host := range []string{"h1.fill.org", "nobody.test", "SHOP.example.org"} {
		r := get(t, g.url("plain", "/r1"), header{"Host", host})
		if got := r.Header.Get("Location"); r.Status != 308 || got != "https://"+host+":8443/r1" {
			t.Errorf("%s: %d to %q", host, r.Status, got)
		}
	}
	get(t, g.url("plain", "/.well-known/acme-challenge/token"), header{"Host", "h1.fill.org"}).ok(t)
	for _, c := range []struct {
		name, host, path string
		status           int
	}{
		{"h1.fill.org", "h1.fill.org", "/r1", 200}, {"h1.fill.org", "H1.fill.ORG", "/r1", 200}, {"h1.fill.org", "h1.fill.org", "/nobody", 404},
		{"any.example.com", "Other.Example.com", "/app/1", 200}, {"any.example.com", "Other.Example.com", "/kept", 401},
		{"any.example.com", "h1.fill.org", "/r1", 421}, {"any.example.com", "H1.Fill.org", "/r1", 421},
	} {
		client := p.client(c.name, true)
		client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
		r := mustAsk(t, client, g.secureURL("secure", c.path), header{"Host", c.host})
		if r.Status != c.status || len(r.Header.Values("Strict-Transport-Security")) != 1 {
			t.Errorf("%s%s for %s: %d, want %d; %v", c.host, c.path, c.name, r.Status, c.status, r.Header)
		}
	}
}
