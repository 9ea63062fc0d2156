package authz

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/tokentest"
)

// ours are the tokens of our issuer, as they are judged at noon.
func ours() tokentest.Issuer {
	return tokentest.Issuer{
		Name: testIssuer, Audience: testAudience, RSA: rsaSigner().key(), EC: ecSigner().key(), Ed: edSigner().key(), Strange: otherRSA().key(),
		Now: noon, Ahead: time.Minute,
	}
}

func TestGoodTokens(t *testing.T) {
	keys := keySetsFor(t, mainJWT())
	for _, good := range ours().Good() {
		t.Run(good.Name, func(t *testing.T) {
			if _, reason := verifyRaw(t.Context(), keys, mainJWT(), good.Raw, noon); reason != ReasonAllowed {
				t.Fatalf("refused: %s", reason)
			}
		})
	}
}

func TestHostileTokens(t *testing.T) {
	// The headers jku and x5u lead here. Nobody may follow them.
	var visits atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer canary.Close()

	keys := keySetsFor(t, mainJWT())
	hostile := ours().Hostile(canary.URL)
	if len(hostile) < 60 || tokentest.MostBytes != MaxTokenBytes {
		t.Fatalf("only %d tokens, of %d bytes at most", len(hostile), tokentest.MostBytes)
	}
	for _, h := range hostile {
		t.Run(h.Name, func(t *testing.T) {
			if _, reason := verifyRaw(t.Context(), keys, mainJWT(), h.Raw, noon); string(reason) != h.Reason {
				t.Fatalf("got %s, want %s\n%s", reason, h.Reason, h.Raw)
			}
		})
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("a token made us connect %d times", n)
	}
}

// publicPEM is a public key as it is often handed around.
func publicPEM(s signer) []byte {
	der := must(x509.MarshalPKIXPublicKey(s.priv.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
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
