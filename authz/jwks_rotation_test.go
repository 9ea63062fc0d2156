package authz

import (
	"fmt"
	"net/http"
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

// A flood at an issuer that fails, or has become very slow, is no reason to ask it
// more often: not even by the tries that follow a failure.
func TestFloodAtAFailingIssuer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"it fails": fails(500), "garbage": serves("<html>"), "it hangs": waits(time.Hour, fails(500)), "no keys": serves(`{"keys":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newJWKSBench(t, serves(set("a")))
				p := urlJWT("main")
				b.Ensure(t.Context(), []*config.JWT{p})
				time.Sleep(time.Minute)
				b.issuer.becomes(answer)
				began := time.Now()
				for i := 0; time.Since(began) < defaultRefresh-2*time.Minute; i++ {
					time.Sleep(70 * time.Millisecond)
					if got := b.find(t, p, fmt.Sprint("random-", i)); got != ReasonTokenKeyUnknown {
						t.Fatalf("kid %d: %s", i, got)
					}
					if got := b.find(t, p, "a"); got != ReasonAllowed {
						t.Fatalf("a good key: %s", got)
					}
				}
				visits := b.issuer.times()[1:]
				for i := range visits {
					if i > 0 && visits[i].Sub(visits[i-1]) < askInterval {
						t.Errorf("asked %s after the time before", visits[i].Sub(visits[i-1]))
					}
				}
				if len(visits) < 4 {
					t.Errorf("asked %d times in %s", len(visits), time.Since(began))
				}
				b.issuer.becomes(serves(set("a", "b")))
				time.Sleep(askInterval + fetchTimeout)
				if got := b.find(t, p, "b"); got != ReasonAllowed {
					t.Errorf("when it is well again: %s", got)
				}
			})
		})
	}
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
