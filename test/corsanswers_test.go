package test

import (
	"net/http"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const crossingDenials = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  lavish: {endpoints: ["{{.lavish}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
  apiKey: {keys: {}}
limits:
  one: {key: ["header:X-Shop"], tokenBucket: {capacity: 1, refill: 1/h}}
errors:
  - {status: [5xx], from: any, contentType: application/json, body: '{"own": ${status}}'}
routes:
  - name: closed
    match: {path: /closed}
    auth: {anyOf: [{apiKey: keys, permissions: [write]}]}
    to: [{backend: app}]
    cors: &cors {origins: ["https://*.example.com", "https://*.example.org:8443"], headers: ["*"], exposeHeaders: [Retry-After], credentials: true}
  - {name: counted, match: {path: /counted}, auth: public, limits: [one], to: [{backend: app}], cors: *cors}
  - {name: gone, match: {path: /gone}, auth: public, to: [{backend: gone}], cors: *cors}
  - {name: fails, match: {path: /fails}, auth: public, to: [{backend: app}], cors: *cors}
  - {name: bounded, match: {path: /bounded}, auth: public, to: [{backend: app}], maxBodyBytes: 10, cors: *cors}
  - {name: lavish, match: {path: /lavish}, auth: public, to: [{backend: lavish}], cors: {origins: ["*"], headers: [X-One]}}
`

// TestCrossOriginDenials: whoever answers in place of a backend, and in whatever words, a
// page that may call the route can read the answer and no other page can, and a cache keeps
// the two apart.
func TestCrossOriginDenials(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: crossingDenials, values: map[string]string{"app": backend(t, "app").Addr(), "lavish": newLavish(t), "gone": testenv.Addr(t)}})
	key := g.createKey().header()
	for origin, allowed := range map[string]string{"https://shop.example.com": "https://shop.example.com", "https://evil.example": ""} {
		from := header{"Origin", origin}
		counted := func() reply { return get(t, g.url("public", "/counted"), from, header{"X-Shop", origin}) }
		counted().ok(t)
		for name, c := range map[string]struct {
			got    reply
			status int
		}{
			"no credential":             {get(t, g.url("public", "/closed"), from), 401},
			"no permission":             {get(t, g.url("public", "/closed"), from, key), 403},
			"limit used up":             {counted(), 429},
			"body too large":            {send(t, "POST", g.url("public", "/bounded"), `{"more": "than ten bytes"}`, from), 413},
			"no backend, in own words":  {get(t, g.url("public", "/gone"), from), 503},
			"a backend's, in own words": {get(t, g.url("public", "/fails?status=500"), from), 500},
		} {
			if c.got.Status != c.status {
				t.Errorf("%s: %d %s", name, c.got.Status, c.got.Body)
			}
			c.got.wantHeaders(t, map[string]string{
				"Access-Control-Allow-Origin": allowed, "Access-Control-Allow-Credentials": map[bool]string{true: "true"}[allowed != ""],
				"Access-Control-Expose-Headers": map[bool]string{true: "Retry-After"}[allowed != ""], "Vary": "Origin",
			})
		}
	}
}

// TestOriginsAreWhole: a pattern stands for all of an origin, with its scheme and its port,
// and is read by nobody as a part of one.
func TestOriginsAreWhole(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: crossingDenials, values: map[string]string{"app": backend(t, "app").Addr(), "lavish": newLavish(t), "gone": testenv.Addr(t)}})
	for origin, allowed := range map[string]bool{
		"https://a.example.com": true, "https://a.b.example.com": true, "https://a.example.org:8443": true,
		"https://example.com": false, "https://evil-example.com": false, "https://evil.com/.example.com": false, "https://evil.com#.example.com": false,
		"https://evil.com?.example.com": false, "https://user@a.example.com": false, "https://a.example.com.evil.com": false, "https://a.example.comx": false,
		"https://axexample.com": false, "xhttps://a.example.com": false, "http://a.example.com": false, "https://a.example.com:444": false,
		"https://a.example.org": false, "https://a.example.org:84430": false, "https://A.example.com": false, "https://.example.com": false,
		"https://a.example.com, https://b.example.com": false, "null": false,
	} {
		want := map[string]string{"Access-Control-Allow-Origin": map[bool]string{true: origin}[allowed]}
		get(t, g.url("public", "/fails"), header{"Origin", origin}).ok(t).wantHeaders(t, want)
		do(t, http.MethodOptions, g.url("public", "/fails"), preflight(origin, "GET")...).wantHeaders(t, want)
	}
	for _, two := range [][]header{
		{{"Origin", "https://a.example.com"}, {"Origin", "https://evil.example"}},
		{{"Origin", "https://evil.example"}, {"Origin", "https://a.example.com"}},
	} {
		get(t, g.url("public", "/fails"), two...).wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": ""})
	}
	// For every origin, that of a page without one is one, too.
	get(t, g.url("public", "/lavish"), header{"Origin", "null"}).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Origin": "null", "Access-Control-Allow-Credentials": ""})
}

// TestPreflightsToTheLetter: what is asked for is what is granted, and an OPTIONS request
// that only looks like a preflight is judged.
func TestPreflightsToTheLetter(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: crossingDenials, values: map[string]string{"app": app.Addr(), "lavish": newLavish(t), "gone": testenv.Addr(t)}})
	origin, method := header{"Origin", "https://a.example.com"}, header{"Access-Control-Request-Method", "PUT"}
	asking := func(path string, headers ...header) reply {
		return do(t, http.MethodOptions, g.url("public", path), headers...)
	}

	// * grants Authorization by its name, which browsers do not count among *.
	asking("/closed", origin, method, header{"Access-Control-Request-Headers", "authorization,x-any"}).ok(t).wantHeaders(t, map[string]string{
		"Access-Control-Allow-Headers": "authorization,x-any", "Access-Control-Allow-Origin": origin.value, "Access-Control-Max-Age": "",
	})
	asking("/closed", origin, method).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Headers": "", "Access-Control-Allow-Origin": origin.value})
	asking("/lavish", origin, method, header{"Access-Control-Request-Headers", "authorization"}).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Headers": "X-One"})
	// Nobody is let into a private network.
	for _, path := range []string{"/closed", "/lavish"} {
		asking(path, origin, method, header{"Access-Control-Request-Private-Network", "true"}).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Private-Network": ""})
	}
	get(t, g.url("public", "/lavish"), origin).ok(t).wantHeaders(t, map[string]string{"Access-Control-Allow-Private-Network": "", "Access-Control-Allow-Origin": origin.value})
	// No limit counts a preflight.
	for range 3 {
		asking("/counted", origin, method, header{"X-Shop", "p"}).ok(t)
	}
	get(t, g.url("public", "/counted"), header{"X-Shop", "p"}).ok(t)
	// An origin or a method that says nothing makes no preflight.
	for _, headers := range [][]header{{{"Origin", ""}, method}, {origin, {"Access-Control-Request-Method", ""}}} {
		asking("/closed", headers...).denied(t, 401, "credential-missing")
	}
	if n := app.Requests(); n != 1 {
		t.Errorf("%d requests have reached the backend, want 1", n)
	}
}
