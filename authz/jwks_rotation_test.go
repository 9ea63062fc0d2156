package authz

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestRotationCostsOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("old")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		time.Sleep(time.Minute)
		b.issuer.becomes(serves(set("new")))
		if got := b.find(t, p, "new"); got != ReasonAllowed {
			t.Errorf("the new key: %s", got)
		}
		if got := b.find(t, p, "old"); got != ReasonTokenKeyUnknown {
			t.Errorf("the old key: %s", got)
		}
		if n := b.issuer.count(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

// Those who come while a fetch is under way share it, also one that nobody
// asked for.
func TestRequestsShareAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("old")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		together := func(kid string) {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					if got := b.find(t, p, kid); got != ReasonAllowed {
						t.Errorf("%s, request %d: %s", kid, i, got)
					}
				})
			}
			all.Wait()
		}
		time.Sleep(defaultRefresh - time.Second)
		b.issuer.becomes(waits(200*time.Millisecond, serves(set("asked"))))
		together("asked")
		b.issuer.becomes(waits(200*time.Millisecond, serves(set("scheduled"))))
		time.Sleep(defaultRefresh + time.Millisecond) // the refresh is under way
		together("scheduled")
		if n := b.issuer.count(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}

// 10 000 tokens with unknown keys cause one fetch in 30 seconds, and none of
// them waits for long. Known keys are not held up at all.
func TestUnknownKeyFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("a")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		time.Sleep(time.Minute)
		b.issuer.becomes(waits(4*time.Second, serves(set("a"))))
		began := time.Now()
		var all sync.WaitGroup
		for i := range 10_000 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 2900 * time.Microsecond) // over 29 s
				asked := time.Now()
				if got := b.find(t, p, fmt.Sprint("random-", i)); got != ReasonTokenKeyUnknown {
					t.Errorf("kid %d: %s", i, got)
				}
				if took := time.Since(asked); took > askPatience || asked.Sub(began) > askPatience && took != 0 {
					t.Errorf("kid %d waited %s, %s after the first", i, took, asked.Sub(began))
				}
				asked = time.Now()
				if got := b.find(t, p, "a"); got != ReasonAllowed || time.Since(asked) != 0 {
					t.Errorf("a good key: %s after %s", got, time.Since(asked))
				}
			})
		}
		all.Wait()
		if n := b.issuer.count(); n != 2 {
			t.Errorf("%d fetches, want 2: the first, and one for the flood", n)
		}
		time.Sleep(time.Until(began.Add(askInterval)))
		b.find(t, p, "random")
		if n := b.issuer.count(); n != 3 {
			t.Errorf("%d fetches, want one more after %s", n, askInterval)
		}
	})
}

// A request waits half a second at most for a slow issuer, and the key is
// there for the next one.
func TestSlowRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, serves(set("old")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		b.issuer.becomes(waits(time.Second, serves(set("new"))))
		began := time.Now()
		if got := b.find(t, p, "new"); got != ReasonTokenKeyUnknown || time.Since(began) != askPatience {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		time.Sleep(time.Second)
		if got := b.find(t, p, "new"); got != ReasonAllowed {
			t.Errorf("a second later: %s", got)
		}
	})
}
