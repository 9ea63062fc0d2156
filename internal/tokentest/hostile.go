package tokentest

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MostBytes is how long a token may be.
const MostBytes = 8 << 10

// The reasons for which tokens are refused, as denials say them.
const (
	malformed        = "token-malformed"
	headerNotAllowed = "token-header-not-allowed"
	algNotAllowed    = "token-alg-not-allowed"
	keyUnknown       = "token-key-unknown"
	signatureInvalid = "token-signature-invalid"
	claimsInvalid    = "token-claims-invalid"
	issuerMismatch   = "token-issuer-mismatch"
	audienceMismatch = "token-audience-mismatch"
	expired          = "token-expired"
	notYetValid      = "token-not-yet-valid"
)

// Hostile are tokens that must be refused by a provider that asks for nothing but a token.
// Their headers jku and x5u lead to canary, where nobody may follow them.
func (i Issuer) Hostile(canary string) []Token {
	m := maker{Issuer: i, canary: canary, payload: i.Payload(nil), good: i.token(i.RSA, nil)}
	m.parts = strings.Split(m.good, ".")
	return slices.Concat(
		m.form(), m.headers(), m.algorithms(), m.keys(), m.signatures(),
		m.claims(), m.parties(), m.times(), m.rest(),
	)
}

// maker makes them of one that holds.
type maker struct {
	Issuer
	canary string
	// payload is the claims of good, which is by RSA; parts are its three.
	payload, good string
	parts         []string
}

// headed is signed with another header, claiming with another payload, changed with some
// other claims.
func (m maker) headed(header string) string    { return m.RSA.Sign(header, m.payload) }
func (m maker) claiming(payload string) string { return m.RSA.Sign(m.RSA.Header(), payload) }
func (m maker) changed(claims map[string]any) string {
	return m.token(m.RSA, claims)
}

// expiring has another text for exp.
func (m maker) expiring(text string) string {
	return m.claiming(strings.Replace(m.payload, fmt.Sprintf(`"exp":%d`, m.Now.Add(time.Hour).Unix()), `"exp":`+text, 1))
}

func (m maker) past() int64  { return m.Now.Add(-time.Hour).Unix() }
func (m maker) ahead() int64 { return m.Now.Add(m.Ahead).Unix() }

// none has no signature.
func (m maker) none(alg string) string {
	return Segment(`{"alg":"`+alg+`","kid":"rsa-1"}`) + "." + Segment(m.payload) + "."
}

// resigned has other segments and is signed anew, so that only the form is at fault.
func (m maker) resigned(header, payload string) string {
	input := header + "." + payload
	return input + "." + Segment(m.RSA.Signature(m.RSA.Alg, input))
}

func (m maker) shortSalt() string {
	input := Segment(`{"alg":"PS256","kid":"rsa-1"}`) + "." + Segment(m.payload)
	return input + "." + Segment(m.RSA.SignatureWithSalt("PS256", input, 20))
}

