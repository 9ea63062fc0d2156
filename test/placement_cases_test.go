package test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/tokentest"
)

// placementCase is a request that was, or would have been, answered in two ways: what
// Envoy's filters take and Gatewright does not, or tell the backend in another form.
type placementCase struct {
	name   string
	auth   any
	header string // of the token, for the RSA key; empty is the usual one
	claims []claim
	// spell changes the token.
	spell func(token string) string
	// more headers.
	more []header
	// want is the status.
	want int
}

var (
	tokenOfMain   = object{"anyOf": []object{{"jwt": "main"}}}
	readerOfMain  = object{"anyOf": []object{{"jwt": "main", "scopes": []string{"users:read"}}}}
	tokenOfSecond = object{"anyOf": []object{{"jwt": "second"}}}
)

// asClaims are claims that hold, with some changed.
func asClaims(changed ...claim) []claim {
	all := []claim{
		{"iss", `"` + firstIssuer + `"`}, {"aud", `"api"`}, {"sub", `"alice"`}, {"exp", hence(time.Hour)}, {"iat", hence(-time.Minute)}, {"scope", `"users:read"`}, {"role", `"buyer"`}, {"tenant", `"acme"`},
	}
next:
	for _, c := range changed {
		for i := range all {
			if all[i].name == c.name {
				all[i] = c
				continue next
			}
		}
		all = append(all, c)
	}
	return all
}

