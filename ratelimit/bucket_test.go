package ratelimit

import (
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

const day = 24 * time.Hour

// bucketOf is the bucket of a definition that must be valid.
func bucketOf(t interface{ Fatalf(string, ...any) }, capacity, events int64, per time.Duration) Bucket {
	b, err := NewBucket(config.TokenBucket{Capacity: capacity, Refill: config.Rate{Events: events, Per: per}})
	if err != nil {
		t.Fatalf("NewBucket(%d, %d per %v): %v", capacity, events, per, err)
	}
	return b
}

// same tells that two states are.
func same(a, b State) bool { return reflect.DeepEqual(a, b) }

// of is a demand of cost on d.
func of(d Definition, cost int64) Demand { return Demand{Definition: d, Cost: cost} }

func TestNewBucketReducesTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		capacity, events int64
		per              time.Duration
		want             Bucket
	}{
		"a part is a tenth of a second's tokens": {20, 10, time.Second, Bucket{20, 100_000, 1}},
		"seven does not divide":                  {20, 7, time.Second, Bucket{20, 1_000_000, 7}},
		"one a day":                              {5, 1, day, Bucket{5, 86_400_000_000, 1}},
		"a token a microsecond":                  {5, 1_000_000, time.Second, Bucket{5, 1, 1}},
		"more than the capacity a microsecond":   {5, 9_000_000, time.Second, Bucket{5, 1, 5}},
		"the largest":                            {104_249, 1, day, Bucket{104_249, 86_400_000_000, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bucketOf(t, c.capacity, c.events, c.per); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestNewBucketRefuses(t *testing.T) {
	for name, def := range map[string]config.TokenBucket{
		"nothing":               {},
		"negative capacity":     {Capacity: -1, Refill: config.Rate{Events: 1, Per: time.Second}},
		"no refill":             {Capacity: 1, Refill: config.Rate{Per: time.Second}},
		"no period":             {Capacity: 1, Refill: config.Rate{Events: 1}},
		"half a microsecond":    {Capacity: 1, Refill: config.Rate{Events: 1, Per: 1500}},
		"more than 2^53 parts":  {Capacity: 104_250, Refill: config.Rate{Events: 1, Per: day}},
		"the longest of tokens": {Capacity: 1, Refill: config.Rate{Events: 1, Per: math.MaxInt64 / 1000 * 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			if b, err := NewBucket(def); err == nil {
				t.Errorf("got %+v, want an error", b)
			}
		})
	}
}

func TestTakeMoreThanTheCapacityNeverPasses(t *testing.T) {
	b := bucketOf(t, 5, 1, time.Second)
	for _, cost := range []int64{6, math.MaxInt64} {
		s, r := Take(State{}, of(b, cost), 0)
		if r.Allowed || r.RetryAfter != Never || r.Remaining != 5 || !same(s, State{}) {
			t.Errorf("cost %d: got %+v and state %+v, want a denial for ever and nothing taken", cost, r, s)
		}
	}
}

func TestTakeOfNoTokensGivesNone(t *testing.T) {
	b := bucketOf(t, 5, 1, day)
	s, _ := Take(State{}, of(b, 5), 0)
	for _, cost := range []int64{0, -1, math.MinInt64} {
		got, r := Take(s, of(b, cost), 0)
		if !r.Allowed || r.Remaining != 0 || !same(got, s) {
			t.Errorf("cost %d: got %+v and state %+v, want nothing changed", cost, r, got)
		}
	}
}

func TestTakeSurvivesAnyState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bucketGen.Draw(t, "bucket").Bucket
		s := State{Level: rapid.Int64().Draw(t, "level"), Unit: rapid.Int64().Draw(t, "unit"), Last: rapid.Int64().Draw(t, "last")}
		next, r := Take(s, of(b, rapid.Int64().Draw(t, "cost")), rapid.Int64().Draw(t, "now"))
		if r.Allowed && (next.Level < -b.debt() || next.Level > b.full()) {
			t.Fatalf("level %d, outside the bucket of %d", next.Level, b.full())
		}
		if r.Remaining < 0 || r.Remaining > b.capacity || r.ResetAfter < 0 || r.RetryAfter < Never {
			t.Fatalf("impossible result %+v", r)
		}
	})
}

// definition is a bucket with the numbers it was made of.
type definition struct {
	Bucket
	capacity, events int64
	per              time.Duration
}

