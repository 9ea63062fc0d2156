package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/tokentest"
)

// ourIssuer makes the tokens of authz's own tests, for the provider identity. None of them
// begins or ends to be valid within the hour.
func ourIssuer() tokentest.Issuer {
	keys := madeKeys()
	return tokentest.Issuer{
		Name: firstIssuer, Audience: "api", RSA: keys.all[0].Key, EC: keys.all[1].Key, Ed: keys.all[3].Key, Strange: keys.strange.Key,
		Now: time.Now(), Ahead: time.Hour,
	}
}

// identityRoutes are one for the tokens of authz's tests, and one for each thing that a
// route may ask of them.
func identityRoutes() []object {
	all := []object{routeTo("identity", object{"jwt": "identity"})}
	for i, d := range tokentest.Demands() {
		all = append(all, routeTo(fmt.Sprint("demand", i), requirementOf(d.Asks)))
	}
	return all
}

func routeTo(name string, requirement object) object {
	return object{"name": name, "match": object{"path": "/" + name + "/**"}, "auth": object{"anyOf": []object{requirement}}, "to": []object{{"backend": "app"}}}
}

// requirementOf is a requirement as a config says it.
func requirementOf(q config.Requirement) object {
	out := object{"jwt": "identity"}
	if q.JWT != "" {
		out["jwt"] = q.JWT
	}
	for name, texts := range map[string][]string{"scopes": q.Scopes, "anyScope": q.AnyScope, "roles": q.Roles, "requiredClaims": q.RequiredClaims} {
		if texts != nil {
			out[name] = texts
		}
	}
	if q.Claims != nil {
		out["claims"] = q.Claims
	}
	if q.Rule != "" {
		out["rule"] = q.Rule
	}
	return out
}

// askIdentityTokens asks both gateways about all tokens of authz's tests, which get the
// answers that they get there, by each way.
func (w *twins) askIdentityTokens() {
	ours := ourIssuer()
	ask := func(path string, i int, token tokentest.Token) {
		w.t.Run(path[1:]+" "+token.Name, func(t *testing.T) {
			r := wireRequest{method: "GET", target: path + "/1", headers: []header{{"Host", "api.example.com"}, bearer(token.Raw)}, by: i % len(w.ways)}
			answer := w.compare(t, r)
			if !inOneHeader(token.Raw) {
				return
			}
			want := http.StatusOK
			if token.Reason != "" {
				want = http.StatusUnauthorized
			}
			if path != "/identity" && token.Reason != "" && !strings.HasPrefix(token.Reason, "token-") {
				want = http.StatusForbidden
			}
			if answer.status != want || answer.reason() != token.Reason {
				t.Errorf("%d %q, want %d %q\n%s", answer.status, answer.reason(), want, token.Reason, token.Raw)
			}
		})
	}
	for i, token := range append(ours.Good(), ours.Hostile("http://127.0.0.1:1/")...) {
		ask("/identity", i, token)
	}
	for i, d := range tokentest.Demands() {
		raw := ours.RSA.Sign(ours.RSA.Header(), ours.Payload(d.Claims))
		ask(fmt.Sprint("/demand", i), i, tokentest.Token{Name: d.Name, Raw: raw, Reason: d.Reason})
	}
}

// inOneHeader tells whether a header can have a token as it is, and has nothing else: a
// comma would begin another credential.
func inOneHeader(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' })
}
