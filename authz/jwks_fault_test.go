package authz

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Whatever an issuer answers, the last good set stays, and the fault shows in
// the metrics and once in the log.
func TestBadAnswersKeepTheLastGoodSet(t *testing.T) {
	private := with(ecSigner().jwk(), map[string]any{"kid": "b", "d": "AQAB"})
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		result string
		log    string
	}{
		"500":              {fails(500), "error", "status 500"},
		"404":              {fails(404), "error", "status 404"},
		"204":              {fails(204), "error", "status 204"},
		"garbage":          {serves("<html>login</html>"), "invalid", "strict JSON"},
		"cut off":          {serves(set("b")[:50]), "invalid", "strict JSON"},
		"empty body":       {serves(""), "invalid", "strict JSON"},
		"an empty set":     {serves(`{"keys":[]}`), "empty", "no usable key"},
		"private keys":     {serves(jwksOf(private)), "empty", "private"},
		"2 MiB":            {serves(set("b") + strings.Repeat(" ", 2<<20)), "error", "more than 1048576 bytes"},
		"without end":      {floods, "error", "more than 1048576 bytes"},
		"a redirect":       {redirects("http://169.254.169.254/latest/meta-data"), "error", "redirects are not followed"},
		"a redirect home":  {redirects(issuerURL + "?2"), "error", "redirects are not followed"},
		"no answer":        {waits(time.Hour, serves(set("b"))), "error", "deadline exceeded"},
		"a byte a second":  {drips, "error", "deadline exceeded"},
		"a header of 1 MB": {servesFor(strings.Repeat("x", 1<<20), set("b")), "error", "header"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newJWKSBench(t, serves(set("a")))
				p := urlJWT("main")
				b.Ensure(t.Context(), []*config.JWT{p})
				b.issuer.becomes(c.answer)
				time.Sleep(defaultRefresh + time.Minute)
				if got := b.find(t, p, "a"); got != ReasonAllowed {
					t.Errorf("the last good key: %s", got)
				}
				b.wantMetric(t, "gatewright_jwks_keys main", "1")
				if n := testutil.ToFloat64(b.metrics.fetches.WithLabelValues("main", c.result)); n == 0 {
					t.Errorf("no fetch counted as %s", c.result)
				}
				if !strings.Contains(b.log.String(), c.log) {
					t.Errorf("the log does not say %q:\n%s", c.log, b.log)
				}
				if n := strings.Count(b.log.String(), "loading a key set failed"); n != 1 {
					t.Errorf("%d lines about one fault:\n%s", n, b.log)
				}
				b.issuer.becomes(serves(set("a", "b")))
				time.Sleep(time.Minute)
				if got := b.find(t, p, "b"); got != ReasonAllowed {
					t.Errorf("when it is well again: %s", got)
				}
				b.wantMetric(t, "gatewright_jwks_keys main", "2")
			})
		})
	}
}

// A mixed set is used as far as it is good.
func TestMixedSetIsFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(jwksOf(
			with(ecSigner().jwk(), map[string]any{"kid": "lost", "d": "AQAB"}),
			map[string]any{"kty": "oct", "kid": "secret", "k": "AQ"},
			with(ecSigner().jwk(), map[string]any{"kid": "good"}))))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		for kid, want := range map[string]Reason{"good": ReasonAllowed, "lost": ReasonTokenKeyUnknown, "secret": ReasonTokenKeyUnknown} {
			if got := b.find(t, p, kid); got != want {
				t.Errorf("%s: %s, want %s", kid, got, want)
			}
		}
		if !strings.Contains(b.log.String(), "kid=lost") {
			t.Errorf("the log does not name the key:\n%s", b.log)
		}
	})
}
