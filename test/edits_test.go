package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/demo"
)

const variables = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `  apiKey:
    keys: {forward: {owner: X-Account}}
routes:
  - {name: other, match: {path: /other/**}, auth: public, to: [{backend: app}]}
  - name: told
    match: {path: /told}
    auth: {anyOf: [{jwt: main}, {apiKey: keys}]}
    to: [{backend: app}]
    request: {set: {X-Tenant: "${claims.tenant}", X-Who: "user=${user}", X-Roles: "${claims.roles}"}, add: {X-Also: "${claims.tenant}"}}
    response: {set: {X-For: "${user}", X-Lacking: "${claims.nothing}"}}
    rewrite: {query: {set: {tenant: "${claims.tenant}", user: "${user}"}}}
  - name: known
    match: {path: "/shops/{shop}/items/{item}"}
    auth: public
    to: [{backend: app}]
    request:
      set: {X-Shop: "${path.shop}", X-Item: "item ${path.item}", X-Host: "${host}", X-Method: "${method}", X-Path: "${path}", X-Page: "${query.page}", X-IP: "${client_ip}", X-Route: "${route}", X-Id: "${request_id}", X-Copy: "${header.X-Copied}", X-Literal: "100%25 $${host} %REQ(X-Copied)%"}
      add: {X-Extra: "${query.page}"}
      rename: {X-Old: X-New}
    response: {set: {X-Shop: "${path.shop}", X-Asked: "${host}${path}"}, rename: {X-Backend: X-Served-By}}
    rewrite:
      path: "/v2/{shop}/{item}"
      host: app.internal
      query: {set: {item: "${path.item}", fixed: "a&b=c d", from: "${header.X-Copied}"}, add: {more: "1"}, remove: [debug, "a b"], rename: {q: query}}
  - name: host
    match: {path: "/tenants/{tenant}"}
    auth: public
    to: [{backend: app}]
    rewrite: {host: "${path.tenant}.internal"}
  - {name: gold-host, match: {hosts: [gold.internal], path: /by-header}, auth: public, respond: {status: 299}}
  - {name: gold-header, match: {path: /gold, headers: {X-Gold: {present: true}}}, auth: public, respond: {status: 299}}
  - {name: gold-query, match: {path: /gold, query: {gold: {present: true}}}, auth: public, respond: {status: 299}}
  - name: no-gold
    match: {path: /gold}
    auth: public
    to: [{backend: app}]
    request: {set: {X-Gold: "${header.X-Other}"}}
    rewrite: {query: {rename: {other: gold}}}
  - {name: host-of-header, match: {path: /by-header}, auth: public, to: [{backend: app}], rewrite: {host: "${header.X-To}"}}
`

func startVariables(t *testing.T) (*gateway, *demo.IDP) {
	t.Helper()
	p := idp(t)
	return start(t, setup{config: variables, values: map[string]string{"app": backend(t, "app").Addr(), "issuer": p.Issuer()}}), p
}

