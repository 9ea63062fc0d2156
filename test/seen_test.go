package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTokensSeenBefore: a token that is remembered opens what it did, tells the
// backend the same, and closes with its own expiry, the scopes of each route, and
// the key that its issuer takes back.
func TestTokensSeenBefore(t *testing.T) {
	t.Parallel()
	p, other, users := idp(t), idp(t), backend(t, "users")
	asked := askedAbout(tokens)
	g := start(t, setup{config: asked, values: map[string]string{
		"issuer": p.Issuer(), "other": other.Issuer(), "users": users.Addr(),
	}})
	long := token(t, p, "sub=alice", "scope=users:read")
	// The skew of 30 s is used up but for twelve.
	short := p.Token(map[string]any{"sub": "bob", "scope": "users:read", "exp": time.Now().Add(-18 * time.Second).Unix()})
	get(t, g.url("public", "/users/1"), bearer(short)).ok(t)
	for range 5 {
		if got := get(t, g.url("public", "/users/1"), bearer(long)).ok(t).echo(t).header("X-User-ID"); got != "alice" {
			t.Errorf("the backend sees X-User-ID %q", got)
		}
		get(t, g.url("public", "/admin/1"), bearer(long)).denied(t, 403, "claim-mismatch")
	}
	if !strings.Contains(g.metrics(), `gatewright_token_cache_lookups_total{result="hit"} 9`) {
		t.Error("the token was not remembered")
	}
	eventually(t, "the short token has expired", func() error {
		if r := get(t, g.url("public", "/users/1"), bearer(short)); r.Status != http.StatusUnauthorized {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("public", "/users/1"), bearer(short)).denied(t, 401, "token-expired")
	get(t, g.url("public", "/users/1"), bearer(long)).ok(t)

	// The issuer is the same, and has other keys.
	g.replace(strings.Replace(asked, `url: "{{.issuer}}`, `url: "{{.other}}`, 1))
	eventually(t, "the key is gone", func() error {
		if r := get(t, g.url("public", "/users/1"), bearer(long)); r.Status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", r.Status)
		}
		return nil
	})
	get(t, g.url("public", "/users/1"), bearer(long)).denied(t, 401, "token-key-unknown")
}
