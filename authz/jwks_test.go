package authz

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestFreshStartHasKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, waits(time.Second, serves(set("a"))))
		p := urlJWT("main")
		if got := b.find(t, p, "a"); got != ReasonJWKSUnavailable {
			t.Errorf("before Ensure: %s", got)
		}
		b.Ensure(t.Context(), []*config.JWT{p, urlJWT("main")}) // as in an old policy and a new one
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("after Ensure: %s", got)
		}
		b.wantMetric(t, "gatewright_jwks_fetches_total main ok", "1")
		b.wantMetric(t, "gatewright_jwks_keys main", "1")
	})
}

// An issuer that is down delays Ensure by a bounded time. It is asked again,
// later and later, and its tokens get a 503 until it answers.
func TestIssuerIsDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, fails(500))
		p := urlJWT("main")
		began := time.Now()
		b.Ensure(t.Context(), []*config.JWT{p})
		if took := time.Since(began); took != firstSetPatience {
			t.Errorf("Ensure took %s", took)
		}
		if got := b.find(t, p, "a"); got != ReasonJWKSUnavailable {
			t.Errorf("while it is down: %s", got)
		}
		time.Sleep(10 * time.Minute)
		var waited []time.Duration
		visits := b.issuer.times()
		for i, visit := range visits[1:] {
			waited = append(waited, visit.Sub(visits[i]))
		}
		for i, want := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
			if waited[i] != want {
				t.Errorf("pause %d is %s, want %s", i, waited[i], want)
			}
		}
		if last := waited[len(waited)-1]; last != 30*time.Second {
			t.Errorf("the last pause is %s", last)
		}
		b.issuer.becomes(serves(set("a")))
		time.Sleep(30 * time.Second)
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("when it is up: %s", got)
		}
		if n := strings.Count(b.log.String(), "loading a key set failed"); n != 1 {
			t.Errorf("%d lines about one fault:\n%s", n, b.log)
		}
	})
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, fails(500))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		b.Ensure(ctx, []*config.JWT{urlJWT("main")})
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("Ensure took %s", took)
		}
	})
}

func TestRefreshInterval(t *testing.T) {
	for cacheControl, want := range map[string]time.Duration{
		"":                                  5 * time.Minute,
		"no-store":                          5 * time.Minute,
		"max-age=0":                         5 * time.Minute,
		"max-age=-5":                        5 * time.Minute,
		"max-age=1e3":                       5 * time.Minute,
		"max-age=99999999999999999999":      5 * time.Minute,
		"public, max-age=5":                 time.Minute,
		`public , Max-Age="600", immutable`: 10 * time.Minute,
		"max-age=604800":                    time.Hour,
	} {
		t.Run(cacheControl, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newJWKSBench(t, servesFor(cacheControl, set("a")))
				b.Ensure(t.Context(), []*config.JWT{urlJWT("main")})
				time.Sleep(want - time.Millisecond)
				synctest.Wait()
				if n := b.issuer.count(); n != 1 {
					t.Fatalf("%d fetches before %s", n, want)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if n := b.issuer.count(); n != 2 {
					t.Fatalf("%d fetches at %s", n, want)
				}
				if n := strings.Count(b.log.String(), "key set loaded"); n != 1 {
					t.Errorf("the same set was logged %d times", n)
				}
			})
		})
	}
}

// A reload keeps a source that stays, whatever its providers are called, and
// stops one that goes.
func TestReloadKeepsSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("a")))
		before, after := urlJWT("before"), urlJWT("after")
		b.Ensure(t.Context(), []*config.JWT{before})
		after.Audiences = []string{"another"}
		b.Ensure(t.Context(), []*config.JWT{before, after})
		b.Ensure(t.Context(), []*config.JWT{after})
		if got := b.find(t, after, "a"); got != ReasonAllowed {
			t.Errorf("after the reload: %s", got)
		}
		if n := b.issuer.count(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
		b.wantMetric(t, "gatewright_jwks_keys after", "1")
		b.wantMetric(t, "gatewright_jwks_keys before", "")
		b.Ensure(t.Context(), nil)
		if got := b.find(t, after, "a"); got != ReasonJWKSUnavailable {
			t.Errorf("when no provider has it: %s", got)
		}
		time.Sleep(time.Hour)
		if n := b.issuer.count(); n != 1 {
			t.Errorf("a source that is gone was fetched: %d", n)
		}
		b.wantMetric(t, "gatewright_jwks_keys after", "")
	})
}

// Close waits for the goroutines: the bubble would not end with one alive.
func TestCloseInTheMiddleOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("a")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		b.issuer.becomes(waits(time.Hour, serves("")))
		asked := make(chan Reason)
		go func() { asked <- b.find(t, p, "unknown") }()
		synctest.Wait()
		b.Close()
		if got := <-asked; got != ReasonTokenKeyUnknown {
			t.Errorf("a request that waits: %s", got)
		}
		if got := b.find(t, p, "a"); got != ReasonJWKSUnavailable {
			t.Errorf("after Close: %s", got)
		}
		b.Ensure(t.Context(), []*config.JWT{p})
		b.Close()
		if n := b.issuer.count(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

// A stop does not wait for a start that waits for an issuer.
func TestCloseInTheMiddleOfEnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, fails(500))
		ensured := make(chan struct{})
		go func() {
			b.Ensure(t.Context(), []*config.JWT{urlJWT("main")})
			close(ensured)
		}()
		synctest.Wait()
		began := time.Now()
		b.Close()
		<-ensured
		if took := time.Since(began); took != 0 {
			t.Errorf("stopping took %s", took)
		}
	})
}
