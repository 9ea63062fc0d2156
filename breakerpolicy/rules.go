package breakerpolicy

import (
	"math"

	"github.com/gatewright/gatewright/config"
)

// million is the whole that shares are parts of.
const million = 1_000_000

// rules are a breaker's numbers as the machine reckons with them: integers, and
// times in milliseconds. Every product of them is below 2^53, up to which Lua counts
// without gaps.
type rules struct {
	// Rate is the share of failures, in parts of a million, above which it opens,
	// and Least how many requests it takes.
	Rate  int64 `json:"rate"`
	Least int64 `json:"least"`
	// Window is the time whose requests are counted, and Slot that of a slot.
	Window int64 `json:"window"`
	Slot   int64 `json:"slot"`
	// Open is how long it stays open at first. Growth multiplies that for each
	// failed probe, in parts of a thousand, up to Longest; Jitter is how much of it
	// is random beside it, in parts of a thousand.
	Open    int64 `json:"open"`
	Growth  int64 `json:"growth"`
	Longest int64 `json:"longest"`
	Jitter  int64 `json:"jitter"`
	// Probes is how many probes in a row close it, and Lease how long the end of
	// one is waited for.
	Probes int64 `json:"probes"`
	Lease  int64 `json:"lease"`
}

func rulesOf(b *config.Breaker) rules {
	window := b.Over().Milliseconds()
	return rules{
		Rate:    int64(math.Round(b.Rate() * million)),
		Least:   int64(b.Least()),
		Window:  window,
		Slot:    max((window+slotsPerWindow-1)/slotsPerWindow, 1),
		Open:    b.FirstOpen().Milliseconds(),
		Growth:  int64(math.Round(b.Growth() * 1000)),
		Longest: b.LongestOpen().Milliseconds(),
		Jitter:  int64(math.Round(b.Jitter() * 1000)),
		Probes:  int64(b.ProbesToClose()),
		Lease:   b.Lease().Milliseconds(),
	}
}

// tooMany tells whether more than the rate of enough requests have failed.
func (r rules) tooMany(t tally) bool {
	return t.Total >= r.Least && t.Failed*million > t.Total*r.Rate
}

// openFor is how long the breaker stays open after it has opened so many times
// without closing; random is from 0 to a million.
func (r rules) openFor(trips, random int64) int64 {
	t := r.Open
	if r.Growth > 1000 {
		for i := int64(1); i < trips && t < r.Longest; i++ {
			t = t * r.Growth / 1000
		}
	}
	t = min(t, r.Longest)
	return t + t*r.Jitter/1000*random/million
}
