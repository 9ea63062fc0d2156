package test

import (
	"strings"
	"testing"
)

const golden = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  gold: {endpoints: ["{{.gold}}"]}
  open: {endpoints: ["{{.open}}"]}
auth:
  jwt:
    main:
      issuer: "{{.issuer}}"
      audiences: [api]
      jwks: {url: "{{.issuer}}/.well-known/jwks.json"}
      forward: {sub: X-User-ID, tier: X-Tier, path: X-Path}
  apiKey:
    header: {from: {header: X-API-Key}, forward: {tenant: X-Tenant-ID}}
    query: {from: {query: api_key}}
routes:
  - {name: gold, match: {path: /gold}, auth: {anyOf: [{jwt: main, claims: {tier: [gold]}}]}, to: [{backend: gold}]}
  - {name: me, match: {path: /me}, auth: {anyOf: [{jwt: main}]}, to: [{backend: open}]}
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: open}]}
  # Of each pair, what the judge takes out of a request makes it look like the other's.
  - {name: with-token, match: {path: /token, headers: {Authorization: {present: true}}}, auth: {anyOf: [{jwt: main}]}, to: [{backend: gold}]}
  - {name: without-token, match: {path: /token}, auth: public, to: [{backend: open}]}
  - {name: with-key, match: {path: /key, headers: {X-API-Key: {present: true}}}, auth: {anyOf: [{apiKey: header}]}, to: [{backend: gold}]}
  - {name: without-key, match: {path: /key, headers: {X-API-Key: {absent: true}}}, auth: public, to: [{backend: open}]}
  - {name: with-query, match: {path: /query, query: {api_key: {present: true}}}, auth: {anyOf: [{apiKey: query}]}, to: [{backend: gold}]}
  - {name: without-query, match: {path: /query, query: {api_key: {absent: true}}}, auth: public, to: [{backend: open}]}
  # And what the gateway itself adds looks like what this one matches.
`

// TestRoutesAreChosenOnce: by what a client has sent, less what only the gateway
// may set; nothing that the judge adds or takes away, and nothing that a claim
// says, leads to another route.
func TestRoutesAreChosenOnce(t *testing.T) {
	t.Parallel()
	for form, filler := range map[string]string{"table": "", "scoped": manyRoutes(100, 10)} {
		p, gold := idp(t), backend(t, "gold")
		g := start(t, setup{config: golden + filler, values: map[string]string{
			"issuer": p.Issuer(), "gold": gold.Addr(), "open": backend(t, "open").Addr(),
		}})
		silver := bearer(token(t, p, "sub=/gold", "tier=silver", "path=/gold"))
		odd := bearer(token(t, p, "sub=a\r\n:path: /gold\r\nX-Tier: gold", "tier=gold\r\nHost: b", "path=/gold HTTP/1.1\r\n\r\nGET /gold"))
		// What a client says of itself, in each spelling, opens nothing.
		for _, lines := range []string{
			"X-Tier: gold", "x-tier: gold\r\nX-TIER: gold", "X-Tier: gold\r\nConnection: x-tier", "X-Tier: silver, gold", "X-User-ID: gold\r\nX-Path: /gold",
			"X-Original-URL: /gold", "X-Rewrite-URL: /gold", "X-Envoy-Original-Path: /gold", "X-Gatewright-Path: /gold/", "X-HTTP-Method-Override: GET",
		} {
			for _, host := range []string{"a", "A.EXAMPLE"} {
				head := " HTTP/1.1\r\nHost: " + host + "\r\n" + lines + "\r\n"
				last := "Connection: close\r\n\r\n"
				if strings.Contains(lines, "Connection") {
					last = "\r\n"
				}
				g.raw("public", "GET /gold"+head+last).denied(t, 401, "credential-missing")
				g.raw("public", "GET /gold"+head+"Authorization: "+silver.value+"\r\n"+last).denied(t, 403, "claim-mismatch")
				e := g.raw("public", "GET /me"+head+"Authorization: "+silver.value+"\r\n"+last).ok(t).echo(t)
				if e.Backend != "open" || e.Path != "/me" || e.header("X-Tier") != "silver" {
					t.Errorf("%s, %q: %s on %s as %s", form, lines, e.Path, e.Backend, e.header("X-Tier"))
				}
				e = g.raw("public", "GET /open/x"+head+last).ok(t).echo(t)
				if e.Backend != "open" || e.header("X-Tier") != "" {
					t.Errorf("%s, %q: %s on %s as %s", form, lines, e.Path, e.Backend, e.header("X-Tier"))
				}
			}
		}
		if n := gold.Requests(); n != 0 {
			t.Errorf("%s: %d requests have reached /gold", form, n)
		}
		// Claims are values of headers, whatever is in them.
		e := get(t, g.url("public", "/me?x=1"), odd).ok(t).echo(t)
		if e.Backend != "open" || e.Method != "GET" || e.Path != "/me" || e.Query != "x=1" || e.Host != strings.TrimPrefix(g.url("public", ""), "http://") && e.Host != "127.0.0.1" {
			t.Errorf("%s: the backend sees %+v", form, e)
		}
		if v := e.header("X-Tier"); v == "gold" || strings.ContainsAny(v, "\r\n") {
			t.Errorf("%s: X-Tier is %q", form, v)
		}
		// The route that was judged is the route that is taken.
		key := g.createKey("--tenant", "acme")
		for path, credential := range map[string][]header{"/token": {silver}, "/key": {key.header()}, "/query?api_key=" + key.Key: nil} {
			e := get(t, g.url("public", path), credential...).ok(t).echo(t)
			if e.Backend != "gold" || e.header("Authorization") != "" || e.header("X-API-Key") != "" || strings.Contains(e.Query, "api_key") {
				t.Errorf("%s, %s: %+v", form, path, e)
			}
			plain, _, _ := strings.Cut(path, "?")
			if e := get(t, g.url("public", plain)).ok(t).echo(t); e.Backend != "open" {
				t.Errorf("%s, %s without a credential: %+v", form, plain, e)
			}
		}
		get(t, g.url("public", "/gold"), bearer(token(t, p, "sub=a", "tier=gold"))).ok(t)
	}
}
