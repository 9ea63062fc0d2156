package test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/tokentest"
)

// tokenKey is a private key of an issuer, and what it may sign with.
type tokenKey struct {
	tokentest.Key
	algs []string
}

// tokenKeys are the issuer's keys; strange is none of them, though it calls itself as
// the first does.
type tokenKeys struct {
	all     []tokenKey
	strange tokenKey
}

var madeKeys = sync.OnceValue(func() tokenKeys {
	key := func(kid string, private crypto.Signer, algs ...string) tokenKey {
		return tokenKey{tokentest.Key{KID: kid, Alg: algs[0], Private: private}, algs}
	}
	rsaKey := func() crypto.Signer { return tokentest.Must(rsa.GenerateKey(rand.Reader, 2048)) }
	ecKey := func(curve elliptic.Curve) crypto.Signer {
		return tokentest.Must(ecdsa.GenerateKey(curve, rand.Reader))
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return tokenKeys{
		all: []tokenKey{
			key("rsa-1", rsaKey(), "RS256", "RS256", "RS256", "PS256", "RS512"),
			key("ec-1", ecKey(elliptic.P256()), "ES256"),
			key("ec-384", ecKey(elliptic.P384()), "ES384"),
			key("ed-1", tokentest.Must(ed, err), "EdDSA"),
		},
		strange: key("rsa-1", rsaKey(), "RS256"),
	}
})

// set is the JWKS of the keys.
func (k tokenKeys) set(t testing.TB) []byte {
	t.Helper()
	var all []map[string]any
	for _, key := range k.all {
		all = append(all, key.JWK())
	}
	set, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// claim is a member of a payload, with its value in JSON; a payload has them in their
// order, and may have one twice.
type claim struct{ name, value string }

func payload(all []claim) string {
	members := make([]string, len(all))
	for i, c := range all {
		members[i] = fmt.Sprintf("%q:%s", c.name, c.value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// The hours that tokens have left, and begin after: wide of what a test can last.
func hence(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }

const (
	firstIssuer  = "https://id.example.com/"
	secondIssuer = "https://other.example.com/"
)

// likelyClaims are such as open most routes of a generated config.
func likelyClaims(t *rapid.T, iss string) []claim {
	return []claim{
		{"iss", `"` + iss + `"`},
		{"aud", chosen(t, "aud", []string{`"api"`, `"api"`, `["other","api"]`, `["api"]`})},
		{"sub", chosen(t, "sub", []string{`"alice"`, `"bob"`, `"auth0|5f7c8ec7c33c6c004bbafe82"`, `"user@example.com"`, `"a b"`})},
		{"exp", hence(time.Hour)},
		{"iat", hence(-time.Minute)},
		{"scope", chosen(t, "scope", []string{`"users:read users:write orders:read"`, `"users:read users:write orders:read"`, `"orders:read users:write users:read"`, `"users:read orders:read"`, `"users:write"`, `"users:readonly"`, `"  users:read  x "`, `""`})},
		{"role", chosen(t, "role", []string{`"buyer"`, `"buyer"`, `"buyer"`, `"admin"`, `"admin"`, `"guest"`, `["buyer","x"]`})},
		{"tenant", chosen(t, "tenant", []string{`"acme"`, `"acme"`, `"globex"`})},
		{"tier", chosen(t, "tier", []string{`"gold"`, `"gold"`, `"tin"`})},
		{"roles", chosen(t, "roles", []string{`["reader","writer"]`, `["reader"]`, `"reader"`, `[]`})},
		{"level", chosen(t, "level", []string{`7`, `"7"`, `3`})},
		{"active", chosen(t, "active", []string{`true`, `"true"`, `false`})},
	}
}

// oddValues may stand in any claim.
var oddValues = []string{
	`null`, `true`, `false`, `0`, `-0`, `-1`, `1`, `7`, `7.0`, `70e-1`, `7.00000000000000000001`, `0.5`, `1e2`, `1e21`, `1e300`, `1e400`, `1e-400`, `1e-99999`,
	`9007199254740993`, `253402300799`, `253402300799.5`, `253402300800`, `1e18`, `9223372036854775808`, `""`, `"7"`, `"buyer"`, `"Buyer"`, `" buyer"`, `"buyer "`, `"users:read"`,
	`"users:read\tusers:write"`, `"api"`, `"a%b"`, `"a%20b"`, `"a\r\nb"`, `"a\u0000b"`, `"\u007f"`, `"\u0080"`, `"ü"`, `"a\u00a0"`, `"a,b"`, `"\u0062uyer"`, `"\ud83d\ude00"`, `"\ud800"`,
	"\"\xff\"", "\"\xed\xa0\x80\"", "\"a\tb\"", "\"a\nb\"", `"` + strings.Repeat("y", 1000) + `"`, `"` + strings.Repeat("y", 1024) + `"`, `"` + strings.Repeat("y", 1025) + `"`,
	`[]`, `["buyer"]`, `["x","buyer"]`, `["users:read","users:write"]`, `["users:read users:write"]`, `["a,b","c"]`, `["reader",1]`, `[1,"api"]`, `["api",null]`, `[["api"]]`, `[7]`, `[true]`,
	`{}`, `{"a":"b"}`, `{"api":true}`, `"` + firstIssuer + `"`, `"https://id.example.com"`, `'a'`, `[1,]`, `{a:1}`, `{"a":1,}`, `{"a":1,"a":2}`, `[{"a":1,"\u0061":2}]`, `NaN`, `01`, `+1`, `0x1`, `"\x41"`, `"\U00000041"`,
	strings.Repeat("[", 31) + strings.Repeat("]", 31), strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat(`{"a":`, 31) + "1" + strings.Repeat("}", 31), strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	`1 /**/`, `"` + strings.Repeat("z", 6000) + `"`, `"` + strings.Repeat("z", 5200) + `"`, `"` + strings.Repeat("z", 5700) + `"`,
}

// times are what exp, nbf and iat may be, wide of their edges.
func times() []string {
	return []string{
		hence(-time.Hour), hence(time.Hour), hence(-24 * 365 * time.Hour), hence(24 * time.Hour), hence(time.Hour) + ".5", hence(time.Hour) + "e0", hence(time.Hour) + "0E-1",
		`"` + hence(time.Hour) + `"`, hence(time.Hour) + "000",
	}
}

var claimNames = []string{"iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "scp", "role", "roles", "tenant", "tier", "level", "active", "o.p", "extra", "SUB", "s\u00fcb"}

// changeClaims changes one of them, or the text of them all.
func changeClaims(t *rapid.T, all []claim) []claim {
	name := chosen(t, "claim", claimNames)
	at := -1
	for i, c := range all {
		if c.name == name {
			at = i
		}
	}
	values := oddValues
	if name == "exp" || name == "nbf" || name == "iat" {
		values = append(times(), oddValues...)
	}
	changed := claim{name, chosen(t, "value", values)}
	switch kind := uniform(10).Draw(t, "change"); {
	case kind == 0 && at >= 0: // without it
		return append(all[:at:at], all[at+1:]...)
	case kind == 1: // perhaps twice
		return append([]claim{changed}, all...)
	case at >= 0:
		all[at] = changed
		return all
	}
	return append(all, changed)
}

// payloadText is the claims as an issuer writes them, or in a way that few do.
func payloadText(t *rapid.T, all []claim) string {
	text := payload(all)
	switch uniform(61).Draw(t, "payload's spelling") {
	case 0:
		return text[:len(text)-1] + ",}"
	case 1:
		return text + "x"
	case 2:
		return text + text
	case 3:
		return "\ufeff" + text
	case 4:
		return " {\n" + text[1:] + "\t"
	case 5:
		return "/**/" + text
	case 6:
		return `{a:1,` + text[1:]
	case 7:
		return `{'a':1,` + text[1:]
	case 8:
		return "[" + text + "]"
	case 9:
		return text[:len(text)-1]
	case 10:
		return strings.ReplaceAll(text, `","`, `", "`)
	case 11:
		return strings.ReplaceAll(text, `":`, `": `)
	case 12:
		return `{"s\u0075b":"root",` + text[1:]
	case 13:
		return text + " "
	}
	return text
}

// joseHeader is the header of a token by a key: mostly as issuers write them.
func joseHeader(t *rapid.T, typ, alg, kid string) string {
	likely := []string{
		`{"alg":"ALG","kid":"KID","typ":"JWT"}`, `{"alg":"ALG","typ":"JWT","kid":"KID"}`, `{"typ":"JWT","alg":"ALG","kid":"KID"}`, `{"kid":"KID","alg":"ALG"}`, `{"alg":"ALG","kid":"KID"}`,
		`{"alg":"ALG","kid":"KID","typ":"at+jwt"}`,
	}
	odd := []string{
		`{"alg":"ALG","kid":"KID","typ":"application/at+jwt"}`, `{"alg":"ALG","kid":"KID","typ":"jwt"}`, `{"alg":"ALG","kid":"KID","typ":"logout+jwt"}`, `{"alg":"ALG","kid":"KID","typ":""}`, `{"alg":"ALG","kid":"KID","typ":1}`,
		`{"alg":"ALG","kid":"KID","typ":null}`, `{"alg":"ALG","kid":"KID","crit":["exp"],"exp":1}`, `{"alg":"ALG","kid":"KID","crit":[]}`, `{"alg":"ALG","kid":"KID","CRIT":["x"]}`, `{"alg":"ALG","kid":"KID","b64":false}`,
		`{"alg":"ALG","kid":"KID","jku":"http://127.0.0.1:1/"}`, `{"alg":"ALG","kid":"KID","x5c":["AA"]}`, `{"alg":"ALG","kid":"KID","x5t":"abc"}`, `{"alg":"ALG","kid":"KID","cty":"JWT"}`, `{"alg":"ALG"}`, `{"alg":"ALG","typ":"JWT"}`,
		`{"alg":"ALG","kid":""}`, `{"alg":"ALG","kid":null}`, `{"alg":"ALG","kid":1}`, `{"alg":"ALG","kid":"ec-1"}`, `{"alg":"ALG","kid":"rsa-1"}`, `{"alg":"ALG","kid":"unknown"}`, `{"alg":"ALG","kid":"KID ","typ":"JWT"}`, `{"alg":"ALG","KID":"KID"}`,
		`{"alg":"ALG","ALG":"none","kid":"KID"}`, `{"alg":"none","alg":"ALG","kid":"KID"}`, `{"alg":"none","kid":"KID"}`, `{"alg":"RS384","kid":"KID"}`, `{"alg":"RS256","kid":"KID"}`, `{"alg":"rs256","kid":"KID"}`, `{"alg":"HS256","kid":"KID"}`, `{"kid":"KID"}`,
		` { "alg" : "ALG" , "kid" : "KID" } `, "{\"alg\":\"ALG\",\r\n\"kid\":\"KID\"}", `{"\u0061lg":"ALG","kid":"KID"}`, `{"alg":"ALG","kid":"KID",}`, `{"alg":"ALG","kid":"KID"}{}`, `{'alg':'ALG','kid':'KID'}`,
		`{"alg":"ALG","kid":"KID","x":"` + strings.Repeat("h", 1100) + `"}`, `{"alg":"ALG","kid":"` + strings.Repeat("k", 257) + `"}`, `["ALG"]`, `{"alg":"ALG","kid":"KID","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	}
	header := chosen(t, "header", likely)
	if typ != "" {
		header = strings.Replace(header, `"JWT"`, `"`+typ+`"`, 1)
	}
	if uniform(12).Draw(t, "odd header") == 0 {
		header = chosen(t, "header", odd)
	}
	return strings.NewReplacer("ALG", alg, "KID", kid).Replace(header)
}

// generatedToken is a token of an issuer: most are good.
func generatedToken(t *rapid.T, by issuer) string {
	key := chosen(t, "key", by.keys)
	if uniform(12).Draw(t, "another key") == 0 {
		key = chosen(t, "key", madeKeys().all)
	}
	alg := chosen(t, "alg", key.algs)
	claims := likelyClaims(t, by.name)
	for range chosen(t, "changes", []int{0, 0, 0, 0, 0, 0, 1, 1, 2}) {
		claims = changeClaims(t, claims)
	}
	header := joseHeader(t, by.typ, alg, key.KID)
	input := tokentest.Segment(header) + "." + tokentest.Segment(payloadText(t, claims))
	return spelledToken(t, key, alg, input)
}

// spelledToken signs a token and spells it, mostly in the one way that is right.
func spelledToken(t *rapid.T, key tokenKey, alg, input string) string {
	kind := uniform(300).Draw(t, "token's spelling")
	head, body, _ := strings.Cut(input, ".")
	switch kind {
	case 0:
		input = head + "." + tokentest.NonCanonical(body)
	case 1:
		input = tokentest.NonCanonical(head) + "." + body
	case 2:
		input = head + "." + body + "="
	case 3:
		key, alg = madeKeys().strange, "RS256"
	}
	salt := rsa.PSSSaltLengthEqualsHash
	if kind == 4 {
		salt = 20
	}
	signature := tokentest.Segment(key.SignatureWithSalt(alg, input, salt))
	token := input + "." + signature
	switch kind {
	case 5:
		return input + "." + tokentest.NonCanonical(signature)
	case 6:
		return input + "." + signature[:len(signature)-2]
	case 7:
		return input + "."
	case 8:
		return input
	case 9:
		return token + "."
	case 10:
		return token + ".AA.AA"
	case 11:
		return token + "="
	case 12:
		return strings.Map(standardAlphabet, token) + "+/"
	case 13:
		mac := hmac.New(sha256.New, []byte(madeKeys().all[0].JWK()["n"].(string)))
		mac.Write([]byte(input))
		return input + "." + tokentest.Segment(mac.Sum(nil))
	case 14:
		return head + "." + tokentest.Segment(`{"sub":"root"}`) + "." + signature
	case 15:
		return ".." + token
	case 16:
		return "not-a-token"
	}
	return token
}