// placementCases are judged in both places before anything is generated.
func placementCases() []placementCase {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	return []placementCase{
		{name: "a good token", auth: readerOfMain, claims: asClaims(), want: 200},
		{name: "a good token, spoofed", auth: readerOfMain, claims: asClaims(), more: []header{{"X-User-ID", "root"}, {"X-Tenant-ID", "other"}, {"Connection", "x-user-id"}}, want: 200},
		// Envoy reads claims that are not quite JSON.
		{name: "comma behind the last element", auth: tokenOfMain, claims: asClaims(claim{"x", `[1,]`}), want: 401},
		{name: "comma behind the last member", auth: tokenOfMain, claims: asClaims(claim{"x", `{"a":1,}`}), want: 401},
		{name: "name without quotation marks", auth: tokenOfMain, claims: asClaims(claim{"x", `{a:1}`}), want: 401},
		{name: "single quotation marks", auth: tokenOfMain, claims: asClaims(claim{"x", `'a'`}), want: 401},
		{name: "line break within a text", auth: tokenOfMain, claims: asClaims(claim{"x", "\"a\nb\""}), want: 401},
		{name: "tab within a text", auth: tokenOfMain, claims: asClaims(claim{"x", "\"a\tb\""}), want: 401},
		{name: "escape of eight digits", auth: tokenOfMain, claims: asClaims(claim{"x", `"\U00000041"`}), want: 401},
		{name: "nested 31 deep", auth: tokenOfMain, claims: asClaims(claim{"x", deep(31)}), want: 200},
		{name: "nested 40 deep", auth: tokenOfMain, claims: asClaims(claim{"x", deep(40)}), want: 401},
		{name: "exponent that is too small", auth: tokenOfMain, claims: asClaims(claim{"x", `1e-10000000`}), want: 401},
		{name: "exponent of nothing", auth: tokenOfMain, claims: asClaims(claim{"x", `0e1000000`}), want: 401},
		{name: "exponent that is too great for Envoy", auth: tokenOfMain, claims: asClaims(claim{"x", `1e400`}), want: 200},
		// Types and ranges that Envoy does not look at.
		{name: "exp in the year 10000", auth: tokenOfMain, claims: asClaims(claim{"exp", `253402300800`}), want: 401},
		{name: "exp in the last second of 9999", auth: tokenOfMain, claims: asClaims(claim{"exp", `253402300799.5`}), want: 401},
		{name: "iat to come", auth: tokenOfMain, claims: asClaims(claim{"iat", hence(time.Hour)}), want: 401},
		{name: "iat huge", auth: tokenOfMain, claims: asClaims(claim{"iat", `1e19`}), want: 401},
		{name: "scope is an array", auth: tokenOfMain, claims: asClaims(claim{"scope", `["users:read"]`}), want: 401},
		{name: "scope is null", auth: tokenOfMain, claims: asClaims(claim{"scope", `null`}), want: 401},
		{name: "scp is null", auth: tokenOfMain, claims: asClaims(claim{"scp", `null`}), want: 401},
		{name: "scp with a number", auth: tokenOfMain, claims: asClaims(claim{"scp", `["a",1]`}), want: 401},
		{name: "scope in scp", auth: readerOfMain, claims: asClaims(claim{"scope", `""`}, claim{"scp", `["x","users:read"]`}), want: 200},
		{name: "scope with a tab", auth: readerOfMain, claims: asClaims(claim{"scope", `"users:read\tx"`}), want: 403},
		{name: "scope that begins alike", auth: readerOfMain, claims: asClaims(claim{"scope", `"users:readonly"`}), want: 403},
		{name: "number near the one that is asked for", auth: object{"anyOf": []object{{"jwt": "main", "claims": object{"level": []string{"7"}}}}}, claims: asClaims(claim{"level", `7.00000000000000000001`}), want: 403},
		{name: "number in another spelling", auth: object{"anyOf": []object{{"jwt": "main", "claims": object{"level": []string{"7"}}}}}, claims: asClaims(claim{"level", `70e-1`}), want: 200},
		{name: "roles with a number", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `["reader",1]`}), want: 401},
		{name: "roles with a null", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `[null,"reader"]`}), want: 401},
		{name: "roles with a list", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `["reader", ["x"]]`}), want: 401},
		{name: "roles with an object", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `["reader",{}]`}), want: 401},
		{name: "roles with the greatest number", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `["reader",1.7976931348623157e308]`}), want: 401},
		{name: "one role with spaces", auth: object{"anyOf": []object{{"jwt": "main", "roles": []string{"reader"}}}}, claims: asClaims(claim{"roles", `"reader writer"`}), want: 403},
		{name: "claim in a mixed list", auth: object{"anyOf": []object{{"jwt": "main", "claims": object{"groups": []string{"a"}}}}}, claims: asClaims(claim{"groups", `[1,null,["b"],"a"]`}), want: 200},
		{name: "claim in a list of a list", auth: object{"anyOf": []object{{"jwt": "main", "claims": object{"groups": []string{"a"}}}}}, claims: asClaims(claim{"groups", `[1,["a"]]`}), want: 403},
		{name: "true that is asked for", auth: object{"anyOf": []object{{"jwt": "main", "claims": object{"active": []string{"true"}}}}}, claims: asClaims(claim{"active", `true`}), want: 200},
		{name: "scope in a text of scp", auth: readerOfMain, claims: asClaims(claim{"scope", `"x"`}, claim{"scp", `"y users:read"`}), want: 200},
		{name: "scopes apart by two spaces", auth: readerOfMain, claims: asClaims(claim{"scope", `"  x  users:read "`}), want: 200},
		{name: "scope behind a line break", auth: readerOfMain, claims: asClaims(claim{"scope", `"x\nusers:read"`}), want: 403},
		{name: "scope before a line break and a scope", auth: readerOfMain, claims: asClaims(claim{"scope", `"x\ny users:read"`}), want: 200},
		{name: "null that is required", auth: object{"anyOf": []object{{"jwt": "main", "requiredClaims": []string{"jti"}}}}, claims: asClaims(claim{"jti", `null`}), want: 403},
		// What the backend is told.
		{name: "percent sign", auth: tokenOfMain, claims: asClaims(claim{"sub", `"a%b"`}), want: 200},
		{name: "line break", auth: tokenOfMain, claims: asClaims(claim{"sub", `"a\r\nX-User-Role: admin"`}), want: 200},
		{name: "NUL", auth: tokenOfMain, claims: asClaims(claim{"tenant", `"a\u0000b"`}), want: 200},
		{name: "spaces around", auth: tokenOfMain, claims: asClaims(claim{"sub", `" a "`}), want: 200},
		{name: "not ASCII", auth: tokenOfMain, claims: asClaims(claim{"sub", `"ü"`}), want: 200},
		{name: "empty sub", auth: tokenOfMain, claims: asClaims(claim{"sub", `""`}), want: 200},
		{name: "list", auth: tokenOfMain, claims: asClaims(claim{"role", `["a,b","c"]`}), want: 200},
		{name: "mixed list", auth: tokenOfMain, claims: asClaims(claim{"role", `["a",1]`}), want: 200},
		{name: "object", auth: tokenOfMain, claims: asClaims(claim{"role", `{"a":1}`}), want: 200},
		{name: "fraction", auth: tokenOfMain, claims: asClaims(claim{"tenant", `0.5`}), want: 200},
		{name: "great number", auth: tokenOfMain, claims: asClaims(claim{"tenant", `9007199254740993`}), want: 200},
		{name: "1024 bytes", auth: tokenOfMain, claims: asClaims(claim{"role", `"` + strings.Repeat("y", 1024) + `"`}), want: 200},
		{name: "1025 bytes", auth: tokenOfMain, claims: asClaims(claim{"role", `"` + strings.Repeat("y", 1025) + `"`}), want: 401},
		{name: "name with a dot", auth: object{"anyOf": []object{{"jwt": "dotted"}}}, claims: asClaims(claim{"o.p", `"v"`}), want: 200},
		{name: "path of that name", auth: object{"anyOf": []object{{"jwt": "dotted"}}}, claims: asClaims(claim{"o", `{"p":"v"}`}), want: 200},
		{name: "true and a number", auth: tokenOfSecond, header: `{"alg":"ES256","kid":"ec-1"}`, claims: asClaims(claim{"iss", `"` + secondIssuer + `"`}, claim{"active", `true`}, claim{"level", `7`}), want: 200},
		{
			name: "rule that looks for identity headers", auth: object{"anyOf": []object{{"jwt": "main", "rule": `!("x-user-id" in request.headers)`}}},
			claims: asClaims(), more: []header{{"X-User-ID", "root"}}, want: 200,
		},
		// The token's header.
		{name: "crit", auth: tokenOfMain, header: `{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}`, claims: asClaims(), want: 401},
		{name: "b64", auth: tokenOfMain, header: `{"alg":"RS256","kid":"rsa-1","b64":false}`, claims: asClaims(), want: 401},
		{name: "logout token", auth: tokenOfMain, header: `{"alg":"RS256","kid":"rsa-1","typ":"logout+jwt"}`, claims: asClaims(), want: 401},
		{name: "ALG beside alg", auth: tokenOfMain, header: `{"alg":"RS256","ALG":"none","kid":"rsa-1"}`, claims: asClaims(), want: 401},
		{name: "kid is empty", auth: tokenOfMain, header: `{"alg":"RS256","kid":""}`, claims: asClaims(), want: 401},
		{name: "no kid", auth: tokenOfMain, header: `{"alg":"RS256"}`, claims: asClaims(), want: 200},
		{name: "huge header", auth: tokenOfMain, header: `{"alg":"RS256","kid":"rsa-1","x":"` + strings.Repeat("h", 1100) + `"}`, claims: asClaims(), want: 401},
		{name: "spaces in the header", auth: tokenOfMain, header: ` { "alg" : "RS256" , "kid" : "rsa-1" } `, claims: asClaims(), want: 200},
		// The token's spelling.
		{name: "fourth part", auth: tokenOfMain, claims: asClaims(), spell: func(s string) string { return s + "." }, want: 401},
		{name: "end of the signature", auth: tokenOfMain, claims: asClaims(), spell: tokentest.NonCanonical, want: 401},
		{name: "two spaces", auth: tokenOfMain, claims: asClaims(), spell: func(s string) string { return " " + s }, want: 401},
		{name: "longer than a token", auth: tokenOfMain, claims: asClaims(claim{"x", `"` + strings.Repeat("x", 6000) + `"`}), want: 401},
		{name: "two schemes", auth: tokenOfMain, claims: asClaims(), spell: func(s string) string { return "x, Bearer " + s }, want: 400},
	}
}

