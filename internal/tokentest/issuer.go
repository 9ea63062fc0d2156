package tokentest

import (
	"encoding/json"
	"maps"
	"time"
)

// Issuer is whose tokens are made, for an audience, at a time. Its set has RSA, EC and Ed,
// and a provider that takes its tokens allows RS256, PS256, ES256 and EdDSA.
type Issuer struct {
	Name, Audience string
	// RSA signs by RS256, EC by ES256, Ed by EdDSA.
	RSA, EC, Ed Key
	// Strange is an RSA key that is not in the set, though it has the kid of RSA.
	Strange Key
	// Now is when the tokens are judged. They hold from a minute before it to an hour
	// after it.
	Now time.Time
	// Ahead is how far after Now it is when those that are not valid yet become so: more
	// than the provider's leeway, and than what passes before they are judged.
	Ahead time.Duration
}

// Token is one that is to be judged.
type Token struct {
	// Name says what is particular about it.
	Name string
	// Raw is the token, without a scheme.
	Raw string
	// Reason is why it is refused, as a denial says it; empty where it is not.
	Reason string
}

// Payload are claims that hold, with members set or, by nil, taken out.
func (i Issuer) Payload(changed map[string]any) string {
	claims := map[string]any{
		"iss": i.Name, "aud": i.Audience, "sub": "alice",
		"exp": i.Now.Add(time.Hour).Unix(), "iat": i.Now.Add(-time.Minute).Unix(),
		"scope": "users:read orders:write", "role": "buyer", "tenant": "acme",
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return string(Must(json.Marshal(claims)))
}

// token is a token by a key with claims that hold, as changed.
func (i Issuer) token(k Key, changed map[string]any) string {
	return k.Sign(k.Header(), i.Payload(changed))
}
