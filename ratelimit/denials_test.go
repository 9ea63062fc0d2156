package ratelimit

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// remembering is a limiter on a clock that only step moves.
func remembering() (l *Limiter, step func(time.Duration)) {
	now := time.Unix(1_700_000_000, 0)
	l = &Limiter{local: newMemory(1000), denials: newDenials(), metrics: newMetrics()}
	l.local.now = func() int64 { return now.UnixMicro() }
	l.denials.start = now
	l.denials.now = func() time.Time { return now }
	return l, func(d time.Duration) { now = now.Add(d) }
}

func byIP(capacity, refill int64, per time.Duration) *config.Limit {
	return &config.Limit{Name: "per-ip", Key: []config.KeyPart{config.KeyClientIP}, TokenBucket: &config.TokenBucket{Capacity: capacity, Refill: config.Rate{Events: refill, Per: per}}}
}

// TestRecall: a denial is remembered until the request would pass, for its key, its
// cost and more, and the definition that denied.
func TestRecall(t *testing.T) {
	l, step := remembering()
	limit := byIP(2, 1, time.Second/2)
	ask := func(limit *config.Limit, ip string, cost int64) []Charge {
		return []Charge{{Limit: limit, Key: []string{ip}, Cost: cost}}
	}
	recalled := func(charges []Charge) bool {
		_, ok := l.Recall(charges)
		return ok
	}
	if recalled(ask(limit, "a", 1)) {
		t.Fatal("a denial before there was one")
	}
	for range 2 {
		if !l.Take(t.Context(), ask(limit, "a", 1)).Allowed || recalled(ask(limit, "a", 1)) {
			t.Fatal("denied within the capacity")
		}
	}
	step(100 * time.Millisecond)
	if d := l.Take(t.Context(), ask(limit, "a", 1)); d.Allowed || d.RetryAfter != 400*time.Millisecond {
		t.Fatalf("%+v", d)
	}
	step(100 * time.Millisecond)
	d, ok := l.Recall(ask(limit, "a", 1))
	if want := (Decision{Limit: "per-ip", Capacity: 2, RetryAfter: 300 * time.Millisecond, ResetAfter: 800 * time.Millisecond}); !ok || !reflect.DeepEqual(d, want) {
		t.Errorf("recalled %+v, %t; want %+v", d, ok, want)
	}
	same := *limit
	for what, c := range map[string]struct {
		charges []Charge
		want    bool
	}{
		"another key":        {ask(limit, "b", 1), false},
		"more of it":         {ask(limit, "a", 2), true},
		"nothing of it":      {ask(limit, "a", NoCost), false},
		"changed":            {ask(&same, "a", 1), false},
		"one of several":     {append(ask(limit, "b", 1), ask(limit, "a", 1)...), true},
		"none of several":    {append(ask(limit, "b", 1), ask(&same, "a", 1)...), false},
		"without any charge": {nil, false},
	} {
		if recalled(c.charges) != c.want {
			t.Errorf("%s: recalled %t", what, !c.want)
		}
	}
	step(300*time.Millisecond - time.Microsecond)
	if !recalled(ask(limit, "a", 1)) {
		t.Error("forgotten before the request would pass")
	}
	step(time.Microsecond)
	if recalled(ask(limit, "a", 1)) || !l.Take(t.Context(), ask(limit, "a", 1)).Allowed {
		t.Error("denied when it would pass")
	}
	if n := testutil.ToFloat64(l.metrics.recalled); n != 4 {
		t.Errorf("%v recalled denials are counted", n)
	}
	if n := testutil.ToFloat64(l.metrics.decisions.WithLabelValues("per-ip", resultDenied.String())); n != 5 {
		t.Errorf("%v denials are counted", n)
	}
}

// TestRecallIsForASecond at most, and for less where instances share.
func TestRecallIsForASecond(t *testing.T) {
	for consistency, longest := range map[config.Consistency]time.Duration{
		"": time.Second, config.Exact: time.Second, config.Lease: 100 * time.Millisecond, config.Sync: 100 * time.Millisecond,
	} {
		l, step := remembering()
		limit := byIP(1, 1, time.Hour)
		limit.Consistency = consistency
		for _, cost := range []int64{1, 2} { // 2 can never pass
			charges := []Charge{{Limit: limit, Key: []string{fmt.Sprint(cost)}, Cost: cost}}
			l.Take(t.Context(), charges)
			l.Take(t.Context(), charges)
			step(longest - time.Microsecond)
			d, ok := l.Recall(charges)
			if !ok || (d.RetryAfter == Never) != (cost == 2) {
				t.Errorf("%q: forgotten too early, or %+v", consistency, d)
			}
			step(time.Microsecond)
			if _, ok := l.Recall(charges); ok {
				t.Errorf("%q: remembered for longer than %v", consistency, longest)
			}
		}
	}
}