// forged signs by HMAC under bytes that are public.
func forged(header, payload string, secret []byte) string {
	input := Segment(header) + "." + Segment(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + Segment(mac.Sum(nil))
}

func publicPEM(k Key) []byte {
	der := Must(x509.MarshalPKIXPublicKey(k.Private.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// form is what is wrong with a token before it is known what it says.
func (m maker) form() []Token {
	return []Token{
		{"empty", "", malformed},
		{"no dots", "abc", malformed},
		{"two parts", m.parts[0] + "." + m.parts[1], malformed},
		{"four parts", m.good + ".", malformed},
		{"five parts (JWE)", m.good + "." + m.parts[1] + "." + m.parts[2], malformed},
		{"dots alone", "..", malformed},
		{"a flood of dots", strings.Repeat(".", MostBytes), malformed},
		{"too long", m.claiming(`{"a":"` + strings.Repeat("x", MostBytes) + `"}`), malformed},
		{"padding behind", m.good + "=", malformed},
		{"padded payload", m.resigned(m.parts[0], m.parts[1]+"=="), malformed},
		{"standard alphabet", m.resigned(m.parts[0], "ab+/"), malformed},
		{"line break in the signature", m.good[:len(m.good)-4] + "\n" + m.good[len(m.good)-4:], malformed},
		{"CR in the header", m.parts[0][:4] + "\r" + m.good[4:], malformed},
		{"space before", " " + m.good, malformed},
		{"space behind", m.good + " ", malformed},
		{"NUL behind", m.good + "\x00", malformed},
		{"not ASCII", m.good + "é", malformed},
		{"non-canonical end, signature", m.parts[0] + "." + m.parts[1] + "." + NonCanonical(m.parts[2]), malformed},
		{"non-canonical end, header", m.resigned(NonCanonical(Segment(`{"alg":"RS256","kid":"rsa-1"} `)), m.parts[1]), malformed},
		{"one character left over", m.resigned(m.parts[0], "abcde"), malformed},
		{"JSON serialisation", `{"payload":"` + m.parts[1] + `","protected":"` + m.parts[0] + `","signature":"` + m.parts[2] + `"}`, malformed},
		{"header is an array", m.headed(`["RS256"]`), malformed},
		{"header is no JSON", m.headed(`alg`), malformed},
		{"header with bytes behind", m.headed(m.RSA.Header() + "{}"), malformed},
		{"header with alg twice", m.headed(`{"alg":"none","alg":"RS256","kid":"rsa-1"}`), malformed},
		{"header deep", m.headed(`{"alg":"RS256","kid":"rsa-1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), malformed},
		{"header not UTF-8", m.headed("{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"x\":\"\xff\"}"), malformed},
		{"no alg", m.headed(`{"kid":"rsa-1"}`), malformed},
		{"alg is a number", m.headed(`{"alg":256,"kid":"rsa-1"}`), malformed},
		{"ALG beside alg", m.headed(`{"alg":"RS256","ALG":"none","kid":"rsa-1"}`), malformed},
		{"ALG alone", m.headed(`{"ALG":"RS256","kid":"rsa-1"}`), malformed},
		{"kid is a number", m.headed(`{"alg":"RS256","kid":1}`), malformed},
		{"kid is null", m.headed(`{"alg":"RS256","kid":null}`), malformed},
		{"kid is empty", m.headed(`{"alg":"RS256","kid":""}`), malformed},
		{"kid is huge", m.headed(`{"alg":"RS256","kid":"` + strings.Repeat("k", 257) + `"}`), malformed},
	}
}

// headers say what none may.
func (m maker) headers() []Token {
	return []Token{
		{"crit", m.headed(`{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}`), headerNotAllowed},
		{"crit unknown", m.headed(`{"alg":"RS256","kid":"rsa-1","crit":["x"],"x":1}`), headerNotAllowed},
		{"crit empty", m.headed(`{"alg":"RS256","kid":"rsa-1","crit":[]}`), headerNotAllowed},
		{"CRIT", m.headed(`{"alg":"RS256","kid":"rsa-1","CRIT":["x"]}`), headerNotAllowed},
		{"b64 false", m.headed(`{"alg":"RS256","kid":"rsa-1","b64":false}`), headerNotAllowed},
		{"jku", m.Strange.Sign(`{"alg":"RS256","kid":"rsa-1","jku":"`+m.canary+`"}`, m.payload), headerNotAllowed},
		{"x5u", m.Strange.Sign(`{"alg":"RS256","kid":"rsa-1","x5u":"`+m.canary+`"}`, m.payload), headerNotAllowed},
		{"jwk embedded", m.Strange.Sign(`{"alg":"RS256","jwk":`+string(Must(json.Marshal(m.Strange.JWK())))+`}`, m.payload), headerNotAllowed},
		{"x5c embedded", m.Strange.Sign(`{"alg":"RS256","kid":"rsa-1","x5c":["AA"]}`, m.payload), headerNotAllowed},
		{"typ logout+jwt", m.headed(`{"alg":"RS256","kid":"rsa-1","typ":"logout+jwt"}`), headerNotAllowed},
		{"typ dpop+jwt", m.headed(`{"alg":"RS256","kid":"rsa-1","typ":"dpop+jwt"}`), headerNotAllowed},
		{"typ is a number", m.headed(`{"alg":"RS256","kid":"rsa-1","typ":1}`), headerNotAllowed},
		{"typ application/", m.headed(`{"alg":"RS256","kid":"rsa-1","typ":"application/"}`), headerNotAllowed},
		{"typ twice application", m.headed(`{"alg":"RS256","kid":"rsa-1","typ":"application/application/jwt"}`), headerNotAllowed},
	}
}

// algorithms are such as the provider does not allow.
func (m maker) algorithms() []Token {
	return []Token{
		{"alg none", m.none("none"), algNotAllowed},
		{"alg None", m.none("None"), algNotAllowed},
		{"alg NONE", m.none("NONE"), algNotAllowed},
		{"alg empty", m.none(""), algNotAllowed},
		{"alg rs256", m.headed(`{"alg":"rs256","kid":"rsa-1"}`), algNotAllowed},
		{"alg not pinned", m.RSA.SignAs("RS512", `{"alg":"RS512","kid":"rsa-1"}`, m.payload), algNotAllowed},
		{"HS256 under the public key", forged(`{"alg":"HS256","kid":"rsa-1"}`, m.payload, publicPEM(m.RSA)), algNotAllowed},
		{"HS256 under the modulus", forged(`{"alg":"HS256","kid":"rsa-1"}`, m.payload, m.RSA.Private.(*rsa.PrivateKey).N.Bytes()), algNotAllowed},
		{"an encryption alg", m.headed(`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa-1"}`), algNotAllowed},
	}
}

// keys are such as are not in the set.
func (m maker) keys() []Token {
	return []Token{
		{"unknown kid", m.Strange.Sign(`{"alg":"RS256","kid":"rsa-2"}`, m.payload), keyUnknown},
		{"kid of another type", m.headed(`{"alg":"RS256","kid":"ec-1"}`), keyUnknown},
		{"kid with a path", m.headed(`{"alg":"RS256","kid":"../../../dev/null"}`), keyUnknown},
		{"kid with SQL", m.headed(`{"alg":"RS256","kid":"x' OR '1'='1"}`), keyUnknown},
		{"kid with a NUL", m.headed(`{"alg":"RS256","kid":"rsa-1\u0000"}`), keyUnknown},
		{"kid of another case", m.headed(`{"alg":"RS256","kid":"RSA-1"}`), keyUnknown},
		{"ES256 with the RSA's kid", m.EC.Sign(`{"alg":"ES256","kid":"rsa-1"}`, m.payload), keyUnknown},
	}
}

// signatures are not those of the key.
func (m maker) signatures() []Token {
	return []Token{
		{"another key", m.token(m.Strange, nil), signatureInvalid},
		{"no signature", m.parts[0] + "." + m.parts[1] + ".", signatureInvalid},
		{"signature cut", m.good[:len(m.good)-2], signatureInvalid},
		{"payload exchanged", m.parts[0] + "." + Segment(m.Payload(map[string]any{"sub": "root"})) + "." + m.parts[2], signatureInvalid},
		{"header exchanged", Segment(`{"alg":"RS256","kid":"rsa-1"}`) + "." + m.parts[1] + "." + m.parts[2], signatureInvalid},
		{"RS256 said to be PS", m.RSA.SignAs("RS256", `{"alg":"PS256","kid":"rsa-1"}`, m.payload), signatureInvalid},
		{"PS256 said to be RS", m.RSA.SignAs("PS256", `{"alg":"RS256","kid":"rsa-1"}`, m.payload), signatureInvalid},
		{"PS256, salt too short", m.shortSalt(), signatureInvalid},
		{"ES256 of zeros", Segment(m.EC.Header()) + "." + Segment(m.payload) + "." + Segment(make([]byte, 64)), signatureInvalid},
	}
}

// claims are no JSON, or not quite.
func (m maker) claims() []Token {
	return []Token{
		{"payload empty", m.claiming(``), claimsInvalid},
		{"payload is an array", m.claiming(`[]`), claimsInvalid},
		{"payload is a string", m.claiming(`"x"`), claimsInvalid},
		{"bytes behind", m.claiming(m.payload + "x"), claimsInvalid},
		{"two objects", m.claiming(m.payload + m.payload), claimsInvalid},
		{"a BOM", m.claiming("\ufeff" + m.payload), claimsInvalid},
		{"sub twice", m.claiming(`{"sub":"root",` + m.payload[1:]), claimsInvalid},
		{"sub twice, escaped", m.claiming(`{"s\u0075b":"root",` + m.payload[1:]), claimsInvalid},
		{"twice, deep inside", m.claiming(`{"x":[{"a":1,"a":2}],` + m.payload[1:]), claimsInvalid},
		{"too deep", m.claiming(`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,` + m.payload[1:]), claimsInvalid},
		{"not UTF-8", m.claiming("{\"x\":\"\xff\"," + m.payload[1:]), claimsInvalid},
		{"half a surrogate pair", m.claiming(`{"x":"\ud800",` + m.payload[1:]), claimsInvalid},
		{"a comma too many", m.claiming(m.payload[:len(m.payload)-1] + ",}"), claimsInvalid},
		{"a comment", m.claiming("/**/" + m.payload), claimsInvalid},
		{"NaN", m.claiming(`{"x":NaN,` + m.payload[1:]), claimsInvalid},
	}
}

// parties are other issuers and other audiences.
func (m maker) parties() []Token {
	return []Token{
		{"another issuer", m.changed(map[string]any{"iss": "https://evil.example.com/"}), issuerMismatch},
		{"issuer without the slash", m.changed(map[string]any{"iss": strings.TrimSuffix(m.Name, "/")}), issuerMismatch},
		{"issuer in capitals", m.changed(map[string]any{"iss": strings.ToUpper(m.Name)}), issuerMismatch},
		{"no issuer", m.changed(map[string]any{"iss": nil}), issuerMismatch},
		{"issuer in an array", m.changed(map[string]any{"iss": []string{m.Name}}), claimsInvalid},
		{"ISS", m.changed(map[string]any{"iss": nil, "ISS": m.Name}), issuerMismatch},
		{"another audience", m.changed(map[string]any{"aud": "other"}), audienceMismatch},
		{"audience as a prefix", m.changed(map[string]any{"aud": "api2"}), audienceMismatch},
		{"no audience", m.changed(map[string]any{"aud": nil}), audienceMismatch},
		{"audience empty", m.changed(map[string]any{"aud": ""}), audienceMismatch},
		{"no audience in the array", m.changed(map[string]any{"aud": []string{}}), audienceMismatch},
		{"audience is an object", m.changed(map[string]any{"aud": map[string]any{"api": true}}), claimsInvalid},
		{"audience with a number", m.changed(map[string]any{"aud": []any{"api", 1}}), claimsInvalid},
		{"audience is null", m.claiming(strings.Replace(m.payload, fmt.Sprintf(`"aud":%q`, m.Audience), `"aud":null`, 1)), claimsInvalid},
	}
}

// times are over, to come, or none.
func (m maker) times() []Token {
	return []Token{
		{"expired", m.changed(map[string]any{"exp": m.past()}), expired},
		{"no exp", m.changed(map[string]any{"exp": nil}), claimsInvalid},
		{"exp 0", m.expiring("0"), claimsInvalid},
		{"exp -0", m.expiring("-0"), claimsInvalid},
		{"exp 0.0001", m.expiring("0.0001"), expired},
		{"exp negative", m.expiring("-1"), claimsInvalid},
		{"exp as a string", m.expiring(`"99999999999"`), claimsInvalid},
		{"exp null", m.expiring("null"), claimsInvalid},
		{"exp true", m.expiring("true"), claimsInvalid},
		{"exp an array", m.expiring("[9999999999]"), claimsInvalid},
		{"exp 1e30", m.expiring("1e30"), claimsInvalid},
		{"exp 1e400", m.expiring("1e400"), claimsInvalid},
		{"exp 1e99999", m.expiring("1e99999"), claimsInvalid},
		{"exp in the year 10000", m.expiring("253402300800"), claimsInvalid},
		{"exp in milliseconds", m.expiring("1800000000000"), claimsInvalid},
		{"exp in hexadecimal", m.expiring("0xffffffff"), claimsInvalid},
		{"exp with a plus", m.expiring("+9999999999"), claimsInvalid},
		{"exp with a leading 0", m.expiring("09999999999"), claimsInvalid},
		{"nbf to come", m.changed(map[string]any{"nbf": m.ahead()}), notYetValid},
		{"nbf as a string", m.changed(map[string]any{"nbf": "0"}), claimsInvalid},
		{"nbf null", m.claiming(`{"nbf":null,` + m.payload[1:]), claimsInvalid},
		{"nbf negative", m.changed(map[string]any{"nbf": -1}), claimsInvalid},
		{"iat to come", m.changed(map[string]any{"iat": m.ahead()}), notYetValid},
		{"iat as a string", m.changed(map[string]any{"iat": "1"}), claimsInvalid},
		{"iat huge", m.changed(map[string]any{"iat": 1e300}), claimsInvalid},
		{"expired and other iss", m.changed(map[string]any{"exp": m.past(), "iss": "x"}), issuerMismatch},
	}
}

// rest is what else of the claims is judged.
func (m maker) rest() []Token {
	return []Token{
		{"sub is a number", m.changed(map[string]any{"sub": 1}), claimsInvalid},
		{"sub is an object", m.changed(map[string]any{"sub": map[string]any{}}), claimsInvalid},
		{"scope is a number", m.changed(map[string]any{"scope": 1}), claimsInvalid},
		{"scope is an array", m.changed(map[string]any{"scope": []string{"a"}}), claimsInvalid},
		{"scp with a number", m.changed(map[string]any{"scp": []any{"a", 1}}), claimsInvalid},
		{"scp is null", m.claiming(`{"scp":null,` + m.payload[1:]), claimsInvalid},
		{"null where sub stood", m.claiming(strings.Replace(m.payload, `"sub":"alice"`, `"sub":null`, 1)), claimsInvalid},
	}
}
