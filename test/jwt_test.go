package test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/demo"
)

// tokens is a gateway in front of a users service that wants a token.
const tokens = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID, role: X-User-Role}
routes:
  - name: users
    match: {path: /users/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read]}]}
    to: [{backend: users}]
  - name: admins
    match: {path: /admin/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read], claims: {role: [admin, owner]}}]}
    to: [{backend: users}]
`

func startTokens(t *testing.T) (*gateway, *demo.IDP, service) {
	t.Helper()
	return startTokensIn(t, false)
}

// startTokensIn is the same with Envoy's dynamic module, or without.
func startTokensIn(t *testing.T, module bool) (*gateway, *demo.IDP, service) {
	t.Helper()
	p, users := idp(t), backend(t, "users")
	g := start(t, setup{config: tokens, module: module, values: map[string]string{"issuer": p.Issuer(), "users": users.Addr()}})
	return g, p, users
}

// TestATokenOpensItsRoute: the backend learns who asks, and never sees the
// credential.
func TestATokenOpensItsRoute(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	got := get(t, g.url("public", "/users/1"), bearer(token(t, p, "sub=alice", "role=buyer", "scope=users:read profile"))).ok(t).echo(t)
	for name, want := range map[string]string{
		"X-User-ID": "alice", "X-User-Role": "buyer", "Authorization": "",
	} {
		if v := got.header(name); v != want {
			t.Errorf("the backend sees %s %q, want %q", name, v, want)
		}
	}
	trace := got.header("X-Trace-ID")
	if len(trace) != 32 || !strings.HasPrefix(got.header("Traceparent"), "00-"+trace+"-") {
		t.Errorf("X-Trace-ID %q is not the id in traceparent %q", trace, got.header("Traceparent"))
	}
	line := g.logged("/users/1")
	for name, want := range map[string]any{
		"status": 200.0, "method": "GET", "route": "users", "backend": "users", "user": "alice",
		"reason": "allowed", "client_ip": "127.0.0.1", "trace_id": trace, "listener": "public",
	} {
		if line[name] != want {
			t.Errorf("access log: %s is %v, want %v", name, line[name], want)
		}
	}
}

// TestES256IsAsGoodAsRS256: both are pinned, and the key's kind decides.
func TestES256IsAsGoodAsRS256(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	signed := p.Token(map[string]any{"sub": "bob", "scope": "users:read"}, demo.WithAlgorithm(demo.ES256))
	get(t, g.url("public", "/users/1"), bearer(signed)).ok(t)
}

// TestTokensThatDoNotOpen: each is refused with a reason of its own, which is
// the one in the access log, and none reaches the backend.
func TestTokensThatDoNotOpen(t *testing.T) {
	t.Parallel()
	g, p, users := startTokens(t)
	sign := func(changes map[string]any, options ...demo.TokenOption) string {
		claims := map[string]any{"sub": "alice", "scope": "users:read"}
		maps.Copy(claims, changes)
		return p.Token(claims, options...)
	}
	good, stranger := sign(nil), idp(t)
	now := time.Now().Unix()

	for _, c := range []struct {
		name, credential string
		status           int
		reason           string
	}{
		{"nothing", "", 401, "credential-missing"},
		{"another key under a known id", sign(nil, demo.WithOtherKey(stranger)), 401, "token-signature-invalid"},
		{"an unknown key id", sign(nil, demo.WithUnknownKeyID()), 401, "token-key-unknown"},
		{"a changed payload", tamper(good), 401, "token-signature-invalid"},
		{"no signature", strings.Join(strings.Split(good, ".")[:2], ".") + ".", 401, "token-signature-invalid"},
		{"alg none", sign(nil, demo.WithAlgNone()), 401, "token-alg-not-allowed"},
		{"the public key as an HMAC secret", sign(nil, demo.WithPublicKeyAsSecret()), 401, "token-alg-not-allowed"},
		{"expired", sign(map[string]any{"exp": now - 3600}), 401, "token-expired"},
		{"no expiry", sign(map[string]any{"exp": nil}), 401, "token-claims-invalid"},
		{"expiry zero", sign(map[string]any{"exp": 0}), 401, "token-claims-invalid"},
		{"not yet valid", sign(map[string]any{"nbf": now + 3600}), 401, "token-not-yet-valid"},
		{"issued in the future", sign(map[string]any{"iat": now + 3600}), 401, "token-not-yet-valid"},
		{"another audience", sign(map[string]any{"aud": "billing"}), 401, "token-audience-mismatch"},
		{"another issuer", sign(map[string]any{"iss": "https://evil.example"}), 401, "token-issuer-mismatch"},
		{"no scope", sign(map[string]any{"scope": "users:write"}), 403, "scope-missing"},
		{"a scope that begins alike", sign(map[string]any{"scope": "users:readonly"}), 403, "scope-missing"},
		{"padding", good + "=", 401, "token-malformed"},
		{"garbage", "not.a.token", 401, "token-malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "/users/" + strings.ReplaceAll(c.name, " ", "-")
			var headers []header
			if c.credential != "" {
				headers = append(headers, bearer(c.credential))
			}
			before := users.Requests()
			r := get(t, g.url("public", path), headers...)
			r.denied(t, c.status, c.reason)
			if challenge := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if users.Requests() != before {
				t.Error("it reached the backend")
			}
			if line := g.logged(path); line["reason"] != c.reason {
				t.Errorf("the access log says %v", line["reason"])
			}
		})
	}
}

func TestClaimsAreAsked(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	url := g.url("public", "/admin/x")
	get(t, url, bearer(token(t, p, "scope=users:read", "role=buyer"))).denied(t, 403, "claim-mismatch")
	get(t, url, bearer(token(t, p, "scope=users:read", "role=owner"))).ok(t)
}

func TestTwoCredentialsAreOneTooMany(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	signed := token(t, p, "scope=users:read")
	get(t, g.url("public", "/users/1"), bearer(signed), bearer(signed)).denied(t, 400, "duplicate-credential")
}

// TestKeysRotate: a token by a new key is accepted as soon as it is shown, and
// the old key's are refused once the issuer has withdrawn it.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	old := token(t, p, "scope=users:read")
	get(t, g.url("public", "/users/1"), bearer(old)).ok(t)
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	get(t, g.url("public", "/users/1"), bearer(token(t, p, "scope=users:read"))).ok(t)
	eventually(t, "Envoy has not the old key either", func() error {
		if r := get(t, g.url("public", "/users/1"), bearer(old)); r.Status == http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("public", "/users/1"), bearer(old)).denied(t, 401, "token-key-unknown")
}

// TestUnknownKeysDoNotFloodTheIssuer: whatever strangers send, the issuer is
// asked for its keys once at the start, and at most once more in 30 s.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	before := p.JWKSFetches()
	for i := range 50 {
		signed := p.Token(nil, demo.WithHeader("kid", fmt.Sprint("made-up-", i)))
		get(t, g.url("public", "/users/1"), bearer(signed)).denied(t, 401, "token-key-unknown")
	}
	if n := p.JWKSFetches() - before; n > 1 {
		t.Errorf("50 unknown keys made %d fetches, want at most 1", n)
	}
}

// TestIssuerDownAtStart: its tokens cannot be judged, which is a 503 and not a
// 401; when it is there, they can, without a restart.
func TestIssuerDownAtStart(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	p.SetDown(true)
	g := start(t, setup{config: tokens, values: map[string]string{"issuer": p.Issuer(), "users": users.Addr()}})
	signed := token(t, p, "scope=users:read")
	get(t, g.url("public", "/users/1"), bearer(signed)).denied(t, 503, "jwks-unavailable")
	get(t, g.url("public", "/users/1")).denied(t, 401, "credential-missing")
	p.SetDown(false)
	eventually(t, "the keys are fetched", func() error {
		r := get(t, g.url("public", "/users/1"), bearer(signed))
		if r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
}

// tamper changes the payload of a token and keeps its signature.
func tamper(token string) string {
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "alice", "admin", 1)))
	return strings.Join(parts, ".")
}
