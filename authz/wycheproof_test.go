package authz

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// wycheproofFile is a file of C2SP/wycheproof, testvectors_v1.
type wycheproofFile struct {
	TestGroups []wycheproofGroup
}

type wycheproofGroup struct {
	Comment string
	Private map[string]any
	Public  map[string]any
	Tests   []wycheproofTest
}

type wycheproofTest struct {
	TCID    int `json:"tcId"`
	Comment string
	JWS     json.RawMessage
	JWE     json.RawMessage
	Result  string
}

// raw is the token as text. Some are in JSON serialisation, which is an object.
func raw(message json.RawMessage) string {
	var text string
	if json.Unmarshal(message, &text) == nil {
		return text
	}
	return string(message)
}

// The labels of json_web_signature_test.json that are overridden, for the
// reasons that the vectors' README gives.
var (
	// 367 and 370 are byte for byte the valid 357.
	actuallyValid = []int{367, 370}
	// 372 and 373 hold a question mark, which RFC 7515 forbids.
	actuallyInvalid = []int{372, 373}
	// 346 and 350 use a key marked PS256 with a PS384 token; 347 and 351 name
	// ES521, which does not exist.
	actualAlg = map[int]string{346: "PS384", 350: "PS384", 347: "ES512", 351: "ES512"}
)

func wantValid(c wycheproofTest) bool {
	switch {
	case slices.Contains(actuallyValid, c.TCID):
		return true
	case slices.Contains(actuallyInvalid, c.TCID):
		return false
	}
	return c.Result == "valid"
}

// keySetOf is a group's public key, or its set, as an issuer would publish it.
// HMAC groups have no public key; publishing the secret is their key set.
func keySetOf(g wycheproofGroup) map[string]any {
	key := g.Public
	if key == nil {
		key = g.Private
	}
	key = maps.Clone(key)
	if _, isSet := key["keys"]; isSet {
		return key
	}
	return map[string]any{"keys": []any{key}}
}

func withAlg(set map[string]any, alg string) map[string]any {
	if alg == "" {
		return set
	}
	key := maps.Clone(set["keys"].([]any)[0].(map[string]any))
	key["alg"] = alg
	return map[string]any{"keys": []any{key}}
}

// verifies runs a token through gate, filter and signature, with every
// asymmetric algorithm allowed: what these files test is not the claims.
func verifies(t *testing.T, set map[string]any, token string) bool {
	t.Helper()
	keys, _, err := parseKeySet(must(json.Marshal(set)))
	if err != nil {
		t.Fatal(err)
	}
	parsed, refused := parseToken(token)
	if refused != nil {
		return false
	}
	if _, supported := algorithms[parsed.alg]; !supported {
		return false
	}
	key, found := keys.find(parsed)
	return found && verifySignature(parsed, key)
}

func isSymmetric(set map[string]any) bool {
	for _, key := range set["keys"].([]any) {
		if key.(map[string]any)["kty"] == "oct" {
			return true
		}
	}
	return false
}

// verifiesMAC runs a token through the gate and the MAC of a provider whose secret
// is the group's. The algorithm is the group's alone.
func verifiesMAC(t *testing.T, g wycheproofGroup, token string) bool {
	t.Helper()
	parsed, refused := parseToken(token)
	provider := &config.JWT{SecretEnv: "S", Algorithms: []string{g.Private["alg"].(string)}}
	if refused != nil || !algAllowed(provider, parsed.alg) {
		return false
	}
	secret, err := secretPlaceOf(provider).read(func(string) string { return "base64:" + g.Private["k"].(string) })
	return err == nil && verifySignature(parsed, secret) // a short one is an error
}

func TestWycheproofSignatures(t *testing.T) {
	file := readJSON[wycheproofFile](t, vectors(t, "wycheproof", "json_web_signature_test.json"))
	n := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			n++
			set := withAlg(keySetOf(g), actualAlg[c.TCID])
			token, want := raw(c.JWS), wantValid(c)
			if isSymmetric(set) {
				// What a key set has is never taken for a secret.
				if verifies(t, set, token) {
					t.Errorf("%d %s: an HMAC token was accepted by a published secret", c.TCID, c.Comment)
				}
				if got := verifiesMAC(t, g, token); got != want {
					t.Errorf("%d %s: by a configured secret %t, want %t", c.TCID, c.Comment, got, want)
				}
				continue
			}
			if got := verifies(t, set, token); got != want {
				t.Errorf("%d %s: verifies %t, want %t", c.TCID, c.Comment, got, want)
			}
		}
	}
	if n != 401 {
		t.Errorf("%d cases, want 401", n)
	}
}

