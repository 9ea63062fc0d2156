package explain

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/demo"
)

const gateway = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends:
  app: {endpoints: ["10.0.0.1:80"]}
  next: {endpoints: ["10.0.0.2:80"]}
auth:
  jwt:
    here: {issuer: "http://id.example", audiences: [api], jwks: {inline: '{{KEYS}}'}, forward: {sub: X-User-ID}}
    afar: {issuer: "http://other.example", audiences: [api], jwks: {url: "https://other.example/jwks.json"}}
  apiKey: {partners: {}, legacy: {from: {query: api_key}}}
limits:
  per-user: {key: [user, clientIP], tokenBucket: {capacity: 20, refill: 10/s}}
  per-plan: {key: [user, "claim:plan"], tokenBucket: {capacity: 20, refill: 10/s}}
routes:
- {name: users, match: {methods: [GET], path: "/users/{id}"}, auth: {anyOf: [{jwt: here, scopes: [users:read]}, {apiKey: partners}]}, limits: [per-user], to: [{backend: app}], timeout: 5s, rewrite: {path: "/v2/{id}", host: app.internal}}
- {name: afar, match: {path: /afar}, auth: {anyOf: [{jwt: afar, scopes: [a]}]}, limits: [per-plan], to: [{backend: app}]}
- {name: both, match: {path: /both}, auth: {anyOf: [{jwt: here}, {jwt: here, scopes: [b]}], allOf: [{apiKey: partners}]}, respond: {status: 204}}
- {name: split, match: {path: /split}, auth: public, to: [{backend: app, weight: 9}, {backend: next, weight: 1}], pin: {header: X-Side, values: {new: next}}, mirror: {backend: next, percent: 5}, request: {set: {X-Secret: hush}}}
- {name: old, match: {path: /old/**}, auth: {anyOf: [{apiKey: legacy}]}, redirect: {status: 308, path: "/new/**"}}
- {name: bearer, match: {path: /old/**, headers: {Authorization: {prefix: "Basic "}}, query: {api_key: {prefix: x}}}, auth: public, respond: {status: 204}}
- {name: pages, match: {methods: [GET, PUT], path: /pages}, auth: public, to: [{backend: app}], cors: {origins: ["https://shop.example"]}, upgrades: [websocket]}
`

// world is a gateway, and an issuer whose keys it has.
type world struct {
	Options
	issuer *demo.IDP
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) world {
	t.Helper()
	issuer, err := demo.NewIDP("http://id.example", func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("gateway.yaml", []byte(strings.Replace(gateway, "{{KEYS}}", publicKeys(issuer), 1)))
	if err != nil {
		t.Fatal(err)
	}
	sets := authz.NewKeySets(authz.KeySetsOptions{})
	t.Cleanup(sets.Close)
	sets.Ensure(t.Context(), []*config.JWT{c.Auth.JWT["here"]})
	return world{Options{Config: c, KeySets: sets, At: noon, ClientIPKey: func(a string, _ int) string { return a }}, issuer}
}

func publicKeys(p *demo.IDP) string {
	answer := httptest.NewRecorder()
	p.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/jwks.json", nil))
	return strings.Join(strings.Fields(answer.Body.String()), " ")
}

// ask is the report on a GET, or on "METHOD URL".
func (w world) ask(t *testing.T, request string, headers ...[2]string) Report {
	t.Helper()
	method, address, found := strings.Cut(request, " ")
	if !found {
		method, address = "GET", request
	}
	asked, err := ParseURL("http://A.example:81" + address)
	if err != nil {
		t.Fatal(err)
	}
	asked.Method, asked.Headers, asked.ClientIP = method, headers, "192.0.2.7"
	return Explain(t.Context(), w.Options, asked)
}

func (w world) token(claims map[string]any, options ...demo.TokenOption) [2]string {
	return [2]string{"Authorization", "Bearer " + w.issuer.Token(claims, options...)}
}

// TestWhatPoliciesSay: what a token is refused for is what Check refuses it for.
func TestWhatPoliciesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	good := map[string]any{"sub": "alice", "scope": "users:read", "plan": "gold"}
	foreign := func(changes ...string) map[string]any {
		claims := map[string]any{"iss": "http://other.example", "sub": "bob", "scope": "a", "plan": "iron"}
		for i := 0; i < len(changes); i += 2 {
			claims[changes[i]] = changes[i+1]
		}
		return claims
	}
	for name, c := range map[string]struct {
		path    string
		headers [][2]string
		verdict Verdict
		reason  string
	}{
		"nothing":             {"/users/7", nil, Denied, "credential-missing"},
		"good":                {"/users/7", [][2]string{w.token(good)}, Passes, ""},
		"forged":              {"/users/7", [][2]string{other.token(good)}, Denied, "token-key-unknown"},
		"another key":         {"/users/7", [][2]string{w.token(good, demo.WithOtherKey(other.issuer))}, Denied, "token-signature-invalid"},
		"alg none":            {"/users/7", [][2]string{w.token(good, demo.WithAlgNone())}, Denied, "token-alg-not-allowed"},
		"no scope":            {"/users/7", [][2]string{w.token(map[string]any{"sub": "a"})}, Denied, "scope-missing"},
		"expired":             {"/users/7", [][2]string{w.token(map[string]any{"exp": noon.Add(-time.Hour).Unix()})}, Denied, "token-expired"},
		"two":                 {"/users/7", [][2]string{w.token(good), w.token(good)}, Denied, "duplicate-credential"},
		"a key":               {"/users/7", [][2]string{{"X-API-Key", "gw_sesame"}}, Unknown, ""},
		"a key with a space":  {"/users/7", [][2]string{{"X-API-Key", "a b"}}, Denied, "api-key-invalid"},
		"no scope, but a key": {"/users/7", [][2]string{w.token(map[string]any{"sub": "a"}), {"X-API-Key", "gw_sesame"}}, Unknown, ""},
		"good, and a key":     {"/users/7", [][2]string{w.token(good), {"X-API-Key", "gw_sesame"}}, Passes, ""},

		"unverified":              {"/afar", [][2]string{w.token(foreign())}, Unknown, ""},
		"unverified, no scope":    {"/afar", [][2]string{w.token(foreign("scope", "b"))}, Denied, "scope-missing"},
		"unverified, other aud":   {"/afar", [][2]string{w.token(foreign("aud", "b"))}, Denied, "token-audience-mismatch"},
		"another issuer":          {"/afar", [][2]string{w.token(good)}, Denied, "token-issuer-mismatch"},
		"unverified, alg none":    {"/afar", [][2]string{w.token(foreign(), demo.WithAlgNone())}, Denied, "token-alg-not-allowed"},
		"a key where none counts": {"/afar", [][2]string{{"X-API-Key", "gw_sesame"}}, Denied, "credential-missing"},
	} {
		r := w.ask(t, c.path, c.headers...)
		if r.Auth == nil || r.Auth.Verdict != c.verdict || (r.Auth.Denied != nil) != (c.reason != "") || c.reason != "" && r.Auth.Denied.Reason != c.reason {
			t.Errorf("%s: %+v, want %s %s", name, r.Auth, c.verdict, c.reason)
		}
	}
	said := w.ask(t, "/users/7", w.token(good)).Limits[0]
	if said.Key[0].Value != "here:alice" || said.Key[1].Value != "192.0.2.7" {
		t.Errorf("counted by %+v", said)
	}
	if said := w.ask(t, "/afar", w.token(foreign())).Limits[0]; said.Key[0].Value != "afar:bob" || said.Key[1].Value != "iron" {
		t.Errorf("counted by %+v, were the signature good", said)
	}
	if said := w.ask(t, "/users/7", [2]string{"X-API-Key", "gw_sesame"}, w.token(map[string]any{})).Limits[0]; said.Key[0].Unknown == "" || said.Key[1].Unknown != "" {
		t.Errorf("counted by %+v, whoever's key it is", said)
	}
	if r := w.ask(t, "/afar", w.token(foreign())); !strings.Contains(r.Auth.AnyOf[0].Unverified, "--jwks afar=FILE") {
		t.Errorf("what is missing: %+v", r.Auth.AnyOf[0])
	}
}

func TestWhatHappensThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	then := w.ask(t, "/users/7?x=1").Then
	if then.Host != "app.internal" || then.Path != "/v2/7?x=1" || then.Timeout != "5s" || then.Retry != "none" || then.Backends[0].Endpoints[0] != "10.0.0.1:80" {
		t.Errorf("%+v", then)
	}
	then = w.ask(t, "/split").Then
	if len(then.Backends) != 2 || then.Backends[1].Share != "1 of 10" || then.Mirrors[0] != "next gets a copy of 5 % of the requests" || !slices.Contains(then.Changes, "request: sets X-Secret") {
		t.Errorf("%+v", then)
	}
	if then = w.ask(t, "/split", [2]string{"x-side", "new"}).Then; len(then.Backends) != 1 || then.Backends[0].Name != "next" {
		t.Errorf("pinned: %+v", then)
	}
	then = w.ask(t, "/old/a?api_key=sesame&q=1").Then
	if then.Location != "http://a.example/new/a?q=1" || then.Answer.Status != 308 {
		t.Errorf("%+v", then)
	}
	then = w.ask(t, "PUT /pages", [2]string{"Upgrade", "h2c"}).Then
	if !strings.Contains(then.Upgrade, "403 upgrade-refused") || !strings.Contains(then.CORS, "https://shop.example may call it by GET, PUT") {
		t.Errorf("%+v", then)
	}
	if then = w.ask(t, "PUT /pages", [2]string{"Upgrade", "WebSocket"}).Then; then.Upgrade != "the connection is upgraded to websocket" {
		t.Errorf("%+v", then)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for request, want := range map[string]string{
		"/users%2f7":     "400: ",
		"/users/\x01":    "400: ",
		"/x/%2e%2e;/y":   "400 path-refused: ",
		"TRACE /split":   "405 method-refused: ",
		"/nowhere":       "404 route-not-found: ",
		"POST /users/7":  "404 route-not-found: ",
		"OPTIONS /pages": "404 route-not-found: ",
	} {
		if r := w.ask(t, request); r.Refused == nil || !strings.HasPrefix(r.Refused.String(), want) || r.Chosen != nil || r.Auth != nil {
			t.Errorf("%s: %+v", request, r.Refused)
		}
	}
	if r := w.ask(t, "/users/7", [2]string{"X_User_ID", "root"}); r.Refused == nil || r.Refused.Status != 400 {
		t.Errorf("an underscore: %+v", r.Refused)
	}
	r := w.ask(t, "/x/..//users/7", [2]string{"x-user-id", "root"})
	if len(r.Notes) != 2 || r.Route != "users" || r.Request.Host != "a.example" {
		t.Errorf("%+v", r)
	}
	preflight := w.ask(t, "OPTIONS /pages", [2]string{"Origin", "https://shop.example"}, [2]string{"Access-Control-Request-Method", "PUT"})
	if preflight.Refused.Status != 200 || !strings.Contains(preflight.Refused.Detail, "pages") {
		t.Errorf("a preflight: %+v", preflight.Refused)
	}
}

// TestNoCredentialIsPrinted: whatever is asked, what is said has no secret in it.
func TestNoCredentialIsPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(map[string]any{"sub": "alice", "scope": "users:read"})
	secrets := append(strings.Split(token[1], ".")[1:], "sesame", "hush", "basic-secret")
	key := [2]string{"X-API-Key", "gw_sesame"}
	basic := [2]string{"Authorization", "basic-secret"}
	for _, path := range []string{"/users/7", "/afar", "/old/a?api_key=sesame", "/old/a?api%5Fkey=sesame&api_key=sesame", "/split?api_key=sesame", "/nowhere?api_key=sesame", "/a%2f?api_key=sesame"} {
		for _, headers := range [][][2]string{{token, key}, {token, token}, {basic, key}} {
			r := w.ask(t, path, headers...)
			var text strings.Builder
			if err := r.Write(&text); err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range secrets {
				if strings.Contains(text.String()+string(encoded), secret) {
					t.Errorf("%s: %q is said:\n%s%s", path, secret, &text, encoded)
				}
			}
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"https://api.example.com/a/b?x=1":      {"api.example.com", "/a/b?x=1"},
		"http://a":                             {"a", "/"},
		"http://a?x":                           {"a", "/?x"},
		"http://a:80/../b//%2e%2e;/%2F#x":      {"a:80", "/../b//%2e%2e;/%2F"},
		`http://[::1]:80\x`:                    {"[::1]:80", `\x`},
		"http://a/b%zz?u=http://user:pw@other": {"a", "/b%zz?u=http://user:pw@other"},
	} {
		if got, err := ParseURL(text); err != nil || got.Host != want[0] || got.Path != want[1] {
			t.Errorf("%s: %q %q %v", text, got.Host, got.Path, err)
		}
	}
	for _, text := range []string{"", "/a", "ftp://a/", "http:///a", "http://u:p@a/", "http://a b/"} {
		if got, err := ParseURL(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
