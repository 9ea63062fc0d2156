package main

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewright/gatewright/keys"
)

// TestTokenRevoked: what revocations know of claims, and what is said while
// there are none, or nobody knows whether there are.
func TestTokenRevoked(t *testing.T) {
	t.Parallel()
	store, err := keys.Open(t.Context(), keys.Settings{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	by, err := keys.NewRevokedTokens(store, "", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	claims := map[string]any{"iss": "i", "sub": "alice", "jti": "one", "iat": json.Number("1769860799.5")} // half a second before noon
	judged := func(what string, required, want bool) {
		t.Helper()
		if revoked, err := tokenRevoked(by, required)(claims); revoked != want || err != nil {
			t.Errorf("%s: revoked %t, %v; want %t", what, revoked, err, want)
		}
	}
	judged("nothing is known, which is allowed", false, false)
	if revoked, err := tokenRevoked(by, true)(claims); revoked || err == nil {
		t.Errorf("nothing is known, which is not allowed: revoked %t, %v", revoked, err)
	}
	by.Start(t.Context())
	judged("nothing is revoked", true, false)

	put := func(r keys.Revocation) func() {
		t.Helper()
		r.Issuer = "i"
		made, err := store.RevokeTokens(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		by.Start(t.Context())
		return func() {
			if _, err := store.RestoreTokens(t.Context(), made.ID); err != nil {
				t.Fatal(err)
			}
			by.Start(t.Context())
		}
	}
	for _, c := range []struct {
		what string
		r    keys.Revocation
		want bool
	}{
		{"by its id", keys.Revocation{TokenID: "one"}, true},
		{"another id", keys.Revocation{TokenID: "two"}, false},
		{"by its subject", keys.Revocation{Subject: "alice", IssuedBefore: noon}, true},
		{"its subject, before it was issued", keys.Revocation{Subject: "alice", IssuedBefore: noon.Add(-time.Second)}, false},
		{"by its issuer", keys.Revocation{IssuedBefore: noon}, true},
	} {
		restore := put(c.r)
		judged(c.what, true, c.want)
		restore()
		judged("restored", true, false)
	}
	put(keys.Revocation{Subject: "alice", IssuedBefore: noon})
	for _, iat := range []any{nil, "1769860800", json.Number("x")} {
		claims["iat"] = iat
		judged("a time of issue that says nothing", false, true)
	}
}
