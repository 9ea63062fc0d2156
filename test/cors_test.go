package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const crossing = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - name: get
    match: {methods: [GET], path: "/things/{id}", headers: {X-Client: {present: true}}}
    auth: {anyOf: [{apiKey: keys}]}
    to: [{backend: app}]
    cors: {origins: ["https://shop.example.com", "https://*.example.org", "http://localhost:3000"], headers: [X-API-Key, X-Client], exposeHeaders: [X-Backend], credentials: true, maxAge: 10m}
  - name: post
    match: {methods: [POST, DELETE], path: "/things/{id}"}
    auth: {anyOf: [{apiKey: keys}]}
    to: [{backend: app}]
    cors: {origins: ["*"], methods: [POST], headers: ["*"]}
  - {name: wide, match: {methods: [GET, PUT], path: /wide/**}, auth: public, to: [{backend: app}], cors: {origins: ["*"]}}
  - {name: inner, match: {hosts: ["*.example.com"], methods: [GET, POST], path: "/wide/{id}"}, auth: public, to: [{backend: app}]}
  - {name: options, match: {path: /things/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
`

func preflight(origin, method string) []header {
	return []header{{"Origin", origin}, {"Access-Control-Request-Method", method}, {"Access-Control-Request-Headers", "x-api-key,x-client"}}
}

// wantHeaders compares headers of an answer, of which "" is none.
func (r reply) wantHeaders(t testing.TB, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := strings.Join(r.Header.Values(name), "|"); got != value {
			t.Errorf("status %d: %s is %q, want %q", r.Status, name, got, value)
		}
	}
}

// TestPreflights: they are answered by the policy of the route that the request
// will take, without a credential; and none reaches a backend or passes for
// another request.
func TestPreflights(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: crossing, values: map[string]string{"app": app.Addr()}})
	things := g.url("public", "/things/1")
	for _, origin := range []string{"https://shop.example.com", "https://a.b.example.org", "http://localhost:3000"} {
		r := do(t, http.MethodOptions, things, preflight(origin, "GET")...)
		r.ok(t).wantHeaders(t, map[string]string{
			"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "X-API-Key,X-Client",
			"Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "600",
		})
	}
	for _, origin := range []string{"https://evil.example", "http://shop.example.com", "https://example.org", "https://aexample.org", "https://shop.example.com.evil.example", "https://shop.example.com:8443", "null"} {
		r := do(t, http.MethodOptions, things, preflight(origin, "GET")...)
		r.wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": ""}) // without it a browser does not call
		if r.Body != "" {
			t.Errorf("%s: %d %s", origin, r.Status, r.Body)
		}
	}
	for _, method := range []string{"POST", "DELETE"} {
		do(t, http.MethodOptions, things, preflight("https://any.example", method)...).ok(t).wantHeaders(t, map[string]string{
			"Access-Control-Allow-Origin": "https://any.example", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "x-api-key,x-client",
			"Access-Control-Allow-Credentials": "", "Access-Control-Max-Age": "",
		})
	}
	// A policy does not speak for a route within that has none.
	for _, c := range []struct {
		host, path, method string
		closed             bool
	}{
		{"a.example.com:8080", "/wide/1", "GET", true}, {"A.Example.com", "/wide/1", "GET", true}, {"a.example.com", "/wide/1", "PUT", false},
		{"a.example.com", "/wide/1/2", "GET", false}, {"example.com", "/wide/1", "GET", false}, {"other.org", "/wide/1", "GET", false},
	} {
		r := do(t, http.MethodOptions, g.url("public", c.path), append(preflight("https://any.example", c.method), header{"Host", c.host})...)
		if c.closed {
			r.denied(t, 403, "cors-refused")
		} else {
			r.ok(t)
		}
		r.wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": map[bool]string{false: "https://any.example"}[c.closed]})
	}
	if n := app.Requests(); n != 0 {
		t.Errorf("%d preflights have reached the backend", n)
	}
	// What is no preflight of a route with a policy is judged as ever.
	for _, headers := range [][]header{
		preflight("https://shop.example.com", "PUT"),
		{{"Origin", "https://shop.example.com"}},
		{{"Access-Control-Request-Method", "GET"}},
		{},
	} {
		do(t, http.MethodOptions, things, headers...).denied(t, 401, "credential-missing")
	}
	get(t, things, preflight("https://shop.example.com", "GET")...).denied(t, 401, "credential-missing")
	do(t, http.MethodDelete, things, preflight("https://shop.example.com", "DELETE")...).denied(t, 401, "credential-missing")
}

// TestCrossOriginAnswers: pages that may call a route may read its answers,
// denials too, and other pages none of them, whatever the backend says.
func TestCrossOriginAnswers(t *testing.T) {
	t.Parallel()
	s := newLavish(t)
	g := start(t, setup{config: crossing, values: map[string]string{"app": s}})
	key, things := g.createKey().header(), g.url("public", "/things/1")
	ours, other := header{"Origin", "https://shop.example.com"}, header{"Origin", "https://evil.example"}
	client := header{"X-Client", "1"}

	get(t, things, ours, client, key).ok(t).wantHeaders(t, map[string]string{
		"Access-Control-Allow-Origin": "https://shop.example.com", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "X-Backend", "Access-Control-Allow-Methods": "", "Access-Control-Max-Age": "", "Vary": "Accept,Origin",
	})
	get(t, things, other, client, key).ok(t).wantHeaders(t, map[string]string{
		"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Access-Control-Expose-Headers": "", "Vary": "Accept,Origin",
	})
	denied := get(t, things, ours, client)
	denied.denied(t, 401, "credential-missing")
	denied.wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": "https://shop.example.com"})
	// A route without a policy leaves it to its backend.
	get(t, g.url("public", "/things/1/parts"), other, key).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": "*"})
}

// newLavish is a service that lets every page do everything.
func newLavish(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Allow-Origin": "*", "Allow-Credentials": "true", "Allow-Methods": "*", "Allow-Headers": "*", "Expose-Headers": "*", "Max-Age": "9", "Allow-Private-Network": "true",
		} {
			w.Header().Set("Access-Control-"+name, value)
		}
		w.Header().Set("Vary", "Accept")
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
