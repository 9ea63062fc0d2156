package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// with returns a copy of a JWK with members set or, by nil, taken out.
func with(key map[string]any, changes map[string]any) map[string]any {
	changed := map[string]any{}
	for name, value := range key {
		changed[name] = value
	}
	for name, value := range changes {
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
	}
	return changed
}

func ecKeyOn(curve elliptic.Curve, alg string) signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return signer{"ec", alg, must(key, err)}
}

func TestKeysThatAreUsed(t *testing.T) {
	rs, es, ed := rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk()
	for name, c := range map[string]struct {
		key  map[string]any
		algs string
	}{
		"RSA":                     {rs, "RS256 RS384 RS512 PS256 PS384 PS512"},
		"RSA for one algorithm":   {with(rs, map[string]any{"alg": "PS384"}), "PS384"},
		"P-256":                   {es, "ES256"},
		"P-384":                   {ecKeyOn(elliptic.P384(), "ES384").jwk(), "ES384"},
		"P-521":                   {ecKeyOn(elliptic.P521(), "ES512").jwk(), "ES512"},
		"Ed25519":                 {ed, "EdDSA"},
		"without use":             {with(es, map[string]any{"use": nil}), "ES256"},
		"without kid":             {with(es, map[string]any{"kid": nil}), "ES256"},
		"key_ops verify":          {with(es, map[string]any{"use": nil, "key_ops": []string{"verify"}}), "ES256"},
		"with an odd x5c":         {with(es, map[string]any{"x5c": []string{"!!"}, "x5t": 1}), "ES256"},
		"with members of its own": {with(es, map[string]any{"exp": 1, "issuer": map[string]any{}}), "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			set, dropped, err := parseKeySet([]byte(jwksOf(c.key)))
			if err != nil || len(dropped) != 0 || len(set.keys) != 1 {
				t.Fatalf("%v, dropped %v", err, dropped)
			}
			if got := strings.Join(set.keys[0].algs, " "); got != c.algs {
				t.Errorf("fits %s, want %s", got, c.algs)
			}
		})
	}
}

func rsaJWK(n *big.Int, e int64) map[string]any {
	return map[string]any{"kty": "RSA", "kid": "x", "n": b64(n.Bytes()), "e": b64(big.NewInt(e).Bytes())}
}

// 1024 bits are refused; the key is real, so that size is all that is wrong.
func smallRSA(t *testing.T) map[string]any {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return signer{"x", "RS256", key}.jwk()
}

func TestKeysThatAreDropped(t *testing.T) {
	rs, es, ed := rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk()
	n := rsaSigner().priv.(*rsa.PrivateKey).N
	cases := map[string]any{
		"private RSA":          with(rs, map[string]any{"d": "AQAB"}),
		"private by a prime":   with(rs, map[string]any{"p": "AQAB"}),
		"private EC":           with(es, map[string]any{"d": "AQAB"}),
		"private, d is null":   map[string]any{"kty": "EC", "crv": "P-256", "x": es["x"], "y": es["y"], "d": json.RawMessage("null")},
		"oct":                  map[string]any{"kty": "oct", "kid": "x", "k": "AQ", "alg": "HS256"},
		"RSA of 1024 bits":     smallRSA(t),
		"RSA of 16384 bits":    rsaJWK(new(big.Int).SetBit(big.NewInt(1), 16383, 1), 65537),
		"RSA, e 1":             rsaJWK(n, 1),
		"RSA, e 2":             rsaJWK(n, 2),
		"RSA, n even":          rsaJWK(new(big.Int).Lsh(n, 1), 65537),
		"RSA, n 0":             map[string]any{"kty": "RSA", "n": "", "e": "AQAB"},
		"RSA without n":        with(rs, map[string]any{"n": nil}),
		"RSA, n is a number":   with(rs, map[string]any{"n": 5}),
		"RSA, e is 2^64+65537": with(rs, map[string]any{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}),
		"use enc":              with(rs, map[string]any{"use": "enc"}),
		"use SIG":              with(rs, map[string]any{"use": "SIG"}),
		"use null":             with(rs, map[string]any{"use": json.RawMessage("null")}),
		"key_ops encrypt":      with(rs, map[string]any{"key_ops": []string{"encrypt"}}),
		"key_ops empty":        with(rs, map[string]any{"key_ops": []string{}}),
		"key_ops a string":     with(rs, map[string]any{"key_ops": "verify"}),
		"alg of another type":  with(rs, map[string]any{"alg": "ES256"}),
		"alg to encrypt":       with(rs, map[string]any{"alg": "RSA-OAEP"}),
		"alg HS256":            with(rs, map[string]any{"alg": "HS256"}),
		"alg none":             with(es, map[string]any{"alg": "none"}),
		"alg of another curve": with(es, map[string]any{"alg": "ES384"}),
		"alg ES521":            with(es, map[string]any{"alg": "ES521"}),
		"alg a number":         with(es, map[string]any{"alg": 256}),
		"crv of another size":  with(es, map[string]any{"crv": "P-384"}),
		"crv secp256k1":        with(es, map[string]any{"crv": "secp256k1"}),
		"crv an array":         with(es, map[string]any{"crv": []string{"P-256"}}),
		"point not on curve":   with(es, map[string]any{"y": es["x"]}),
		"point at 0,0":         with(es, map[string]any{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}),
		"X25519":               with(ed, map[string]any{"crv": "X25519"}),
		"Ed448":                with(ed, map[string]any{"crv": "Ed448"}),
		"Ed25519 too short":    with(ed, map[string]any{"x": b64(make([]byte, 31))}),
		"Ed25519 too long":     with(ed, map[string]any{"x": b64(make([]byte, 33))}),
		"kty unknown":          map[string]any{"kty": "AKP", "kid": "x"},
		"kty in lower case":    with(rs, map[string]any{"kty": "rsa"}),
		"no kty":               with(rs, map[string]any{"kty": nil}),
		"kid a number":         with(rs, map[string]any{"kid": 1}),
		"kid empty":            with(rs, map[string]any{"kid": ""}),
		"kid huge":             with(rs, map[string]any{"kid": strings.Repeat("k", 257)}),
		"not an object":        "key",
		"null":                 nil,
	}
	for name, key := range cases {
		t.Run(name, func(t *testing.T) {
			good := with(es, map[string]any{"kid": "good"})
			data := must(json.Marshal(map[string]any{"keys": []any{key, good}}))
			set, dropped, err := parseKeySet(data)
			if err != nil {
				t.Fatal(err)
			}
			if len(set.keys) != 1 || set.keys[0].kid != "good" || len(dropped) != 1 || dropped[0].why == "" {
				t.Fatalf("kept %v, dropped %v", set.keys, dropped)
			}
		})
	}
}

