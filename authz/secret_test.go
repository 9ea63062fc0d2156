package authz

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/tokentest"
	"github.com/prometheus/client_golang/prometheus"
)

// Secrets of each length that an algorithm needs.
var (
	secret32 = strings.Repeat("k", 31) + "1"
	secret64 = strings.Repeat("k", 63) + "2"
)

// secretJWT is a provider whose tokens are made with a secret.
func secretJWT(algorithms ...string) *config.JWT {
	return &config.JWT{
		Name: "shared", Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: algorithms,
		SecretEnv: "S", Forward: map[string]string{"sub": "X-User-ID"},
	}
}

// secretSets are key sets that read secrets from env.
func secretSets(t testing.TB, env map[string]string, providers ...*config.JWT) *KeySets {
	t.Helper()
	k := NewKeySets(KeySetsOptions{Getenv: func(name string) string { return env[name] }})
	t.Cleanup(k.Close)
	k.Ensure(t.Context(), providers)
	return k
}

// mac makes a token with a secret, by the algorithm that its header names or not.
func mac(alg, header, payload string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	m := hmac.New(macs[alg].New, secret)
	m.Write([]byte(input))
	return input + "." + b64(m.Sum(nil))
}

func macToken(alg string, secret string) string {
	return mac(alg, `{"alg":"`+alg+`","typ":"JWT"}`, payloadOf(nil), []byte(secret))
}

func TestTokensByASecret(t *testing.T) {
	good := macToken("HS256", secret64)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	cut := good[:len(good)-len(signature)]
	rs := rsaSigner()
	for name, c := range map[string]struct {
		token string
		want  Reason
	}{
		"HS256":                   {good, ReasonAllowed},
		"HS384":                   {macToken("HS384", secret64), ReasonAllowed},
		"HS512":                   {macToken("HS512", secret64), ReasonAllowed},
		"a kid, which says none":  {mac("HS256", `{"alg":"HS256","kid":"x"}`, payloadOf(nil), []byte(secret64)), ReasonAllowed},
		"the secret before":       {macToken("HS256", secret32), ReasonAllowed},
		"another secret":          {macToken("HS256", secret64+"x"), ReasonTokenSignatureInvalid},
		"a secret cut":            {macToken("HS256", secret64[:63]), ReasonTokenSignatureInvalid},
		"the empty secret":        {macToken("HS256", ""), ReasonTokenSignatureInvalid},
		"the variable's name":     {macToken("HS256", "S"), ReasonTokenSignatureInvalid},
		"no MAC":                  {cut, ReasonTokenSignatureInvalid},
		"half of the MAC":         {cut + b64([]byte(must(decodeSegment(signature)))[:16]), ReasonTokenSignatureInvalid},
		"more than the MAC":       {cut + b64(append(must(decodeSegment(signature)), 0)), ReasonTokenSignatureInvalid},
		"the MAC of another hash": {mac("HS512", `{"alg":"HS256"}`, payloadOf(nil), []byte(secret64)), ReasonTokenSignatureInvalid},
		"another payload":         {strings.Replace(good, b64([]byte(payloadOf(nil))), b64([]byte(payloadOf(map[string]any{"sub": "mallory"}))), 1), ReasonTokenSignatureInvalid},
		"hs256":                   {mac("HS256", `{"alg":"hs256"}`, payloadOf(nil), []byte(secret64)), ReasonTokenAlgNotAllowed},
		"none":                    {b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(payloadOf(nil))) + ".", ReasonTokenAlgNotAllowed},
		"a public key's":          {rs.token(nil), ReasonTokenAlgNotAllowed},
		"expired":                 {mac("HS256", `{"alg":"HS256"}`, payloadOf(map[string]any{"exp": noon.Unix() - 31}), []byte(secret64)), ReasonTokenExpired},
		"another issuer":          {mac("HS256", `{"alg":"HS256"}`, payloadOf(map[string]any{"iss": "x"}), []byte(secret64)), ReasonTokenIssuerMismatch},
		"another audience":        {mac("HS256", `{"alg":"HS256"}`, payloadOf(map[string]any{"aud": "x"}), []byte(secret64)), ReasonTokenAudienceMismatch},
		"a key in its header":     {mac("HS256", `{"alg":"HS256","jwk":{"kty":"oct","k":"AQ"}}`, payloadOf(nil), []byte{1}), ReasonTokenHeaderNotAllowed},
		"another spelling of MAC": {good[:len(good)-1] + tokentest.NonCanonical(good[len(good)-1:]), ReasonTokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			provider := secretJWT("HS256", "HS384", "HS512")
			provider.PreviousSecretEnv = "OLD"
			keys := secretSets(t, map[string]string{"S": secret64, "OLD": "base64:" + b64([]byte(secret32+strings.Repeat("o", 32)))}, provider)
			token := c.token
			if name == "the secret before" {
				token = macToken("HS256", secret32+strings.Repeat("o", 32))
			}
			if _, reason := verifyRaw(t.Context(), keys, provider, token, noon); reason != c.want {
				t.Errorf("%s, want %s", reason, c.want)
			}
		})
	}
	if _, reason := verifyRaw(t.Context(), secretSets(t, map[string]string{"S": secret64}, secretJWT("HS512")), secretJWT("HS512"), good, noon); reason != ReasonTokenAlgNotAllowed {
		t.Errorf("an algorithm that is not listed: %s", reason)
	}
}