func TestWycheproofKeys(t *testing.T) {
	file := readJSON[wycheproofFile](t, vectors(t, "wycheproof", "json_web_key_test.json"))
	n := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			n++
			set := keySetOf(g)
			want := c.Result == "valid" && !isSymmetric(set) // no oct key of a set is ever used
			if g.Private["kty"] == "oct" {
				if got := verifiesMAC(t, g, raw(c.JWS)); got != (c.Result == "valid") {
					t.Errorf("%d %s: by a configured secret %t, want %s", c.TCID, c.Comment, got, c.Result)
				}
			}
			if got := verifies(t, set, raw(c.JWS)); got != want {
				t.Errorf("%d %s: verifies %t, want %t", c.TCID, c.Comment, got, want)
			}
		}
	}
	if n != 26 {
		t.Errorf("%d cases, want 26", n)
	}
}

func TestWycheproofCrypto(t *testing.T) {
	file := readJSON[wycheproofFile](t, vectors(t, "wycheproof", "json_web_crypto_test.json"))
	n := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			n++
			set := keySetOf(g)
			token := raw(c.JWS)
			if c.JWS == nil {
				token = raw(c.JWE)
			}
			want := c.Result == "valid" && c.JWS != nil && !isSymmetric(set)
			if c.JWS != nil && g.Private["kty"] == "oct" {
				if got := verifiesMAC(t, g, token); got != (c.Result == "valid") {
					t.Errorf("%d %s: by a configured secret %t, want %s", c.TCID, c.Comment, got, c.Result)
				}
			}
			if got := verifies(t, set, token); got != want {
				t.Errorf("%d %s: verifies %t, want %t", c.TCID, c.Comment, got, want)
			}
		}
	}
	if n != 83 {
		t.Errorf("%d cases, want 83", n)
	}
}

// No JWE is decrypted, valid or not: its five parts are refused at the gate.
func TestWycheproofEncryption(t *testing.T) {
	file := readJSON[wycheproofFile](t, vectors(t, "wycheproof", "json_web_encryption_test.json"))
	n := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			n++
			_, refused := parseToken(raw(c.JWE))
			if refused == nil || refused.reason != ReasonTokenMalformed {
				t.Errorf("%d %s: %v", c.TCID, c.Comment, refused)
			}
		}
	}
	if n != 139 {
		t.Errorf("%d cases, want 139", n)
	}
}

// cookbookExample is a file of ietf-jose/cookbook (RFC 7520, RFC 8037).
type cookbookExample struct {
	Title string
	Input struct {
		Key json.RawMessage
		Alg any
	}
	Output struct {
		Compact string
		JSON    json.RawMessage
	}
}

func TestJOSECookbook(t *testing.T) {
	accepted := map[string]bool{ // the others are HMAC (see TestTokensByASecret), detached or not compact
		"jws/4_1.rsa_v15_signature.json": true,
		"jws/4_2.rsa-pss_signature.json": true,
		"jws/4_3.ecdsa_signature.json":   true,
		"curve25519/jws.json":            true,
	}
	for _, name := range []string{
		"jws/4_1.rsa_v15_signature.json", "jws/4_2.rsa-pss_signature.json", "jws/4_3.ecdsa_signature.json",
		"jws/4_4.hmac-sha2_integrity_protection.json", "jws/4_5.signature_with_detached_content.json",
		"jws/4_6.protecting_specific_header_fields.json", "jws/4_7.protecting_content_only.json",
		"jws/4_8.multiple_signatures.json", "curve25519/jws.json",
		"rfc7797/hmac-sha2_b64_false.json", "rfc7797/4.2.hmac-sha2_b64_false.json",
	} {
		t.Run(name, func(t *testing.T) {
			example := readJSON[cookbookExample](t, vectors(t, append([]string{"jose-cookbook"}, strings.Split(name, "/")...)...))
			token := example.Output.Compact
			if token == "" {
				token = string(example.Output.JSON)
			}
			set := map[string]any{"keys": publicKeys(t, example.Input.Key)}
			if got := verifies(t, set, token); got != accepted[name] {
				t.Errorf("verifies %t, want %t", got, accepted[name])
			}
			if accepted[name] && verifies(t, set, "A"+token[1:]) {
				t.Error("verifies with its first byte changed")
			}
		})
	}
}