// caseRoutes are the cases' routes: one each.
func caseRoutes(cases []placementCase) []object {
	var all []object
	for i, c := range cases {
		name := fmt.Sprint("case", i)
		all = append(all, object{"name": name, "match": object{"path": "/" + name + "/**"}, "auth": c.auth, "to": []object{{"backend": "app"}}})
	}
	return all
}

// askCases asks both gateways about each case, twice: what Envoy has seen once, it may
// answer from a cache. The second time it comes by another way, where it can.
func (w *twins) askCases() {
	for i, c := range w.cases {
		w.t.Run(c.name, func(t *testing.T) {
			r := c.request(i)
			for time := range 2 {
				if r.hopByHop() {
					r.by = 0 // HTTP/2 has no such headers
				} else {
					r.by = time * i % len(w.ways)
				}
				if answer := w.compare(t, r); answer.status != c.want {
					t.Errorf("%d, want %d\n%s\n%s\n%s", answer.status, c.want, answer.headers, answer.body, payload(c.claims))
				}
			}
		})
	}
}

// limitCases are what is asked about, one after the other, on a route each whose limit
// has room for one request.
func limitCases() map[string][]placementCase {
	usual, noKID := placementCase{claims: asClaims()}, placementCase{claims: asClaims(), header: `{"alg":"RS256"}`}
	ok := func(c placementCase) placementCase { c.want = 200; return c }
	used := func(c placementCase) placementCase { c.want = 429; return c }
	return map[string][]placementCase{
		// A verdict that lets the request pass, and a limit behind it that does not.
		"asked about and one too many": {ok(noKID), used(noKID), used(usual)},
		"one too many after another":   {ok(usual), used(usual), used(noKID)},
	}
}

