package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// taken is a charge that was admitted: when by the store's clock, how much, and by
// what it is given back.
type taken struct {
	at, cost int64
	call     call
	back     bool // it was given back
}

// reference is a limit as its definition reads: it remembers all that was taken, and
// adds up what counts.
type reference struct {
	// counts tells whether what was taken at one time counts at a later one.
	counts func(at, now int64) bool
	// ids: what is remembered is requests, and a refund leaves no trace.
	ids   bool
	taken []taken
	last  int64
}

func (r *reference) count(now int64) int64 {
	n := int64(0)
	for _, t := range r.taken {
		if !t.back && r.counts(t.at, now) {
			n += t.cost
		}
	}
	return n
}

// now is the time that the limit knows: it does not go back.
func (r *reference) now(clock int64) int64 {
	if !r.ids {
		return max(clock, r.last)
	}
	for _, t := range r.taken {
		if !t.back {
			clock = max(clock, t.at)
		}
	}
	return clock
}

// forget forgets what has left a log: what is once taken out of it does not come back
// when the request that came after it is given back, and the clock is set back.
func (r *reference) forget(now int64) {
	if r.ids {
		r.taken = slices.DeleteFunc(r.taken, func(t taken) bool { return !t.back && !r.counts(t.at, now) })
	}
}

// inUnits is the reference of windows of one length after each other.
func inUnits(unit int64) *reference {
	return &reference{counts: func(at, now int64) bool { return at/unit == now/unit }}
}

// inCalendar is the reference of a calendar, by what it shows.
func inCalendar(per config.CalendarUnit, zone *time.Location) *reference {
	shown := func(at int64) string {
		t := time.UnixMicro(at).In(zone)
		switch year, week := t.ISOWeek(); per {
		case config.PerHour:
			return t.Format("2006-01-02T15 -0700")
		case config.PerWeek:
			return fmt.Sprint(year, " ", week)
		case config.PerMonth:
			return t.Format("2006-01")
		}
		return t.Format("2006-01-02")
	}
	return &reference{counts: func(at, now int64) bool { return shown(at) == shown(now) }}
}

// referenceOf is the reference of a definition.
func referenceOf(d Definition) *reference {
	switch d := d.(type) {
	case slidingWindow: // all slots that overlap the window
		return &reference{counts: func(at, now int64) bool { return (at/d.slot+1)*d.slot > now-d.window }}
	case slidingLog:
		return &reference{ids: true, counts: func(at, now int64) bool { return at > now-d.window }}
	case counter:
		switch spans := d.spans.(type) {
		case fixedWindow:
			return inUnits(int64(spans))
		case calendar:
			return inCalendar(spans.per, spans.zone)
		}
	}
	panic("no reference")
}

// about is how long a definition's window is.
func about(d Definition) int64 {
	switch d := d.(type) {
	case slidingWindow:
		return d.window
	case slidingLog:
		return d.window
	case counter:
		switch spans := d.spans.(type) {
		case fixedWindow:
			return int64(spans)
		case calendar:
			return map[config.CalendarUnit]time.Duration{
				config.PerHour: time.Hour, config.PerDay: day, config.PerWeek: 7 * day, config.PerMonth: 30 * day,
			}[spans.per].Microseconds()
		}
	}
	panic("a bucket has its own tests")
}

// withLimit is d with another limit.
func withLimit(d Definition, limit int64) Definition {
	switch d := d.(type) {
	case slidingWindow:
		d.limit = limit
		return d
	case slidingLog:
		d.limit = limit
		return d
	case counter:
		d.limit = limit
		return d
	}
	panic("a bucket has its own tests")
}

// Each algorithm admits exactly what its definition reads like, on each store: while
// the clock goes on, stands, leaps and is set back, limits change, charges are given
// back, and the store loses its state.
func TestAlgorithmsAreTheirReferences(t *testing.T) {
	kinds := map[string]*rapid.Generator[Definition]{
		"sliding window": windowGen("w"), "sliding log": windowGen("l"), "fixed window": windowGen("f"),
		"concurrency": windowGen("n"), "quota": quotaGen,
	}
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		for name, definitions := range kinds {
			t.Run(name, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) { checkReference(t, s, definitions.Draw(t, "definition")) })
			})
		}
	})
}