// TestWhatIsNotRemembered: limits of callers, and of requests in flight.
func TestWhatIsNotRemembered(t *testing.T) {
	l, _ := remembering()
	for _, limit := range []*config.Limit{
		{Name: "user", Key: []config.KeyPart{config.KeyUser}},
		{Name: "rule", Key: []config.KeyPart{"rule:caller.plan"}},
		{Name: "cost", Key: []config.KeyPart{config.KeyClientIP}, Cost: &config.Cost{Rule: "size(caller.plan)"}},
		{Name: "flight", Key: []config.KeyPart{config.KeyClientIP}, Concurrency: &config.Concurrency{Max: 1}},
	} {
		bucket, _ := NewBucket(config.TokenBucket{Capacity: 1, Refill: config.Rate{Events: 1, Per: time.Hour}})
		l.denials.add(l.denials.now(), limit, item{key: "k", Demand: Demand{Definition: bucket, Cost: 1}}, Result{RetryAfter: time.Hour})
		if !l.denials.idle() {
			t.Errorf("%s: remembered", limit.Name)
		}
	}
}

// TestRecallNeverDeniesWhatTheStoreAdmits, whatever is asked for when, and when the
// limit becomes a larger one.
func TestRecallNeverDeniesWhatTheStoreAdmits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, step := remembering()
		limit, larger := byIP(3, 2, time.Second), byIP(5, 7, time.Second)
		steps := rapid.IntRange(1, 200).Draw(t, "steps")
		reload := rapid.IntRange(0, steps).Draw(t, "reload")
		for i := range steps {
			step(time.Duration(rapid.IntRange(0, 400_000).Draw(t, "µs")) * time.Microsecond)
			if i == reload {
				limit = larger
			}
			charges := []Charge{{
				Limit: limit,
				Key:   []string{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "client")},
				Cost:  rapid.SampledFrom([]int64{NoCost, 1, 2, 4}).Draw(t, "cost"),
			}}
			told, ok := l.Recall(charges)
			asked := l.Take(t.Context(), charges)
			switch {
			case ok && asked.Allowed:
				t.Fatalf("%v, a cost of %d: memory says %+v, the store %+v", charges[0].Key, charges[0].Cost, told, asked)
			case ok && (told.Limit != asked.Limit || told.Capacity != asked.Capacity):
				t.Fatalf("memory says %+v, the store %+v", told, asked)
			}
		}
	})
}

// TestRecallIsBounded: more denials than there is room for make it forget.
func TestRecallIsBounded(t *testing.T) {
	l, _ := remembering()
	limit := byIP(1, 1, time.Hour)
	charges := func(i int) []Charge { return []Charge{{Limit: limit, Key: []string{fmt.Sprint(i)}, Cost: 2}} }
	const flood = 4 * denialSlots
	for i := range flood {
		l.Take(t.Context(), charges(i))
	}
	known := 0
	for i := range flood {
		if _, ok := l.Recall(charges(i)); ok {
			known++
		}
	}
	if known == 0 || known > denialSlots {
		t.Errorf("%d denials are known, at most %d have room", known, denialSlots)
	}
}

func BenchmarkRecallOfNothing(b *testing.B) {
	l, _ := remembering()
	charges := []Charge{{Limit: byIP(1, 1, time.Hour), Key: []string{"192.0.2.7"}}}
	for b.Loop() {
		if _, ok := l.Recall(charges); ok {
			b.Fatal("there is something")
		}
	}
}

func BenchmarkRecall(b *testing.B) {
	l, _ := remembering()
	charges := []Charge{{Limit: byIP(1, 1, time.Hour), Key: []string{"192.0.2.7"}, Cost: 2}}
	l.Take(b.Context(), charges)
	for b.Loop() {
		if _, ok := l.Recall(charges); !ok {
			b.Fatal("forgotten")
		}
	}
}
