package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// macToken is a token by HS256 of an issuer that shares a secret with the gateway.
func macToken(issuer, secret string) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	input := encode(`{"alg":"HS256","typ":"JWT"}`) + "." +
		encode(fmt.Sprintf(`{"iss":%q,"aud":"api","sub":"alice","exp":%d}`, issuer, time.Now().Add(time.Hour).Unix()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + encode(string(mac.Sum(nil)))
}

const secretTokens = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `    shared:
      issuer: "{{.issuer}}"
      audiences: [api]
      algorithms: [HS256]
      secretEnv: TOKEN_SECRET
{{with .previous}}      previousSecretEnv: {{.}}{{end}}
      forward: {sub: X-User-ID}
routes:
  - {name: shared, match: {path: /shared/**}, auth: {anyOf: [{jwt: shared}]}, to: [{backend: app}]}
  - {name: keys, match: {path: /keys/**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: either, match: {path: /either/**}, auth: {anyOf: [{jwt: main}, {jwt: shared}]}, to: [{backend: app}]}
`

// TestTokensByASecret: tokens with a MAC open the routes of the provider that has
// the secret, and no others, also where one issuer has public keys as well; and the
// secret changes with an overlap.
func TestTokensByASecret(t *testing.T) {
	t.Parallel()
	p, app := idp(t), backend(t, "app")
	secret, old := strings.Repeat("s", 32), strings.Repeat("o", 32)
	values := map[string]string{"issuer": p.Issuer(), "app": app.Addr(), "previous": "OLD_TOKEN_SECRET"}
	g := start(t, setup{config: secretTokens, values: values, env: []string{"TOKEN_SECRET=" + secret, "OLD_TOKEN_SECRET=" + old}})
	byMAC, byOld := bearer(macToken(p.Issuer(), secret)), bearer(macToken(p.Issuer(), old))
	signed := bearer(token(t, p, "sub=bob"))

	for range 2 { // the second time they are remembered
		got := get(t, g.url("public", "/shared/1"), byMAC).ok(t).echo(t)
		if got.header("X-User-ID") != "alice" || got.header("Authorization") != "" {
			t.Errorf("the backend sees the user %q and the credential %q", got.header("X-User-ID"), got.header("Authorization"))
		}
		get(t, g.url("public", "/either/1"), byMAC).ok(t)
		get(t, g.url("public", "/either/1"), signed).ok(t)
		get(t, g.url("public", "/shared/1"), byOld).ok(t)
		get(t, g.url("public", "/keys/1"), byMAC).denied(t, 401, "token-alg-not-allowed")
		get(t, g.url("public", "/shared/1"), signed).denied(t, 401, "token-alg-not-allowed")
		get(t, g.url("public", "/shared/1"), bearer(macToken(p.Issuer(), strings.Repeat("x", 32)))).denied(t, 401, "token-signature-invalid")
		get(t, g.url("public", "/shared/1"), bearer(macToken("other", secret))).denied(t, 401, "token-issuer-mismatch")
	}

	// The old secret goes: its tokens do, too, though they have been seen.
	g.write(strings.Replace(secretTokens, `{{with .previous}}      previousSecretEnv: {{.}}{{end}}`, "", 1))
	g.eventuallyAnswers("the old secret is gone", 401, "/shared/1", byOld)
	get(t, g.url("public", "/shared/1"), byMAC).ok(t)
}