// perMicro is the exact rate in tokens a microsecond.
func (d definition) perMicro() *big.Rat { return big.NewRat(d.events, d.per.Microseconds()) }

var bucketGen = rapid.Custom(func(t *rapid.T) definition {
	d := definition{
		capacity: rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 100_000)).Draw(t, "capacity"),
		events:   rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 10_000_000)).Draw(t, "events"),
		per: rapid.SampledFrom([]time.Duration{
			time.Microsecond, 7 * time.Millisecond, time.Second, time.Minute, time.Hour, day,
		}).Draw(t, "per"),
	}
	d.Bucket = bucketOf(t, d.capacity, d.events, d.per)
	return d
})

// stepGen is how a clock goes on, in microseconds: it stands, goes, leaps, and
// is set back.
var stepGen = rapid.OneOf(
	rapid.Just(int64(0)),
	rapid.Int64Range(0, 3),
	rapid.Int64Range(0, 3_000_000),
	rapid.Int64Range(0, day.Microseconds()),
	rapid.Int64Range(-3_000_000, 0),
	rapid.Int64Range(-2*day.Microseconds(), 0),
)

// model is the token bucket as the text book has it, in rational numbers.
type model struct {
	tokens *big.Rat
	last   int64
}

// take is the model's answer; a denial changes nothing.
func (m *model) take(d definition, cost, now int64) bool {
	now = max(now, m.last)
	tokens := new(big.Rat).Mul(d.perMicro(), new(big.Rat).SetInt64(now-m.last))
	tokens.Add(tokens, m.tokens)
	if full := new(big.Rat).SetInt64(d.capacity); tokens.Cmp(full) > 0 {
		tokens = full
	}
	price := new(big.Rat).SetInt64(cost)
	if tokens.Cmp(price) < 0 {
		return false
	}
	m.tokens, m.last = tokens.Sub(tokens, price), now
	return true
}

// admission is what was taken, and when by the state's clock.
type admission struct{ at, cost int64 }

// checkWindows fails when in some window more than capacity + rate × time was
// admitted. A window that begins and ends at admissions is the fullest.
func checkWindows(t *rapid.T, admitted []admission, capacity int64, rate *big.Rat) {
	for i := range admitted {
		sum := int64(0)
		for j := i; j < len(admitted); j++ {
			sum += admitted[j].cost
			bound := new(big.Rat).Mul(rate, new(big.Rat).SetInt64(admitted[j].at-admitted[i].at))
			bound.Add(bound, new(big.Rat).SetInt64(capacity))
			if new(big.Rat).SetInt64(sum).Cmp(bound) > 0 {
				t.Fatalf("%d admitted from %d to %d, bound %v", sum, admitted[i].at, admitted[j].at, bound)
			}
		}
	}
}

// A bucket admits what the exact model admits, never more than C + R·T in any
// window, and denies only when fewer tokens than the cost are there, whatever
// the clock does.
func TestTakeIsTheExactModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := bucketGen.Draw(t, "bucket")
		now := rapid.Int64Range(0, 1<<52).Draw(t, "start")
		var s State
		exact := model{tokens: new(big.Rat).SetInt64(d.capacity), last: now}
		var admitted []admission
		for range rapid.IntRange(1, 60).Draw(t, "takes") {
			now += stepGen.Draw(t, "step")
			cost := rapid.Int64Range(0, d.capacity+1).Draw(t, "cost")
			if s.Unit == 0 { // nothing taken yet: full, at whatever time
				exact.last = now
			}
			var r Result
			s, r = Take(s, of(d.Bucket, cost), now)
			if want := exact.take(d, cost, now); r.Allowed != want {
				t.Fatalf("cost %d at %d: allowed %t, exactly %t (%v tokens)", cost, now, r.Allowed, want, exact.tokens)
			}
			if r.Allowed {
				admitted = append(admitted, admission{s.Last, cost})
			}
		}
		checkWindows(t, admitted, d.capacity, d.perMicro())
	})
}