// TestHeadersFromClaims: the backend hears of verified claims alone, in a form that
// is one header; and nobody else can say the same, on any route.
func TestHeadersFromClaims(t *testing.T) {
	t.Parallel()
	g, id := startVariables(t)
	url := g.url("public", "/told?tenant=forged&user=root&keep=1")
	forged := []header{{"X-Tenant", "forged"}, {"X-Who", "user=root"}, {"X-Also", "forged"}, {"X-Roles", "admin"}}
	r := get(t, url, append(forged, bearer(id.Token(map[string]any{"sub": "ann", "tenant": "a&b=c\r\nX-Evil: 1 ü", "roles": []string{"r,1", "r2"}})))...).ok(t)
	e := r.echo(t)
	for name, want := range map[string]string{
		"X-Tenant": "a&b=c%0D%0AX-Evil: 1 %C3%BC", "X-Who": "user=ann", "X-Also": "a&b=c%0D%0AX-Evil: 1 %C3%BC", "X-Roles": "r%2C1,r2", "X-Evil": "",
	} {
		if got := e.header(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if want := "keep=1&tenant=a%26b%3Dc%0D%0AX-Evil%3A%201%20%C3%BC&user=ann"; e.Query != want {
		t.Errorf("the query is %s, want %s", e.Query, want)
	}
	r.wantHeaders(t, map[string]string{"X-For": "ann", "X-Lacking": ""})

	// A caller without the claim, and routes that say nothing of it.
	e = get(t, url, append(forged, bearer(id.Token(map[string]any{"sub": "bob"})))...).ok(t).echo(t)
	if got := e.header("X-Tenant") + e.header("X-Also") + e.header("X-Roles") + e.header("X-Who"); got != "user=bob" || e.Query != "keep=1&user=bob" {
		t.Errorf("without the claim the backend sees %q and %s", got, e.Query)
	}
	e = get(t, g.url("public", "/told"), append(forged, g.createKey().header())...).ok(t).echo(t)
	if got := e.header("X-Tenant") + e.header("X-Also"); got != "" || !strings.HasPrefix(e.header("X-Who"), "user=") || e.header("X-Who") == "user=root" {
		t.Errorf("with an API key the backend sees %q, X-Who %q", got, e.header("X-Who"))
	}
	e = get(t, g.url("public", "/other/x"), forged...).ok(t).echo(t)
	if got := e.header("X-Tenant") + e.header("X-Also") + e.header("X-Who") + e.header("X-Roles"); got != "" {
		t.Errorf("another route let %q through", got)
	}
	get(t, url, bearer(id.Token(map[string]any{"sub": "ann", "tenant": strings.Repeat("x", 2000)}))).denied(t, http.StatusUnauthorized, "token-claims-invalid")
}

// TestHeadersFromTheRequest: what a client says becomes the value that is meant, and
// nothing else.
func TestHeadersFromTheRequest(t *testing.T) {
	t.Parallel()
	g, _ := startVariables(t)
	r := get(t, g.url("public", "/shops/a&x=1/items/7%2e5?page=2%0d%0aX-Evil:%201&q=1+2&debug=1&query=old&a+b=1&%64ebug=2&item=forged&z"),
		header{"Host", "Shop.example.com"}, header{"X-Copied", "v&admin=1 %41"}, header{"X-Copied", "w"}, header{"X-Old", "1"}, header{"X-Old", "2"}, header{"X-New", "forged"}, header{"X-Shop", "forged"}).ok(t)
	e := r.echo(t)
	for name, want := range map[string]string{
		"X-Shop": "a&x=1", "X-Item": "item 7.5", "X-Method": "GET", "X-Path": "/shops/a&x=1/items/7.5", "X-Page": "2%0d%0aX-Evil:%201",
		"X-Ip": "127.0.0.1", "X-Route": "known", "X-Copy": "v&admin=1 %41,w", "X-Evil": "", "X-Old": "", "X-New": "1|2", "X-Extra": "2%0d%0aX-Evil:%201",
		"X-Literal": "100%25 ${host} %REQ(X-Copied)%",
	} {
		if got := e.header(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := e.header("X-Id"); got == "" || got != e.header("X-Request-Id") {
		t.Errorf("X-Id is %q, and the request's id %q", got, e.header("X-Request-Id"))
	}
	if want := "page=2%0d%0aX-Evil:%201&query=1+2&z&fixed=a%26b%3Dc%20d&from=v%26admin%3D1%20%2541%2Cw&item=7.5&more=1"; e.Query != want {
		t.Errorf("the query is %s, want %s", e.Query, want)
	}
	if e.Path != "/v2/a&x=1/7.5" || e.Host != "app.internal" {
		t.Errorf("the backend is asked for %s%s", e.Host, e.Path)
	}
	r.wantHeaders(t, map[string]string{"X-Shop": "a&x=1", "X-Backend": "", "X-Served-By": "app"})
	if got := r.Header.Get("X-Asked"); !strings.EqualFold(got, "shop.example.com/shops/a&x=1/items/7.5") {
		t.Errorf("X-Asked is %q", got)
	}
	line := g.logged("/shops/a&x=1/items/7.5")
	if line["route"] != "known" || line["path"] != "/shops/a&x=1/items/7.5" {
		t.Errorf("access log: %v", line)
	}
	// What the request lacks, no header has.
	e = get(t, g.url("public", "/shops/a/items/1"), header{"X-New", "forged"}, header{"X-Copy", "forged"}, header{"X-Page", "forged"}).ok(t).echo(t)
	if got := e.header("X-New") + e.header("X-Copy") + e.header("X-Page"); got != "" || e.Query != "fixed=a%26b%3Dc%20d&item=1&more=1" {
		t.Errorf("of what the request lacks the backend sees %q and %s", got, e.Query)
	}
}

// TestHostFromTheRequest: a host is made of a request, or the request is refused.
func TestHostFromTheRequest(t *testing.T) {
	t.Parallel()
	g, _ := startVariables(t)
	if e := get(t, g.url("public", "/tenants/acme-1")).ok(t).echo(t); e.Host != "acme-1.internal" {
		t.Errorf("host %q", e.Host)
	}
	for _, tenant := range []string{"a%23", "a@b", "a:80@c", "%41%20b", "a;b", "a,b"} {
		get(t, g.url("public", "/tenants/"+tenant)).denied(t, http.StatusBadRequest, "host-refused")
	}
	if e := get(t, g.url("public", "/by-header"), header{"X-To", "there.example:8080"}).ok(t).echo(t); e.Host != "there.example:8080" {
		t.Errorf("host %q", e.Host)
	}
	for _, to := range []string{"", "a b", "a/b", "a,b", "-a", "a:b", "ü"} {
		get(t, g.url("public", "/by-header"), header{"X-To", to}).denied(t, http.StatusBadRequest, "host-refused")
	}
	get(t, g.url("public", "/by-header")).denied(t, http.StatusBadRequest, "host-refused")
}

// TestEditsChooseNoRoute: a request stays with the route that it was judged by,
// whatever the route makes of it.
func TestEditsChooseNoRoute(t *testing.T) {
	t.Parallel()
	g, _ := startVariables(t)
	if e := get(t, g.url("public", "/by-header"), header{"X-To", "gold.internal"}).ok(t).echo(t); e.Host != "gold.internal" {
		t.Errorf("host %q", e.Host)
	}
	if e := get(t, g.url("public", "/gold?other=1"), header{"X-Other", "1"}).ok(t).echo(t); e.header("X-Gold") != "1" || e.Query != "gold=1" {
		t.Errorf("the backend sees X-Gold %q and %s", e.header("X-Gold"), e.Query)
	}
	if r := get(t, g.url("public", "/gold"), header{"X-Gold", "1"}); r.Status != 299 {
		t.Errorf("the gold route itself: %d", r.Status)
	}
}