// checkReference runs one limit beside its reference.
func checkReference(t *rapid.T, s storeUnderTest, d Definition) {
	if c, ok := d.(counter); ok {
		if c, ok := c.spans.(calendar); ok && c.zone.String() == "Australia/Lord_Howe" && c.per == config.PerHour {
			t.Skip("an hour and a half has no name of its own")
		}
	}
	s.clear()
	ref := referenceOf(d)
	s.clock.Store(rapid.Int64Range(1, 1<<51).Draw(t, "start"))
	most, id := d.most(), int64(1<<52)
	ask := func(c call) Result {
		results, err := s.run(context.Background(), []call{c})
		if err != nil {
			t.Fatal(err)
		}
		return results[0][0]
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { ref.bounded(t, d, most) },
		"clock": func(t *rapid.T) {
			s.clock.Store(max(s.clock.Load()+rapid.OneOf(stepGen, rapid.Int64Range(0, about(d)/6)).Draw(t, "step"), 0))
		},
		"limit": func(t *rapid.T) {
			d = withLimit(d, rapid.Int64Range(1, 12).Draw(t, "limit"))
			most = max(most, d.most())
		},
		"forget": func(t *rapid.T) {
			s.clear()
			*ref = *referenceOf(d)
		},
		"take": func(t *rapid.T) {
			now := ref.now(s.clock.Load())
			c := call{opTake, []item{{"k", of(d, rapid.Int64Range(1, d.most()+1).Draw(t, "cost"))}}}
			c.items[0].ID, id = id, id+c.items[0].Cost
			room := max(d.most()-ref.count(now), 0)
			r := ask(c)
			if want := c.items[0].Cost <= room; r.Allowed != want {
				t.Fatalf("cost %d at %d: allowed %t, want %t (room for %d)", c.items[0].Cost, now, r.Allowed, want, room)
			}
			if !r.Allowed {
				if r.Remaining != room {
					t.Fatalf("%d left, want %d", r.Remaining, room)
				}
				return
			}
			ref.forget(now)
			ref.last = now
			ref.taken = append(ref.taken, taken{at: now, cost: c.items[0].Cost, call: refund(c, []Result{r})})
		},
		"refund": func(t *rapid.T) {
			if len(ref.taken) == 0 {
				return
			}
			i := rapid.IntRange(0, len(ref.taken)-1).Draw(t, "which")
			if ref.taken[i].back {
				return // once: a window does not know its requests
			}
			now := ref.now(s.clock.Load())
			some := ref.count(now) > 0 // else it is not written
			r := ask(ref.taken[i].call)
			if ref.counts(ref.taken[i].at, now) {
				ref.taken[i].back = true
				ref.last = now
			}
			of := ref.taken[i].call.items[0].most()
			if want := max(of-ref.count(now), 0); r.Remaining != want {
				t.Fatalf("%d of %d left after a refund, want %d", r.Remaining, of, want)
			}
			if some {
				ref.forget(now)
			}
		},
	})
}

// bounded holds what was taken to the bound of the algorithm, by the largest limit
// that there was: in any window at most that, or twice as much where windows follow
// each other.
func (r *reference) bounded(t *rapid.T, d Definition, most int64) {
	window := int64(0)
	switch d := d.(type) {
	case slidingWindow:
		window = d.window
	case slidingLog:
		window = d.window
	case counter:
		spans, ok := d.spans.(fixedWindow)
		if !ok {
			return // by its reference: a unit has no one length
		}
		window, most = int64(spans), 2*most
	}
	for _, last := range r.taken {
		sum := int64(0)
		for _, t := range r.taken {
			if !t.back && last.at-window < t.at && t.at <= last.at {
				sum += t.cost
			}
		}
		if sum > most {
			t.Fatalf("%d taken in a window of %d until %d, want at most %d", sum, window, last.at, most)
		}
	}
}

// grown is a state that some takes have left, and the time after them.
func grown(t *rapid.T, d Definition) (State, int64) {
	s, now := State{}, rapid.Int64Range(1, 1<<51).Draw(t, "start")
	for i := range rapid.IntRange(1, 20).Draw(t, "takes") {
		demand := of(d, rapid.Int64Range(1, max(d.most()/3, 1)).Draw(t, "cost"))
		demand.ID = int64(1000 * i)
		s, _ = Take(s, demand, now)
		now = max(now+stepGen.Draw(t, "step"), 0)
	}
	return s, now
}

// copied is a state that can be taken from beside s.
func copied(s State) State {
	s.Entries = slices.Clone(s.Entries)
	return s
}