// The example of RFC 7520, section 4.4, by its secret.
func TestCookbookMAC(t *testing.T) {
	example := readJSON[cookbookExample](t, vectors(t, "jose-cookbook", "jws", "4_4.hmac-sha2_integrity_protection.json"))
	var key map[string]any
	if err := json.Unmarshal(example.Input.Key, &key); err != nil {
		t.Fatal(err)
	}
	group := wycheproofGroup{Private: key}
	if token := example.Output.Compact; !verifiesMAC(t, group, token) || verifiesMAC(t, group, token[:len(token)-2]+"AA") {
		t.Error("the example does not verify, or does so when it is changed")
	}
}

// A public key is never a secret, and a secret never stands for a public key:
// neither by what a token says, nor by a config that nobody has validated.
func TestPublicKeysAreNoSecrets(t *testing.T) {
	rs := rsaSigner()
	pem := string(publicPEM(rs))
	public := mainJWT()
	public.Algorithms = []string{"RS256", "HS256"}
	both := mainJWT()
	both.Name, both.Algorithms, both.SecretEnv = "both", []string{"RS256", "HS256"}, "S"
	keys := secretSets(t, map[string]string{"S": secret32}, public, both)
	for name, c := range map[string]struct {
		provider *config.JWT
		token    string
	}{
		"HS256 under the public key":                  {public, mac("HS256", `{"alg":"HS256","kid":"rsa-1"}`, payloadOf(nil), []byte(pem))},
		"HS256 under the modulus":                     {public, mac("HS256", `{"alg":"HS256","kid":"rsa-1"}`, payloadOf(nil), must(decodeSegment(rs.jwk()["n"].(string))))},
		"HS256 under the public key, beside a secret": {both, mac("HS256", `{"alg":"HS256","kid":"rsa-1"}`, payloadOf(nil), []byte(pem))},
		"RS256 beside a secret":                       {both, rs.token(nil)},
	} {
		if _, reason := verifyRaw(t.Context(), keys, c.provider, c.token, noon); reason == ReasonAllowed {
			t.Errorf("%s: allowed", name)
		}
	}
	// Behind the algorithms' names, the types of keys keep them apart, too.
	parsed, refused := parseToken(mac("HS256", `{"alg":"HS256"}`, payloadOf(nil), []byte(pem)))
	if refused != nil || verifySignature(parsed, rs.priv.Public()) {
		t.Error("an RSA key verifies a MAC")
	}
	parsed, refused = parseToken(rs.token(nil))
	if refused != nil || verifySignature(parsed, &tokenSecret{secrets: [][]byte{[]byte(pem)}}) {
		t.Error("a secret verifies RS256")
	}
}

// TestSecretsOfTokensChange: a token that is remembered is judged by the secrets of
// now, and one whose secret is gone is refused.
func TestSecretsOfTokensChange(t *testing.T) {
	env := map[string]string{"OLD": secret32, "NEW": secret64}
	before, between, after := secretJWT("HS256"), secretJWT("HS256"), secretJWT("HS256")
	before.SecretEnv, after.SecretEnv = "OLD", "NEW"
	between.SecretEnv, between.PreviousSecretEnv = "NEW", "OLD"
	keys := secretSets(t, env, before, between, after)
	g := newGate(t, keys, func(o *Options) { o.Tokens = 100 })
	old, now := macToken("HS256", secret32), macToken("HS256", secret64)
	for _, step := range []struct {
		provider *config.JWT
		old, now Reason
	}{
		{before, ReasonAllowed, ReasonTokenSignatureInvalid},
		{between, ReasonAllowed, ReasonAllowed},
		{after, ReasonTokenSignatureInvalid, ReasonAllowed},
	} {
		hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: step.provider}}})
		for range 2 { // the second is remembered
			if got := reasonOf(g.check(t, ask(hash, "/users", line{"authorization", "Bearer " + old}))); got != step.old {
				t.Errorf("secret %s and %s, the old token: %s", step.provider.SecretEnv, step.provider.PreviousSecretEnv, got)
			}
			if got := reasonOf(g.check(t, ask(hash, "/users", line{"authorization", "Bearer " + now}))); got != step.now {
				t.Errorf("secret %s and %s, the new token: %s", step.provider.SecretEnv, step.provider.PreviousSecretEnv, got)
			}
		}
	}
}

// TestSecretsThatCannotBeRead make their provider's tokens a 503, and are not told.
func TestSecretsThatCannotBeRead(t *testing.T) {
	for name, secret := range map[string]string{
		"not set": "", "short": secret32[:31], "with a line break": secret32 + "\n", "no base64": "base64:" + strings.Repeat("?", 44), "short in base64": "base64:" + b64([]byte(secret32[:31])),
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuffer
			k := NewKeySets(KeySetsOptions{Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: prometheus.NewRegistry(), Getenv: func(string) string { return secret }})
			defer k.Close()
			provider := secretJWT("HS256")
			k.Ensure(t.Context(), []*config.JWT{provider})
			if _, reason := verifyRaw(t.Context(), k, provider, macToken("HS256", secret), noon); reason != ReasonJWKSUnavailable {
				t.Errorf("%s", reason)
			}
			if text := log.String(); !strings.Contains(text, "reading S") || secret != "" && strings.Contains(text, strings.TrimSpace(secret)) {
				t.Errorf("the log: %s", text)
			}
		})
	}
	if shown := fmt.Sprintf("%v %+v %#v", &tokenSecret{secrets: [][]byte{[]byte(secret32)}}, &tokenSecret{}, &tokenSecret{secrets: [][]byte{[]byte(secret32)}}); strings.Contains(shown, "107") || strings.Contains(shown, secret32) {
		t.Errorf("a secret shows itself: %s", shown)
	}
}