func TestRepeatedKIDDropsAllOfIt(t *testing.T) {
	es := ecSigner().jwk()
	set, dropped, err := parseKeySet([]byte(jwksOf(es, with(otherRSA().jwk(), map[string]any{"kid": "ec-1"}), rsaSigner().jwk())))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.keys) != 1 || set.keys[0].kid != "rsa-1" || len(dropped) != 2 {
		t.Errorf("kept %v, dropped %v", set.keys, dropped)
	}
	// A key that is not used anyway does not make the other one ambiguous.
	set, _, err = parseKeySet([]byte(jwksOf(es, with(es, map[string]any{"use": "enc"}))))
	if err != nil || len(set.keys) != 1 {
		t.Errorf("kept %v (%v)", set.keys, err)
	}
}

func TestNotAKeySet(t *testing.T) {
	es := string(must(json.Marshal(ecSigner().jwk())))
	for name, data := range map[string]string{
		"empty":           ``,
		"HTML":            `<html>`,
		"a bare key":      es,
		"no keys":         `{}`,
		"keys an object":  `{"keys":{}}`,
		"keys null":       `{"keys":null}`,
		"Keys":            `{"Keys":[` + es + `]}`,
		"keys twice":      `{"keys":[` + es + `],"keys":[]}`,
		"bytes behind":    `{"keys":[` + es + `]} x`,
		"kty twice":       `{"keys":[{"kty":"oct",` + es[1:] + `]}`,
		"not UTF-8":       "{\"keys\":[],\"x\":\"\xff\"}",
		"cut off":         `{"keys":[` + es,
		"an array":        `[` + es + `]`,
		"a million lists": strings.Repeat("[", 1<<20),
	} {
		if set, _, err := parseKeySet([]byte(data)); err == nil {
			t.Errorf("%s: taken as %v", name, set.keys)
		}
	}
	if set, _, err := parseKeySet([]byte(`{"keys":[]}`)); err != nil || len(set.keys) != 0 {
		t.Errorf("an empty set: %v", err)
	}
}

// Sound keys do not have the fingerprint; the Wycheproof key that has it is in
// TestWycheproofKeys.
func TestROCAFingerprint(t *testing.T) {
	for _, s := range []signer{rsaSigner(), otherRSA()} {
		if hasROCAFingerprint(s.priv.(*rsa.PrivateKey).N) {
			t.Error("a fresh key has the fingerprint")
		}
	}
	// 65537^k is a power of 65537 modulo everything.
	if !hasROCAFingerprint(new(big.Int).Exp(big.NewInt(65537), big.NewInt(130), nil)) {
		t.Error("a power of 65537 has no fingerprint")
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(jwksOf(rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk())))
	f.Add([]byte(jwksOf(ecKeyOn(elliptic.P521(), "ES512").jwk())))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, _, err := parseKeySet(data)
		if err != nil {
			return
		}
		for _, key := range set.keys {
			if !isUsable(key.public) || len(key.algs) == 0 {
				t.Fatalf("kept %v for %v", key.public, key.algs)
			}
		}
	})
}

func isUsable(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		_, err := key.ECDH()
		return err == nil
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize
	}
	return false
}
