package rollout

import (
	"math"
	"time"
)

// A canary is looked at every moment, and each look is a chance to be wrong. A
// test that is meant for one look, done once a second, finds a difference between
// any two equal sides sooner or later. So what is kept here is not a p-value but a
// betting score, an e-process: money that is bet against "the canary is not worse",
// at fair odds. While that is true, nobody can expect to win, whenever they stop:
// the chance that the money is ever multiplied by 1/α is at most α (Ville's
// inequality). See Ramdas and others, "Game-theoretic statistics and safe anytime-valid
// inference" (2023), and for canaries Lindon and Malek, "Anytime-valid inference
// for multinomial count data" (2022), which is what Netflix does.
//
// The money is split evenly over several alternatives ("twice as many errors", "ten
// times"), since nobody knows how bad a canary is. And it does not bet all at once:
// most of it at the start of a step, and the rest bit by bit, so that a canary that gets
// bad late is not forgiven for what it did well before.

// factors are the alternatives: how many times worse than what is tolerated. They
// are odds for a bound, and ratios between two sides.
var factors = [...]float64{1.5, 2.5, 6, 20}

// atStart is the share of the money that is bet at the start of a step.
const atStart = 0.8

// most bounds the money, far above all that decides, so that no number overflows.
const most = 1e15

// Evidence is what the money has become, for each alternative. The zero value has
// bet nothing yet.
type Evidence [len(factors)]float64

// Score is what all of the money has become: 1 to begin with, at most 1/α with a
// chance of 1-α while the canary is not worse.
func (e *Evidence) Score() float64 {
	sum := 0.0
	for _, v := range e {
		sum += v
	}
	return sum / float64(len(e))
}

// bet adds new money and multiplies all by what the alternative has won.
func (e *Evidence) bet(alternative int, money, logWon float64) {
	e[alternative] = min((e[alternative]+money)*math.Exp(min(logWon, 500)), most)
}

// againstBound bets that more than the share bound of n requests are hits, of which
// there were hits.
func (e *Evidence) againstBound(hits, n uint64, bound, money float64) {
	for i, factor := range factors {
		odds := bound / (1 - bound) * factor
		worse := odds / (1 + odds)
		e.bet(i, money, float64(hits)*math.Log(worse/bound)+float64(n-hits)*math.Log((1-worse)/(1-bound)))
	}
}

// againstStable bets that the canary's requests are hit more often than those of the
// stable side, by more than tolerated times; it bets against anybody who says that they
// are hit at most borne times as often, which is between 1 and tolerated. Of each hit it
// asks only whose it was: were both alike, it would be the canary's as often as requests
// are. So whatever hits both sides (a database that both need) says nothing, and weights
// may move.
//
// Where hits are not rare, the requests of an interval are drawn without replacement;
// that spreads less than what is reckoned with here, so the score errs to the side of
// the canary (Hoeffding 1963, theorem 4).
func (e *Evidence) againstStable(canaryHits, canary, stableHits, stable uint64, borne, tolerated, money float64) {
	q := share(canary, canary+stable)
	hits := float64(canaryHits + stableHits)
	for i, factor := range factors {
		worse := tolerated * factor
		won := float64(canaryHits)*math.Log(worse/borne) + hits*math.Log((1+(borne-1)*q)/(1+(worse-1)*q))
		e.bet(i, money, won)
	}
}

// Comparison is what was bet on the canary's being worse than the stable side.
type Comparison struct {
	// AtAll is against one that is as good, and Beyond against one that is worse by as
	// much as is tolerated.
	AtAll  Evidence `json:"atAll"`
	Beyond Evidence `json:"beyond"`
}

// add takes in the hits among both sides' requests.
func (c *Comparison) add(canaryHits, canary, stableHits, stable uint64, tolerated, money float64) {
	c.AtAll.againstStable(canaryHits, canary, stableHits, stable, 1, tolerated, money)
	c.Beyond.againstStable(canaryHits, canary, stableHits, stable, tolerated, tolerated, money)
}

// moneyBetween is the share of the money that is bet between two moments of a step:
// what is left after atStart, ever more slowly, with half of it in the step's time.
func moneyBetween(from, to, every time.Duration) float64 {
	left := func(at time.Duration) float64 {
		return (1 - atStart) * float64(every) / (float64(every) + float64(at))
	}
	return left(from) - left(to)
}