// After the Retry-After of a denial the request passes, and a microsecond before it
// does not; after the ResetAfter nothing counts, and a microsecond before something
// does: for all algorithms, also on a clock that was set back.
func TestWaitsOfAllAlgorithmsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := definitionGen.Draw(t, "definition")
		s, now := grown(t, d)
		cost := rapid.Int64Range(1, d.most()).Draw(t, "cost")
		_, r := Take(copied(s), of(d, cost), now)
		if !r.Allowed {
			at := now + r.RetryAfter.Microseconds()
			if _, r := Take(copied(s), of(d, cost), at); !r.Allowed {
				t.Fatalf("denied after the Retry-After: %+v", r)
			}
			if _, r := Take(copied(s), of(d, cost), at-1); r.Allowed {
				t.Fatalf("allowed a microsecond before the Retry-After of %d", at)
			}
		}
		_, look := Take(copied(s), of(d, 0), now)
		if look.ResetAfter == 0 {
			return
		}
		at := now + look.ResetAfter.Microseconds()
		if _, r := Take(copied(s), of(d, 0), at); r.Remaining != d.most() {
			t.Fatalf("%+v after the ResetAfter", r)
		}
		if _, counts := d.(counter); counts {
			return // a fixed window ends when it ends, though nothing may be counted in it
		}
		if _, r := Take(copied(s), of(d, 0), at-1); r.ResetAfter != time.Microsecond {
			t.Fatalf("%+v a microsecond before the ResetAfter", r)
		}
	})
}

// What costs more than a limit ever admits waits for ever, and takes nothing.
func TestNothingAboveALimitPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := definitionGen.Draw(t, "definition")
		s, now := grown(t, d)
		if _, r := Take(copied(s), of(d, d.most()+rapid.Int64Range(1, 1<<60).Draw(t, "more")), now); r.Allowed || r.RetryAfter != Never {
			t.Fatalf("%+v, want a denial for ever", r)
		}
	})
}

// A window that is made longer or shorter forgives nothing of what both of them
// count.
func TestChangedWindowsForgiveNothing(t *testing.T) {
	for _, kind := range []string{"w", "l", "n", "f"} {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				before, after := windowGen(kind).Draw(t, "before"), windowGen(kind).Draw(t, "after")
				old, s := referenceOf(before), State{}
				now := rapid.Int64Range(1, 1<<51).Draw(t, "start")
				for i := range int64(20) {
					demand := of(before, rapid.Int64Range(1, 2).Draw(t, "cost"))
					demand.ID = 10 * i
					var r Result
					if s, r = Take(s, demand, now); r.Allowed {
						old.taken = append(old.taken, taken{at: now, cost: demand.Cost})
					}
					now += rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 100_000), rapid.Int64Range(0, 10_000_000)).Draw(t, "step")
				}
				both := *old
				both.counts = func(at, now int64) bool { return old.counts(at, now) && referenceOf(after).counts(at, now) }
				if kind == "f" { // what the last window has in common with the one now
					both.counts = func(at, now int64) bool {
						last := old.taken[len(old.taken)-1].at
						return old.counts(at, last) && referenceOf(after).counts(at, now)
					}
				}
				_, r := Take(copied(s), of(after, 0), now)
				if most := max(after.most()-both.count(now), 0); r.Remaining > most {
					t.Fatalf("%d of %d left, want at most %d", r.Remaining, after.most(), most)
				}
			})
		})
	}
}

// Limits of all kinds in one request are charged all or none.
func TestAllKindsTogether(t *testing.T) {
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		rapid.Check(t, func(t *rapid.T) {
			s.clear()
			s.clock.Store(rapid.Int64Range(1, 1<<51).Draw(t, "now"))
			var items []item
			for i, gen := range []*rapid.Generator[Definition]{windowGen("w"), windowGen("l"), windowGen("n"), windowGen("f"), quotaGen} {
				items = append(items, item{fmt.Sprint(i), of(gen.Draw(t, "definition"), 1)})
				items[i].ID = int64(i)
			}
			bucket := bucketGen.Draw(t, "bucket").Bucket
			items = append(items, item{"b", of(bucket, 1)})
			least := bucket.capacity
			for _, it := range items {
				least = min(least, it.most())
			}
			admitted := int64(0)
			for i := range least + 3 { // the clock stands
				for j := range items {
					items[j].ID = 100 + i
				}
				results, err := s.take(context.Background(), items)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(results, func(r Result) bool { return !r.Allowed }) {
					admitted++
				}
			}
			if admitted != least {
				t.Fatalf("%d admitted, want the least of the limits, %d", admitted, least)
			}
			for i := range items {
				items[i].Cost = 0
			}
			results, err := s.take(context.Background(), items)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if want := items[i].most() - admitted; r.Remaining != want {
					t.Errorf("item %d: %d left, want %d", i, r.Remaining, want)
				}
			}
		})
	})
}