func limitCaseRoutes() (all []object) {
	for i := range len(limitCases()) {
		r := routeTo(fmt.Sprint("limited", i), object{"jwt": "main"})
		r["limits"] = []string{r["name"].(string)}
		all = append(all, r)
	}
	return all
}

// askLimitCases asks both gateways about them.
func (w *twins) askLimitCases() {
	all := limitCases()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		w.t.Run(name, func(t *testing.T) {
			for n, c := range all[name] {
				r := c.request(i)
				r.target, r.by = fmt.Sprintf("/limited%d/1", i), n%len(w.ways)
				if answer := w.compare(t, r); answer.status != c.want && w.askedAnew() == 0 {
					t.Errorf("the request %d: %d, want %d\n%s\n%s", n+1, answer.status, c.want, answer.headers, answer.body)
				}
			}
		})
	}
}

func (r wireRequest) hopByHop() bool {
	return slices.ContainsFunc(r.headers, func(h header) bool { return h.name == "Connection" })
}

// request is the case's, to its route, the i-th.
func (c placementCase) request(i int) wireRequest {
	key, alg := madeKeys().all[0], "RS256"
	if strings.Contains(c.header, "ES256") {
		key, alg = madeKeys().all[1], "ES256"
	}
	jose := c.header
	if jose == "" {
		jose = key.HeaderFor(alg)
	}
	token := key.SignAs(alg, jose, payload(c.claims))
	if c.spell != nil {
		token = c.spell(token)
	}
	return wireRequest{method: "GET", target: fmt.Sprintf("/case%d/1", i), headers: append([]header{{"Host", "api.example.com"}, bearer(token)}, c.more...)}
}

func segmentText(segment string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(segment)
	return string(text), err
}
