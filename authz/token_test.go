package authz

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// resign replaces a segment of a token and signs anew, so that only the form
// is at fault.
func resign(s signer, head, body string) string {
	input := head + "." + body
	return input + "." + b64(s.signature(s.alg, input))
}

// forge signs by HMAC under bytes that are public.
func forge(header, payload string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func publicPEM(s signer) []byte {
	der := must(x509.MarshalPKIXPublicKey(s.priv.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func shortSalt(s signer, payload string) string {
	input := b64([]byte(`{"alg":"PS256","kid":"rsa-1"}`)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature := must(rsa.SignPSS(rand.Reader, s.priv.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 20}))
	return input + "." + b64(signature)
}

// nonCanonical sets the unused bits of the last character.
func nonCanonical(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(alphabet[last|1])
}

func TestGoodTokens(t *testing.T) {
	keys := keySetsFor(t, mainJWT())
	rs, es, ed := rsaSigner(), ecSigner(), edSigner()
	ps := rs
	ps.alg = "PS256"
	for name, raw := range map[string]string{
		"RS256":                  rs.token(nil),
		"PS256":                  ps.token(nil),
		"ES256":                  es.token(nil),
		"EdDSA":                  ed.token(nil),
		"no typ":                 rs.sign(`{"alg":"RS256","kid":"rsa-1"}`, payloadOf(nil)),
		"typ at+jwt":             rs.sign(`{"alg":"RS256","kid":"rsa-1","typ":"at+jwt"}`, payloadOf(nil)),
		"typ in full":            rs.sign(`{"alg":"RS256","kid":"rsa-1","typ":"application/AT+JWT"}`, payloadOf(nil)),
		"typ in lower case":      rs.sign(`{"alg":"RS256","kid":"rsa-1","typ":"jwt"}`, payloadOf(nil)),
		"thumbprints":            rs.sign(`{"alg":"RS256","kid":"rsa-1","x5t":"abc","x5t#S256":"def"}`, payloadOf(nil)),
		"no kid, one ES256 key":  es.sign(`{"alg":"ES256"}`, payloadOf(nil)),
		"audience in an array":   rs.token(map[string]any{"aud": []string{"other", "api"}}),
		"exp with a fraction":    rs.token(map[string]any{"exp": float64(noon.Unix()) + 60.5}),
		"white space in payload": rs.sign(rs.header(), " {\n"+payloadOf(nil)[1:]+"\t"),
		"no iat":                 rs.token(map[string]any{"iat": nil}),
		"no sub":                 rs.token(map[string]any{"sub": nil}),
		"escaped sub":            rs.sign(rs.header(), strings.Replace(payloadOf(nil), "alice", `\u0061lice\ud83d\ude00`, 1)),
		"scp array":              rs.token(map[string]any{"scp": []string{"a", "b"}}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, reason := verifyRaw(t.Context(), keys, mainJWT(), raw, noon); reason != ReasonAllowed {
				t.Fatalf("refused: %s", reason)
			}
		})
	}
}

// hostileTokens are tokens that must be refused, with the reason.
func hostileTokens(canary string) map[string]struct {
	raw  string
	want Reason
} {
	rs, es := rsaSigner(), ecSigner()
	good := rs.token(nil)
	parts := strings.Split(good, ".")
	payload := payloadOf(nil)
	head := func(h string) string { return rs.sign(h, payload) }
	body := func(changed map[string]any) string { return rs.token(changed) }
	raw := func(p string) string { return rs.sign(rs.header(), p) }
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	none := func(alg string) string {
		return b64([]byte(`{"alg":"`+alg+`","kid":"rsa-1"}`)) + "." + b64([]byte(payload)) + "."
	}
	exp := func(text string) string {
		return raw(strings.Replace(payload, fmt.Sprintf(`"exp":%d`, at(time.Hour)), `"exp":`+text, 1))
	}
	type c = struct {
		raw  string
		want Reason
	}
	return map[string]c{
		// Form.
		"empty":                        {"", ReasonTokenMalformed},
		"no dots":                      {"abc", ReasonTokenMalformed},
		"two parts":                    {parts[0] + "." + parts[1], ReasonTokenMalformed},
		"four parts":                   {good + ".", ReasonTokenMalformed},
		"five parts (JWE)":             {good + "." + parts[1] + "." + parts[2], ReasonTokenMalformed},
		"dots alone":                   {"..", ReasonTokenMalformed},
		"a flood of dots":              {strings.Repeat(".", MaxTokenBytes), ReasonTokenMalformed},
		"too long":                     {raw(`{"a":"` + strings.Repeat("x", MaxTokenBytes) + `"}`), ReasonTokenMalformed},
		"padding behind":               {good + "=", ReasonTokenMalformed},
		"padded payload":               {resign(rs, parts[0], parts[1]+"=="), ReasonTokenMalformed},
		"standard alphabet":            {resign(rs, parts[0], "ab+/"), ReasonTokenMalformed},
		"line break in the signature":  {good[:len(good)-4] + "\n" + good[len(good)-4:], ReasonTokenMalformed},
		"CR in the header":             {parts[0][:4] + "\r" + good[4:], ReasonTokenMalformed},
		"space before":                 {" " + good, ReasonTokenMalformed},
		"space behind":                 {good + " ", ReasonTokenMalformed},
		"NUL behind":                   {good + "\x00", ReasonTokenMalformed},
		"not ASCII":                    {good + "é", ReasonTokenMalformed},
		"non-canonical end, signature": {parts[0] + "." + parts[1] + "." + nonCanonical(parts[2]), ReasonTokenMalformed},
		"non-canonical end, header":    {resign(rs, nonCanonical(b64([]byte(`{"alg":"RS256","kid":"rsa-1"} `))), parts[1]), ReasonTokenMalformed},
		"one character left over":      {resign(rs, parts[0], "abcde"), ReasonTokenMalformed},
		"JSON serialisation":           {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, ReasonTokenMalformed},
		"header is an array":           {head(`["RS256"]`), ReasonTokenMalformed},
		"header is no JSON":            {head(`alg`), ReasonTokenMalformed},
		"header with bytes behind":     {head(rs.header() + "{}"), ReasonTokenMalformed},
		"header with alg twice":        {head(`{"alg":"none","alg":"RS256","kid":"rsa-1"}`), ReasonTokenMalformed},
		"header deep":                  {head(`{"alg":"RS256","kid":"rsa-1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), ReasonTokenMalformed},
		"header not UTF-8":             {head("{\"alg\":\"RS256\",\"kid\":\"rsa-1\",\"x\":\"\xff\"}"), ReasonTokenMalformed},
		"no alg":                       {head(`{"kid":"rsa-1"}`), ReasonTokenMalformed},
		"alg is a number":              {head(`{"alg":256,"kid":"rsa-1"}`), ReasonTokenMalformed},
		"ALG beside alg":               {head(`{"alg":"RS256","ALG":"none","kid":"rsa-1"}`), ReasonTokenMalformed},
		"ALG alone":                    {head(`{"ALG":"RS256","kid":"rsa-1"}`), ReasonTokenMalformed},
		"kid is a number":              {head(`{"alg":"RS256","kid":1}`), ReasonTokenMalformed},
		"kid is null":                  {head(`{"alg":"RS256","kid":null}`), ReasonTokenMalformed},
		"kid is empty":                 {head(`{"alg":"RS256","kid":""}`), ReasonTokenMalformed},
		"kid is huge":                  {head(`{"alg":"RS256","kid":"` + strings.Repeat("k", 257) + `"}`), ReasonTokenMalformed},
		// What a header may not say.
		"crit":                  {head(`{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}`), ReasonTokenHeaderNotAllowed},
		"crit unknown":          {head(`{"alg":"RS256","kid":"rsa-1","crit":["x"],"x":1}`), ReasonTokenHeaderNotAllowed},
		"crit empty":            {head(`{"alg":"RS256","kid":"rsa-1","crit":[]}`), ReasonTokenHeaderNotAllowed},
		"CRIT":                  {head(`{"alg":"RS256","kid":"rsa-1","CRIT":["x"]}`), ReasonTokenHeaderNotAllowed},
		"b64 false":             {head(`{"alg":"RS256","kid":"rsa-1","b64":false}`), ReasonTokenHeaderNotAllowed},
		"jku":                   {otherRSA().sign(`{"alg":"RS256","kid":"rsa-1","jku":"`+canary+`"}`, payload), ReasonTokenHeaderNotAllowed},
		"x5u":                   {otherRSA().sign(`{"alg":"RS256","kid":"rsa-1","x5u":"`+canary+`"}`, payload), ReasonTokenHeaderNotAllowed},
		"jwk embedded":          {otherRSA().sign(`{"alg":"RS256","jwk":`+string(mustJSON(otherRSA().jwk()))+`}`, payload), ReasonTokenHeaderNotAllowed},
		"x5c embedded":          {otherRSA().sign(`{"alg":"RS256","kid":"rsa-1","x5c":["AA"]}`, payload), ReasonTokenHeaderNotAllowed},
		"typ logout+jwt":        {head(`{"alg":"RS256","kid":"rsa-1","typ":"logout+jwt"}`), ReasonTokenHeaderNotAllowed},
		"typ dpop+jwt":          {head(`{"alg":"RS256","kid":"rsa-1","typ":"dpop+jwt"}`), ReasonTokenHeaderNotAllowed},
		"typ is a number":       {head(`{"alg":"RS256","kid":"rsa-1","typ":1}`), ReasonTokenHeaderNotAllowed},
		"typ application/":      {head(`{"alg":"RS256","kid":"rsa-1","typ":"application/"}`), ReasonTokenHeaderNotAllowed},
		"typ twice application": {head(`{"alg":"RS256","kid":"rsa-1","typ":"application/application/jwt"}`), ReasonTokenHeaderNotAllowed},
		// Algorithms.
		"alg none":                   {none("none"), ReasonTokenAlgNotAllowed},
		"alg None":                   {none("None"), ReasonTokenAlgNotAllowed},
		"alg NONE":                   {none("NONE"), ReasonTokenAlgNotAllowed},
		"alg empty":                  {none(""), ReasonTokenAlgNotAllowed},
		"alg rs256":                  {head(`{"alg":"rs256","kid":"rsa-1"}`), ReasonTokenAlgNotAllowed},
		"alg not pinned":             {rs.signAs("RS512", `{"alg":"RS512","kid":"rsa-1"}`, payload), ReasonTokenAlgNotAllowed},
		"HS256 under the public key": {forge(`{"alg":"HS256","kid":"rsa-1"}`, payload, publicPEM(rs)), ReasonTokenAlgNotAllowed},
		"HS256 under the modulus":    {forge(`{"alg":"HS256","kid":"rsa-1"}`, payload, rs.priv.(*rsa.PrivateKey).N.Bytes()), ReasonTokenAlgNotAllowed},
		"an encryption alg":          {head(`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa-1"}`), ReasonTokenAlgNotAllowed},
		// Keys.
		"unknown kid":              {otherRSA().sign(`{"alg":"RS256","kid":"rsa-2"}`, payload), ReasonTokenKeyUnknown},
		"kid of another type":      {head(`{"alg":"RS256","kid":"ec-1"}`), ReasonTokenKeyUnknown},
		"kid with a path":          {head(`{"alg":"RS256","kid":"../../../dev/null"}`), ReasonTokenKeyUnknown},
		"kid with SQL":             {head(`{"alg":"RS256","kid":"x' OR '1'='1"}`), ReasonTokenKeyUnknown},
		"kid with a NUL":           {head(`{"alg":"RS256","kid":"rsa-1\u0000"}`), ReasonTokenKeyUnknown},
		"kid of another case":      {head(`{"alg":"RS256","kid":"RSA-1"}`), ReasonTokenKeyUnknown},
		"ES256 with the RSA's kid": {es.sign(`{"alg":"ES256","kid":"rsa-1"}`, payload), ReasonTokenKeyUnknown},
		// Signatures.
		"another key":           {otherRSA().token(nil), ReasonTokenSignatureInvalid},
		"no signature":          {parts[0] + "." + parts[1] + ".", ReasonTokenSignatureInvalid},
		"signature cut":         {good[:len(good)-2], ReasonTokenSignatureInvalid},
		"payload exchanged":     {parts[0] + "." + b64([]byte(payloadOf(map[string]any{"sub": "root"}))) + "." + parts[2], ReasonTokenSignatureInvalid},
		"header exchanged":      {b64([]byte(`{"alg":"RS256","kid":"rsa-1"}`)) + "." + parts[1] + "." + parts[2], ReasonTokenSignatureInvalid},
		"RS256 said to be PS":   {rs.signAs("RS256", `{"alg":"PS256","kid":"rsa-1"}`, payload), ReasonTokenSignatureInvalid},
		"PS256 said to be RS":   {rs.signAs("PS256", `{"alg":"RS256","kid":"rsa-1"}`, payload), ReasonTokenSignatureInvalid},
		"PS256, salt too short": {shortSalt(rs, payload), ReasonTokenSignatureInvalid},
		"ES256 of zeros":        {b64([]byte(es.header())) + "." + b64([]byte(payload)) + "." + b64(make([]byte, 64)), ReasonTokenSignatureInvalid},
		// Claims: form.
		"payload empty":         {raw(``), ReasonTokenClaimsInvalid},
		"payload is an array":   {raw(`[]`), ReasonTokenClaimsInvalid},
		"payload is a string":   {raw(`"x"`), ReasonTokenClaimsInvalid},
		"bytes behind":          {raw(payload + "x"), ReasonTokenClaimsInvalid},
		"two objects":           {raw(payload + payload), ReasonTokenClaimsInvalid},
		"a BOM":                 {raw("\ufeff" + payload), ReasonTokenClaimsInvalid},
		"sub twice":             {raw(`{"sub":"root",` + payload[1:]), ReasonTokenClaimsInvalid},
		"sub twice, escaped":    {raw(`{"s\u0075b":"root",` + payload[1:]), ReasonTokenClaimsInvalid},
		"twice, deep inside":    {raw(`{"x":[{"a":1,"a":2}],` + payload[1:]), ReasonTokenClaimsInvalid},
		"too deep":              {raw(`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,` + payload[1:]), ReasonTokenClaimsInvalid},
		"not UTF-8":             {raw("{\"x\":\"\xff\"," + payload[1:]), ReasonTokenClaimsInvalid},
		"half a surrogate pair": {raw(`{"x":"\ud800",` + payload[1:]), ReasonTokenClaimsInvalid},
		"a comma too many":      {raw(payload[:len(payload)-1] + ",}"), ReasonTokenClaimsInvalid},
		"a comment":             {raw("/**/" + payload), ReasonTokenClaimsInvalid},
		"NaN":                   {raw(`{"x":NaN,` + payload[1:]), ReasonTokenClaimsInvalid},
		// Claims: issuer and audience.
		"another issuer":           {body(map[string]any{"iss": "https://evil.example.com/"}), ReasonTokenIssuerMismatch},
		"issuer without the slash": {body(map[string]any{"iss": strings.TrimSuffix(testIssuer, "/")}), ReasonTokenIssuerMismatch},
		"issuer in capitals":       {body(map[string]any{"iss": strings.ToUpper(testIssuer)}), ReasonTokenIssuerMismatch},
		"no issuer":                {body(map[string]any{"iss": nil}), ReasonTokenIssuerMismatch},
		"issuer in an array":       {body(map[string]any{"iss": []string{testIssuer}}), ReasonTokenClaimsInvalid},
		"ISS":                      {body(map[string]any{"iss": nil, "ISS": testIssuer}), ReasonTokenIssuerMismatch},
		"another audience":         {body(map[string]any{"aud": "other"}), ReasonTokenAudienceMismatch},
		"audience as a prefix":     {body(map[string]any{"aud": "api2"}), ReasonTokenAudienceMismatch},
		"no audience":              {body(map[string]any{"aud": nil}), ReasonTokenAudienceMismatch},
		"audience empty":           {body(map[string]any{"aud": ""}), ReasonTokenAudienceMismatch},
		"no audience in the array": {body(map[string]any{"aud": []string{}}), ReasonTokenAudienceMismatch},
		"audience is an object":    {body(map[string]any{"aud": map[string]any{"api": true}}), ReasonTokenClaimsInvalid},
		"audience with a number":   {body(map[string]any{"aud": []any{"api", 1}}), ReasonTokenClaimsInvalid},
		"audience is null":         {raw(strings.Replace(payload, `"aud":"api"`, `"aud":null`, 1)), ReasonTokenClaimsInvalid},
		// Claims: times.
		"expired":               {body(map[string]any{"exp": at(-time.Hour)}), ReasonTokenExpired},
		"no exp":                {body(map[string]any{"exp": nil}), ReasonTokenClaimsInvalid},
		"exp 0":                 {exp("0"), ReasonTokenClaimsInvalid},
		"exp -0":                {exp("-0"), ReasonTokenClaimsInvalid},
		"exp 0.0001":            {exp("0.0001"), ReasonTokenExpired},
		"exp negative":          {exp("-1"), ReasonTokenClaimsInvalid},
		"exp as a string":       {exp(`"99999999999"`), ReasonTokenClaimsInvalid},
		"exp null":              {exp("null"), ReasonTokenClaimsInvalid},
		"exp true":              {exp("true"), ReasonTokenClaimsInvalid},
		"exp an array":          {exp("[9999999999]"), ReasonTokenClaimsInvalid},
		"exp 1e30":              {exp("1e30"), ReasonTokenClaimsInvalid},
		"exp 1e400":             {exp("1e400"), ReasonTokenClaimsInvalid},
		"exp 1e99999":           {exp("1e99999"), ReasonTokenClaimsInvalid},
		"exp in the year 10000": {exp("253402300800"), ReasonTokenClaimsInvalid},
		"exp in milliseconds":   {exp("1800000000000"), ReasonTokenClaimsInvalid},
		"exp in hexadecimal":    {exp("0xffffffff"), ReasonTokenClaimsInvalid},
		"exp with a plus":       {exp("+9999999999"), ReasonTokenClaimsInvalid},
		"exp with a leading 0":  {exp("09999999999"), ReasonTokenClaimsInvalid},
		"nbf to come":           {body(map[string]any{"nbf": at(time.Minute)}), ReasonTokenNotYetValid},
		"nbf as a string":       {body(map[string]any{"nbf": "0"}), ReasonTokenClaimsInvalid},
		"nbf null":              {raw(`{"nbf":null,` + payload[1:]), ReasonTokenClaimsInvalid},
		"nbf negative":          {body(map[string]any{"nbf": -1}), ReasonTokenClaimsInvalid},
		"iat to come":           {body(map[string]any{"iat": at(time.Minute)}), ReasonTokenNotYetValid},
		"iat as a string":       {body(map[string]any{"iat": "1"}), ReasonTokenClaimsInvalid},
		"iat huge":              {body(map[string]any{"iat": 1e300}), ReasonTokenClaimsInvalid},
		"expired and other iss": {body(map[string]any{"exp": at(-time.Hour), "iss": "x"}), ReasonTokenIssuerMismatch},
		// Claims: the rest that is judged.
		"sub is a number":      {body(map[string]any{"sub": 1}), ReasonTokenClaimsInvalid},
		"sub is an object":     {body(map[string]any{"sub": map[string]any{}}), ReasonTokenClaimsInvalid},
		"scope is a number":    {body(map[string]any{"scope": 1}), ReasonTokenClaimsInvalid},
		"scope is an array":    {body(map[string]any{"scope": []string{"a"}}), ReasonTokenClaimsInvalid},
		"scp with a number":    {body(map[string]any{"scp": []any{"a", 1}}), ReasonTokenClaimsInvalid},
		"scp is null":          {raw(`{"scp":null,` + payload[1:]), ReasonTokenClaimsInvalid},
		"null where sub stood": {raw(strings.Replace(payload, `"sub":"alice"`, `"sub":null`, 1)), ReasonTokenClaimsInvalid},
	}
}

func TestHostileTokens(t *testing.T) {
	// The headers jku and x5u lead here. Nobody may follow them.
	var visits atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer canary.Close()

	keys := keySetsFor(t, mainJWT())
	cases := hostileTokens(canary.URL)
	if len(cases) < 60 {
		t.Fatalf("only %d cases", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, reason := verifyRaw(t.Context(), keys, mainJWT(), c.raw, noon); reason != c.want {
				t.Fatalf("got %s, want %s\n%s", reason, c.want, c.raw)
			}
		})
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("a token made us connect %d times", n)
	}
}

func TestAlgorithmsDefaultAndPin(t *testing.T) {
	provider := mainJWT()
	provider.Algorithms = nil
	for alg, want := range map[string]bool{"RS256": true, "ES256": true, "PS256": false, "RS512": false, "EdDSA": false} {
		if got := algAllowed(provider, alg); got != want {
			t.Errorf("by default %s: allowed %t, want %t", alg, got, want)
		}
	}
	// Should a config ever get this far, it still cannot ask for these.
	provider.Algorithms = []string{"none", "HS256", "", "A256GCM"}
	for _, alg := range provider.Algorithms {
		if algAllowed(provider, alg) {
			t.Errorf("%q was allowed because the config lists it", alg)
		}
	}
}

// A token without kid is taken when its key is not in doubt, and only then.
func TestMissingKID(t *testing.T) {
	second := otherRSA()
	second.kid = "rsa-2"
	provider := mainJWT()
	provider.JWKS.Inline = jwksOf(rsaSigner().jwk(), second.jwk(), ecSigner().jwk())
	keys := keySetsFor(t, provider)
	payload := payloadOf(nil)
	for raw, want := range map[string]Reason{
		ecSigner().sign(`{"alg":"ES256"}`, payload):                           ReasonAllowed,
		rsaSigner().sign(`{"alg":"RS256"}`, payload):                          ReasonTokenKeyUnknown,
		rsaSigner().sign(`{"alg":"RS256","kid":"rsa-1"}`, payload):            ReasonAllowed,
		second.sign(`{"alg":"RS256","kid":"rsa-2"}`, payload):                 ReasonAllowed,
		second.sign(`{"alg":"RS256","kid":"rsa-1"}`, payload):                 ReasonTokenSignatureInvalid,
		edSigner().sign(`{"alg":"EdDSA"}`, payload):                           ReasonTokenKeyUnknown,
		ecSigner().signAs("ES256", `{"alg":"RS256"}`, payload):                ReasonTokenKeyUnknown,
		rsaSigner().signAs("PS256", `{"alg":"PS256"}`, payload):               ReasonTokenKeyUnknown,
		ecSigner().sign(`{"alg":"ES256","kid":"other"}`, payload):             ReasonTokenKeyUnknown,
		ecSigner().sign(`{"alg":"ES256","kid":"ec-1"}`, payload):              ReasonAllowed,
		otherRSA().sign(`{"alg":"RS256","kid":"rsa-2"}`, payload):             ReasonAllowed,
		rsaSigner().sign(`{"alg":"RS256","kid":"rsa-2"}`, payload):            ReasonTokenSignatureInvalid,
		rsaSigner().signAs("PS256", `{"alg":"PS256","kid":"rsa-1"}`, payload): ReasonAllowed,
	} {
		if _, got := verifyRaw(t.Context(), keys, provider, raw, noon); got != want {
			t.Errorf("got %s, want %s: %s", got, want, raw)
		}
	}
}

// Hostile bytes are refused before anything costly happens to them.
func TestRefusedBeforeParsing(t *testing.T) {
	for name, raw := range map[string]string{
		"1 MiB of claims": rsaSigner().header() + "." + strings.Repeat("A", 1<<20) + ".AA",
		"a flood of dots": strings.Repeat(".", 1<<20),
		"five parts":      "eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA",
	} {
		if n := testing.AllocsPerRun(10, func() { _, _ = parseToken(raw) }); n > 1 {
			t.Errorf("%s: %v allocations, want 1 (the refusal)", name, n)
		}
	}
}

func mustJSON(v any) []byte { return must(json.Marshal(v)) }