// publicKeys takes the private members out of an example's key, or keys.
func publicKeys(t *testing.T, message json.RawMessage) []any {
	t.Helper()
	var keys []map[string]any
	if json.Unmarshal(message, &keys) != nil {
		var key map[string]any
		if err := json.Unmarshal(message, &key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	var public []any
	for _, key := range keys {
		for _, name := range privateMembers {
			delete(key, name)
		}
		public = append(public, key)
	}
	return public
}

// Nothing that is encrypted in the cookbook is taken, nor anything in JSON: of each
// example every serialisation is refused at the gate.
func TestJOSECookbookJWE(t *testing.T) {
	files, err := filepath.Glob(vectors(t, "jose-cookbook", "jwe", "*.json"))
	if err != nil || len(files) != 13 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range append(files, vectors(t, "jose-cookbook", "curve25519", "ecdh-es.json")) {
		example := readJSON[struct {
			Output map[string]json.RawMessage
		}](t, file)
		if len(example.Output) == 0 {
			t.Errorf("%s: no output", file)
		}
		for serialisation, message := range example.Output {
			if _, refused := parseToken(raw(message)); refused == nil || refused.reason != ReasonTokenMalformed {
				t.Errorf("%s, %s: %v", filepath.Base(file), serialisation, refused)
			}
		}
	}
	files, err = filepath.Glob(vectors(t, "jose-cookbook", "*", "*jws*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	signed, err := filepath.Glob(vectors(t, "jose-cookbook", "jws", "*.json"))
	if err != nil || len(signed) != 8 {
		t.Fatalf("%d files, %v", len(signed), err)
	}
	for _, file := range append(files, signed...) {
		for serialisation, message := range readJSON[struct{ Output map[string]json.RawMessage }](t, file).Output {
			if _, refused := parseToken(raw(message)); serialisation != "compact" && refused == nil {
				t.Errorf("%s: %s was taken as a token", filepath.Base(file), serialisation)
			}
		}
	}
}

// A token in a token (RFC 7520, section 6): what is inside verifies, what is around
// it is encrypted, and so is refused.
func TestJOSECookbookNesting(t *testing.T) {
	example := readJSON[struct{ Sign, Encrypt cookbookExample }](t, vectors(t, "jose-cookbook", "6.nesting_signatures_and_encryption.json"))
	set := map[string]any{"keys": publicKeys(t, example.Sign.Input.Key)}
	if inner := example.Sign.Output.Compact; !verifies(t, set, inner) || verifies(t, set, "A"+inner[1:]) {
		t.Error("what is inside does not verify, or does so when it is changed")
	}
	if _, refused := parseToken(example.Encrypt.Output.Compact); refused == nil || refused.reason != ReasonTokenMalformed {
		t.Errorf("what is around it: %v", refused)
	}
}

// Of the cookbook's keys a set keeps those that are public (RFC 7520, section 3).
func TestJOSECookbookKeys(t *testing.T) {
	for name, want := range map[string]string{
		"3_1.ec_public_key.json": "ES512", "3_3.rsa_public_key.json": "RS256",
		"3_2.ec_private_key.json": "", "3_4.rsa_private_key.json": "", "3_5.symmetric_key_mac_computation.json": "", "3_6.symmetric_key_encryption.json": "",
	} {
		key := readJSON[map[string]any](t, vectors(t, "jose-cookbook", "jwk", name))
		set, dropped, err := parseKeySet([]byte(jwksOf(key)))
		if err != nil {
			t.Fatal(err)
		}
		if kept := len(set.keys) == 1 && len(dropped) == 0; kept != (want != "") || kept && set.keys[0].algs[0] != want {
			t.Errorf("%s: kept %v, dropped %v; want for %q", name, set.keys, dropped, want)
		}
	}
}
