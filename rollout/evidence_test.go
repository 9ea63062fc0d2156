package rollout

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestABetIsFair: whatever the alternative and the share, nobody gains on average
// against a canary that is not worse. So no number of looks makes a false alarm
// likelier than the threshold says.
func TestABetIsFair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := uint64(rapid.IntRange(0, 30).Draw(t, "requests"))
		bound := rapid.Float64Range(0.0001, 0.9).Draw(t, "bound")
		truth := bound * rapid.Float64Range(0, 1).Draw(t, "truth")
		mean := 0.0
		for hits := range n + 1 {
			var e Evidence
			e.againstBound(hits, n, bound, 1)
			mean += binomial(n, hits, truth) * e.Score()
		}
		if mean > 1+1e-9 {
			t.Errorf("against a bound of %g, of %d requests that hit by %g: the money becomes %g on average", bound, n, truth, mean)
		}
		// Two sides: of the hits, as many are the canary's as chance draws, also
		// where there are few others left to draw.
		canary, stable := n, uint64(rapid.IntRange(0, 60).Draw(t, "stable"))
		hits := uint64(rapid.IntRange(0, int(canary+stable)).Draw(t, "hits"))
		tolerated := rapid.Float64Range(1, 3).Draw(t, "tolerated")
		borne := rapid.Float64Range(1, tolerated).Draw(t, "borne")
		mean = 0
		for of := range min(canary, hits) + 1 {
			if hits-of > stable {
				continue
			}
			var e Evidence
			e.againstStable(of, canary, hits-of, stable, borne, tolerated, 1)
			mean += math.Exp(choose(canary, of)+choose(stable, hits-of)-choose(canary+stable, hits)) * e.Score()
		}
		if mean > 1+1e-9 {
			t.Errorf("%d hits of %d and %d equal requests: the money becomes %g on average", hits, canary, stable, mean)
		}
	})
}

func binomial(n, k uint64, p float64) float64 {
	if p == 0 {
		if k == 0 {
			return 1
		}
		return 0
	}
	return math.Exp(choose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log(1-p))
}

// choose is the logarithm of the number of ways to choose k of n.
func choose(n, k uint64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// TestNoMoreMoneyThanThereIs: however long a step lasts and however often it is
// looked at, at most all of the money is bet.
func TestNoMoreMoneyThanThereIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sum, at := atStart, time.Duration(0)
		for range 100 {
			next := at + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "passed"))
			sum += moneyBetween(at, next, time.Minute)
			at = next
		}
		if sum > 1+1e-9 {
			t.Errorf("%g was bet", sum)
		}
	})
}

// TestEvidence: what is plain to see is seen, and what hits both sides alike is not
// held against the canary.
func TestEvidence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what                        string
		canaryHits, canary          uint64
		stableHits, stable          uint64
		overBound, moreThanTheOther bool
	}{
		{"none", 0, 0, 0, 0, false, false},
		{"no requests of the other side", 50, 100, 0, 0, true, false},
		{"all fail, on both sides", 100, 100, 1900, 1900, true, false},
		{"all of the canary's fail", 100, 100, 0, 1900, true, true},
		{"5 % against 0.1 %", 15, 300, 5, 5700, true, true},
		{"1 % against 1 %", 3, 300, 57, 5700, false, false},
		{"one error alone", 1, 50, 0, 950, false, false},
	} {
		var bound, two Evidence
		bound.againstBound(c.canaryHits, c.canary, 0.02, 1)
		two.againstStable(c.canaryHits, c.canary, c.stableHits, c.stable, 1, DefaultErrorTolerance, 1)
		if got := bound.Score() >= 1/boundAlarms; got != c.overBound {
			t.Errorf("%s: over the bound is %t (%g)", c.what, got, bound.Score())
		}
		if got := two.Score() >= 2*2/falseAlarms; got != c.moreThanTheOther {
			t.Errorf("%s: more than the other is %t (%g)", c.what, got, two.Score())
		}
	}
}
