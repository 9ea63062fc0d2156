package ratelimit

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// What is known of a limit is what NewDefinition makes of it for each caller, also
// when so many have been asked for that those before are forgotten.
func TestKnownLimits(t *testing.T) {
	bucket := func(capacity int64) *config.TokenBucket {
		return &config.TokenBucket{Capacity: capacity, Refill: config.Rate{Events: 1, Per: time.Second}}
	}
	var known knownLimits
	for i := range int64(2*mostKnown + 10) {
		l := &config.Limit{
			Name: "l", Key: []config.KeyPart{config.KeyTenant}, TokenBucket: bucket(i + 1),
			Plans: map[string]*config.LimitPlan{"gold": {TokenBucket: bucket(10 * (i + 1))}},
		}
		for range 2 {
			found, err := known.limit(l)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []config.Allowance{
				{}, {Plan: "gold"}, {Plan: "gold", Apart: true}, {Plan: "nobody's"}, {Own: config.Numbers{Bucket: *bucket(7)}}, {Own: config.Numbers{Count: 7}},
			} {
				got, gotErr := found.definition(l, a)
				want, wantErr := NewDefinition(l, a)
				if got != want || (gotErr == nil) != (wantErr == nil) {
					t.Fatalf("%+v: %+v (%v), want %+v (%v)", a, got, gotErr, want, wantErr)
				}
			}
			if found.keep != longestFill(l) {
				t.Fatalf("kept for %d, want %d", found.keep, longestFill(l))
			}
		}
		if n := known.size.Load(); n > mostKnown {
			t.Fatalf("%d are known, want %d at most", n, mostKnown)
		}
	}
	if _, err := known.limit(&config.Limit{Name: "none"}); err == nil {
		t.Error("a limit without an algorithm is known")
	}
}
