package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const shadowed = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
  apiKey:
    partners: {from: {header: X-API-Key}, forward: {id: X-Key-ID}}
  introspection:
    legacy:
      url: http://{{.nobody}}/introspect
      clientID: gateway
      clientSecretEnv: INTROSPECT_SECRET
routes:
  - name: open
    match: {path: /open/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read], mode: shadow}, {apiKey: partners, mode: shadow}]}
    to: [{backend: users}]
  - name: tightened
    match: {path: /tightened/**}
    auth: {anyOf: [{jwt: main}, {jwt: main, rule: 'claims.tier == "gold"', mode: shadow}]}
    to: [{backend: users}]
  - name: asking
    match: {path: /asking/**}
    auth: {anyOf: [{introspection: legacy, mode: shadow}]}
    to: [{backend: users}]
`

// TestShadow: requirements in shadow deny nobody, whatever breaks in them; their
// word is in the access log, in the metrics and in the status, and is what they
// answer once they are enforced.
func TestShadow(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	g := start(t, setup{
		config: shadowed,
		values: map[string]string{"issuer": p.Issuer(), "users": users.Addr(), "nobody": testenv.Addr(t)},
		env:    []string{"INTROSPECT_SECRET=secret"},
	})
	key := g.createKey()
	reader, gold, tin := token(t, p, "sub=alice", "scope=users:read"), token(t, p, "sub=alice", "tier=gold"), token(t, p, "sub=alice", "tier=tin")
	forged := header{"X-User-ID", "admin"}
	cases := []struct {
		path         string
		headers      []header
		user, keyID  string
		shadow       any // in the access log
		whenEnforced int
	}{
		{"/open/nobody", []header{forged}, "", "", "credential-missing", 401},
		{"/open/alice", []header{forged, bearer(reader)}, "alice", "", nil, 200},
		{"/open/no-scope", []header{forged, bearer(gold)}, "", "", "scope-missing", 403},
		{"/open/key", []header{forged, key.header()}, "", key.ID, nil, 200},
		{"/open/made-up-key", []header{{"X-API-Key", "made-up"}}, "", "", "api-key-invalid", 401},
		{"/tightened/gold", []header{forged, bearer(gold)}, "alice", "", nil, 200},
		{"/tightened/tin", []header{forged, bearer(tin)}, "alice", "", "rule-denied", 403},
		{"/asking/nobody", []header{forged, bearer("opaque")}, "", "", "introspection-unavailable", 503},
	}
	for _, c := range cases {
		got := get(t, g.url("public", c.path), c.headers...).ok(t).echo(t)
		if got.header("X-User-ID") != c.user || got.header("X-Key-ID") != c.keyID {
			t.Errorf("%s: the backend sees user %q, key %q", c.path, got.header("X-User-ID"), got.header("X-Key-ID"))
		}
		if got.header("Authorization") != "" || got.header("X-API-Key") != "" {
			t.Errorf("%s: the backend sees a credential", c.path)
		}
		if line := g.logged(c.path); line["shadow"] != c.shadow || line["reason"] != "allowed" {
			t.Errorf("%s: the access log says %v, %v in shadow; want %v", c.path, line["reason"], line["shadow"], c.shadow)
		}
	}
	get(t, g.url("public", "/tightened/denied")).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/open/twice"), key.header(), key.header()).denied(t, 400, "duplicate-credential")
	g.toldOfShadow(t)

	g.write(strings.NewReplacer(", mode: shadow", "", "{jwt: main}, ", "").Replace(shadowed))
	eventually(t, "the requirements are enforced", func() error {
		if r := get(t, g.url("public", "/open/nobody")); r.Status != http.StatusUnauthorized {
			return errStatus(r)
		}
		return nil
	})
	for _, c := range cases {
		r := get(t, g.url("public", c.path), c.headers...)
		if c.shadow == nil {
			r.ok(t)
			continue
		}
		r.denied(t, c.whenEnforced, c.shadow.(string))
	}
}

const shadowedBesideAll = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
  apiKey:
    devices: {forward: {id: X-Key-ID, owner: X-User-ID}}
routes:
  - name: all
    match: {path: /all/**}
    auth: {anyOf: [{jwt: main, scopes: [a], mode: shadow}], allOf: [{apiKey: devices}]}
    to: [{backend: users}]
  - name: both
    match: {path: /both/**}
    auth: {anyOf: [{jwt: main}, {jwt: main, scopes: [a], mode: shadow}], allOf: [{apiKey: devices}]}
    to: [{backend: users}]
`

// TestShadowBesideAllOf: what all must have is enforced, and what is in shadow
// beside it is judged together with it: one caller, of both.
func TestShadowBesideAllOf(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	g := start(t, setup{config: shadowedBesideAll, values: map[string]string{"issuer": p.Issuer(), "users": users.Addr()}})
	key := g.createKey("--owner", "alice")
	reader, other, bob := bearer(token(t, p, "sub=alice", "scope=a")), bearer(token(t, p, "sub=alice")), bearer(token(t, p, "sub=bob", "scope=a"))
	forged := header{"X-User-ID", "admin"}
	for _, c := range []struct {
		path    string
		headers []header
		reason  string // empty: it passes
		shadow  any
	}{
		{"/all/key", []header{key.header()}, "", "credential-missing"},
		{"/all/key-and-token", []header{key.header(), reader}, "", nil},
		{"/all/no-scope", []header{key.header(), other}, "", "scope-missing"},
		{"/all/two-callers", []header{key.header(), bob}, "", "identity-mismatch"},
		{"/all/token", []header{reader}, "credential-missing", "credential-missing"},
		{"/all/made-up-key", []header{{"X-API-Key", "made-up"}, reader}, "api-key-invalid", "api-key-invalid"},
		{"/both/key-and-token", []header{key.header(), reader}, "", nil},
		{"/both/no-scope", []header{key.header(), other}, "", "scope-missing"},
		{"/both/key", []header{key.header()}, "credential-missing", "credential-missing"},
		{"/both/two-callers", []header{key.header(), bob}, "identity-mismatch", "identity-mismatch"},
	} {
		r := get(t, g.url("public", c.path), append(c.headers, forged)...)
		if line := g.logged(c.path); line["shadow"] != c.shadow {
			t.Errorf("%s: the access log says %v in shadow, want %v", c.path, line["shadow"], c.shadow)
		}
		if c.reason != "" {
			if r.Status == http.StatusOK || !strings.Contains(r.Body, `"`+c.reason+`"`) {
				t.Errorf("%s: %d %s, want %s", c.path, r.Status, r.Body, c.reason)
			}
			continue
		}
		got := r.ok(t).echo(t)
		if got.header("X-User-ID") != "alice" || got.header("X-Key-ID") != key.ID {
			t.Errorf("%s: the backend sees user %q, key %q", c.path, got.header("X-User-ID"), got.header("X-Key-ID"))
		}
		if got.header("Authorization") != "" || got.header("X-API-Key") != "" {
			t.Errorf("%s: the backend sees a credential", c.path)
		}
	}
	if m := g.metrics(); !strings.Contains(m, `gatewright_shadow_total{result="identity-mismatch",route="all",verdict="allowed"} 1`) {
		t.Errorf("metrics: %s", only(m, "gatewright_shadow"))
	}
}

// toldOfShadow compares metrics, status and its text with what TestShadow asked.
func (g *gateway) toldOfShadow(t *testing.T) {
	t.Helper()
	metrics := g.metrics()
	for _, line := range []string{
		`gatewright_shadow_total{result="allowed",route="open",verdict="allowed"} 2`,
		`gatewright_shadow_total{result="scope-missing",route="open",verdict="allowed"} 1`,
		`gatewright_shadow_total{result="rule-denied",route="tightened",verdict="allowed"} 1`,
		`gatewright_shadow_total{result="credential-missing",route="tightened",verdict="denied"} 1`,
		`gatewright_shadow_total{result="introspection-unavailable",route="asking",verdict="allowed"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("not there: %s\n%s", line, only(metrics, "gatewright_shadow"))
		}
	}
	var status struct {
		Shadow []struct {
			Route                         string
			Judged, WouldDeny, WouldAdmit int
			Reasons                       []struct {
				Reason          string
				Passing, Denied int
			}
		}
	}
	if err := json.Unmarshal(g.run("status", "-o", "json"), &status); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(status.Shadow), "[{asking 1 1 0 [{introspection-unavailable 1 0}]} "+
		"{open 5 3 0 [{api-key-invalid 1 0} {credential-missing 1 0} {scope-missing 1 0}]} "+
		"{tightened 3 1 0 [{credential-missing 0 1} {rule-denied 1 0}]}]"; got != want {
		t.Errorf("status says %s, want %s", got, want)
	}
	text := strings.Join(strings.Fields(string(g.run("status"))), " ")
	for _, line := range []string{"IN SHADOW JUDGED WOULD DENY WOULD ADMIT", "open 5 3 0 api-key-invalid 1", "tightened 3 1 0 rule-denied 1"} {
		if !strings.Contains(text, line) {
			t.Errorf("status does not say %q: %s", line, text)
		}
	}
}