// RetryAfter and ResetAfter are exact to the microsecond, on a clock that was
// set back too.
func TestRetryAfterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bucketGen.Draw(t, "bucket").Bucket
		now := rapid.Int64Range(0, 1<<52).Draw(t, "start")
		s, _ := Take(State{}, of(b, rapid.Int64Range(1, b.capacity).Draw(t, "first")), now)
		now += stepGen.Draw(t, "step")
		cost := rapid.Int64Range(1, b.capacity).Draw(t, "cost")
		_, r := Take(s, of(b, cost), now)
		if r.Allowed {
			return
		}
		if _, at := Take(s, of(b, cost), now+r.RetryAfter.Microseconds()); !at.Allowed {
			t.Fatalf("denied after the Retry-After of %v", r.RetryAfter)
		}
		if _, before := Take(s, of(b, cost), now+r.RetryAfter.Microseconds()-1); before.Allowed {
			t.Fatalf("allowed a microsecond before the Retry-After of %v", r.RetryAfter)
		}
		if _, full := Take(s, of(b, 0), now+r.ResetAfter.Microseconds()); full.ResetAfter != 0 {
			t.Fatalf("not full after the ResetAfter of %v", r.ResetAfter)
		}
		if _, full := Take(s, of(b, 0), now+r.ResetAfter.Microseconds()-1); full.ResetAfter == 0 {
			t.Fatalf("full a microsecond before the ResetAfter of %v", r.ResetAfter)
		}
	})
}

// A changed definition gives nothing: the tokens are what was there, cut to the
// capacity and rounded down by less than one part.
func TestChangedDefinitionNeverMints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := bucketGen.Draw(t, "before"), bucketGen.Draw(t, "after")
		s := State{Level: rapid.Int64Range(0, before.full()).Draw(t, "level"), Unit: before.unit, Last: 1}
		got := after.at(s, 1)
		was, is := big.NewRat(s.Level, s.Unit), big.NewRat(got.Level, got.Unit)
		if is.Cmp(was) > 0 {
			t.Fatalf("%v tokens became %v", was, is)
		}
		least := new(big.Rat).Sub(was, big.NewRat(1, after.unit))
		if full := new(big.Rat).SetInt64(after.capacity); least.Cmp(full) >= 0 {
			least = least.Sub(full, big.NewRat(1, after.unit))
		}
		if is.Cmp(least) <= 0 {
			t.Fatalf("%v tokens became %v: more than rounding is lost", was, is)
		}
	})
}

// While definitions change, no window admits more than the largest capacity and
// the fastest rate allow.
func TestChangingDefinitionsKeepTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		definitions := rapid.SliceOfN(bucketGen, 2, 4).Draw(t, "definitions")
		now, s := int64(1), State{}
		var admitted []admission
		capacity, rate := int64(0), new(big.Rat)
		for _, d := range definitions {
			capacity = max(capacity, d.capacity)
			if d.perMicro().Cmp(rate) > 0 {
				rate = d.perMicro()
			}
		}
		for range 40 {
			now += stepGen.Draw(t, "step")
			b := rapid.SampledFrom(definitions).Draw(t, "definition").Bucket
			cost := rapid.Int64Range(1, b.capacity).Draw(t, "cost")
			var r Result
			if s, r = Take(s, of(b, cost), now); r.Allowed {
				admitted = append(admitted, admission{s.Last, cost})
			}
		}
		checkWindows(t, admitted, capacity, rate)
	})
}

// Several buckets are charged together or not at all, and each answers as it
// would alone.
func TestTakeAllIsAllOrNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "buckets")
		states, demands := make([]State, n), make([]Demand, n)
		for i := range n {
			b := bucketGen.Draw(t, "bucket").Bucket
			states[i] = State{Level: rapid.Int64Range(0, b.full()).Draw(t, "level"), Unit: b.unit, Last: 1}
			demands[i] = of(b, rapid.Int64Range(1, b.capacity+1).Draw(t, "cost"))
		}
		next, results, allowed := TakeAll(states, demands, 1)
		all := true
		for i, d := range demands {
			s, alone := Take(states[i], d, 1)
			all = all && alone.Allowed
			if results[i].Allowed != alone.Allowed || results[i].RetryAfter != alone.RetryAfter {
				t.Fatalf("bucket %d: %+v, alone %+v", i, results[i], alone)
			}
			want := states[i]
			if allowed {
				want = s
			}
			if !same(next[i], want) {
				t.Fatalf("bucket %d: state %+v, want %+v (allowed %t)", i, next[i], want, allowed)
			}
		}
		if allowed != all {
			t.Fatalf("allowed %t, want %t", allowed, all)
		}
	})
}
