package ratelimit

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

// runner is a store that does whole calls.
type runner interface {
	store
	run(context.Context, []call) ([][]Result, error)
}

// storeUnderTest is a store on a clock of the test's, in which buckets outlive
// the moment they are full: the clock may be set back.
type storeUnderTest struct {
	runner
	clock  *atomic.Int64
	clear  func()
	server *testenv.Redis // nil for memory
}

// onEachStore runs the same test on memory and on a real Redis.
func onEachStore(t *testing.T, test func(*testing.T, storeUnderTest)) {
	t.Run("memory", func(t *testing.T) {
		m, clock := memoryAt(defaultMaxBuckets)
		m.keep = 1 << 52
		test(t, storeUnderTest{m, clock, func() {
			fresh := newMemory(defaultMaxBuckets)
			for i := range m.shards {
				m.shards[i].index, m.shards[i].buckets, m.shards[i].used = fresh.shards[i].index, nil, 0
			}
		}, nil})
	})
	t.Run("redis", func(t *testing.T) {
		test(t, onRedis(t, testenv.StartRedis(t)))
	})
}

// onRedis is a store on a Redis, on a clock of the test's.
func onRedis(t *testing.T, server *testenv.Redis) storeUnderTest {
	r, err := newRedisStore(server.URL(), redisclient.Files{}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() })
	clock := new(atomic.Int64)
	r.clock = clock.Load // and so values are kept for an hour more
	return storeUnderTest{r, clock, func() { server.Do("FLUSHALL") }, server}
}

// step is one take of a case: at a time, of a cost from each of some buckets.
type step struct {
	at      time.Duration
	take    []item
	allowed bool
	// remaining and retry of the last bucket
	remaining int64
	retry     time.Duration
}

func TestStores(t *testing.T) {
	b := bucketOf(t, 3, 2, time.Second) // a token each half second
	wide := bucketOf(t, 10, 2, time.Second)
	narrow := bucketOf(t, 2, 2, time.Second)
	slow := bucketOf(t, 3, 1, time.Minute)
	take := func(key string, b Bucket, cost int64) item { return item{key, of(b, cost)} }
	half := 500 * time.Millisecond

	cases := map[string][]step{
		"a new bucket is full, and drains": {
			{take: []item{take("k", b, 1)}, allowed: true, remaining: 2},
			{take: []item{take("k", b, 2)}, allowed: true, remaining: 0},
			{take: []item{take("k", b, 1)}, retry: half},
		},
		"a token is there to the microsecond": {
			{take: []item{take("k", b, 3)}, allowed: true},
			{at: half - time.Microsecond, take: []item{take("k", b, 1)}, retry: time.Microsecond},
			{at: half, take: []item{take("k", b, 1)}, allowed: true},
			{at: half, take: []item{take("k", b, 1)}, retry: half},
		},
		"it fills up to the capacity": {
			{take: []item{take("k", b, 3)}, allowed: true},
			{at: time.Hour, take: []item{take("k", b, 1)}, allowed: true, remaining: 2},
		},
		"a denial takes nothing": {
			{take: []item{take("k", b, 2)}, allowed: true, remaining: 1},
			{take: []item{take("k", b, 2)}, remaining: 1, retry: half},
			{take: []item{take("k", b, 1)}, allowed: true},
		},
		"more than the capacity never passes": {
			{take: []item{take("k", b, 4)}, remaining: 3, retry: Never},
			{take: []item{take("k", b, 1<<62)}, remaining: 3, retry: Never},
		},
		"no cost takes nothing, even from an empty bucket": {
			{take: []item{take("k", b, 3)}, allowed: true},
			{take: []item{take("k", b, 0)}, allowed: true},
			{take: []item{take("k", b, -5)}, allowed: true},
			{take: []item{take("k", b, 1)}, retry: half},
		},
		"keys do not share": {
			{take: []item{take("k", b, 3)}, allowed: true},
			{take: []item{take("l", b, 1)}, allowed: true, remaining: 2},
		},
		"all or none": {
			{take: []item{take("k", b, 3)}, allowed: true},
			{take: []item{take("k", b, 1), take("l", b, 1)}, remaining: 3},
			{take: []item{take("l", b, 1), take("k", b, 1)}, retry: half},
			{take: []item{take("l", b, 3)}, allowed: true},
		},
		"a clock set back stands until it has caught up": {
			{at: time.Hour, take: []item{take("k", b, 3)}, allowed: true},
			{at: 0, take: []item{take("k", b, 1)}, retry: time.Hour + half},
			{at: time.Hour, take: []item{take("k", b, 1)}, retry: half},
			{at: time.Hour + half, take: []item{take("k", b, 1)}, allowed: true},
		},
		"a wider definition gives nothing at once": {
			{take: []item{take("k", b, 2)}, allowed: true, remaining: 1},
			{take: []item{take("k", wide, 1)}, allowed: true, remaining: 0},
		},
		"a narrower definition cuts": {
			{take: []item{take("k", wide, 1)}, allowed: true, remaining: 9},
			{take: []item{take("k", narrow, 1)}, allowed: true, remaining: 1},
		},
		"another unit keeps the tokens and the part of one": {
			{take: []item{take("k", b, 2)}, allowed: true, remaining: 1},
			{at: 250 * time.Millisecond, take: []item{take("k", b, 1)}, allowed: true}, // half a token is left
			{at: 250 * time.Millisecond, take: []item{take("k", slow, 1)}, retry: 30 * time.Second},
		},
	}
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		for name, steps := range cases {
			t.Run(name, func(t *testing.T) {
				s.clear()
				for i, step := range steps {
					s.clock.Store(1_700_000_000_000_000 + step.at.Microseconds())
					results, err := s.take(context.Background(), step.take)
					if err != nil {
						t.Fatal(err)
					}
					allowed := !slices.ContainsFunc(results, func(r Result) bool { return !r.Allowed })
					last := results[len(results)-1]
					if allowed != step.allowed || last.Remaining != step.remaining || last.RetryAfter != step.retry {
						t.Errorf("step %d: allowed %t, %+v; want allowed %t, remaining %d, retry after %v",
							i, allowed, last, step.allowed, step.remaining, step.retry)
					}
				}
			})
		}
	})
}

// definitionGen is some definition: of windows that a state machine fills, leaves and
// comes back to.
var definitionGen = rapid.OneOf(
	rapid.Map(bucketGen, func(d definition) Definition { return d.Bucket }),
	windowGen("w"), windowGen("l"), windowGen("n"), windowGen("f"), quotaGen,
)

// windowGen makes definitions of a kind.
func windowGen(kind string) *rapid.Generator[Definition] {
	return rapid.Custom(func(t *rapid.T) Definition {
		limit := rapid.Int64Range(1, 12).Draw(t, "limit")
		window := config.Duration(rapid.SampledFrom([]time.Duration{
			time.Millisecond, 61 * time.Millisecond, time.Second, 90 * time.Second, time.Hour, 36 * time.Hour,
		}).Draw(t, "window"))
		plan := map[string]config.LimitPlan{
			"w": {SlidingWindow: &config.SlidingWindow{Limit: limit, Window: window}},
			"l": {SlidingLog: &config.SlidingWindow{Limit: limit, Window: window}},
			"n": {Concurrency: &config.Concurrency{Max: limit, Lease: window}},
			"f": {FixedWindow: &config.SlidingWindow{Limit: limit, Window: window}},
		}[kind]
		return define(t, plan)
	})
}

var quotaGen = rapid.Custom(func(t *rapid.T) Definition {
	return define(t, config.LimitPlan{Quota: &config.Quota{
		Limit:    rapid.Int64Range(1, 12).Draw(t, "limit"),
		Per:      rapid.SampledFrom([]config.CalendarUnit{config.PerHour, config.PerDay, config.PerWeek, config.PerMonth}).Draw(t, "per"),
		TimeZone: rapid.SampledFrom([]string{"", "Europe/Vienna", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone"),
	}})
})

// define is the definition of an algorithm that must be valid.
func define(t interface{ Fatalf(string, ...any) }, p config.LimitPlan) Definition {
	d, err := newDefinition(p)
	if err != nil {
		t.Fatalf("defining %+v: %v", p, err)
	}
	return d
}

// Any sequence of calls, of several at once and of several keys of all kinds each,
// with changing definitions and a clock that leaps and is set back, has the results
// of the pure arithmetic, number by number.
func TestStoresAreTheArithmetic(t *testing.T) {
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		rapid.Check(t, func(t *rapid.T) {
			s.clear()
			s.clock.Store(rapid.Int64Range(1, 1<<51).Draw(t, "start"))
			calls := callsGen(t)
			pure := map[string]State{}
			var past []call
			t.Repeat(map[string]func(*rapid.T){
				"clock": func(t *rapid.T) { s.clock.Store(max(s.clock.Load()+stepGen.Draw(t, "step"), 0)) },
				"run": func(t *rapid.T) {
					cs := calls.Draw(t, "calls")
					for i, results := range checkRun(t, s, cs, pure) {
						past = append(past, refund(cs[i], results))
					}
				},
				"refund": func(t *rapid.T) { // also what was denied, or is given back already
					if len(past) > 0 {
						checkRun(t, s, rapid.SliceOfN(rapid.SampledFrom(past), 1, 3).Draw(t, "refunds"), pure)
					}
				},
			})
		})
	})
}

// callsGen makes calls of a few keys, and of a few definitions, which it draws.
func callsGen(t *rapid.T) *rapid.Generator[[]call] {
	definitions := rapid.SliceOfN(definitionGen, 1, 5).Draw(t, "definitions")
	id := int64(1 << 52)
	items := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) item {
		d := rapid.SampledFrom(definitions).Draw(t, "definition")
		it := item{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key") + d.kind(), of(d, rapid.Int64Range(0, d.most()+1).Draw(t, "cost"))}
		if c, ok := d.(counter); ok {
			// Where a calendar is changed and the clock is set back by more than
			// two units, the script knows the end of a window by the old one.
			if calendar, ok := c.spans.(calendar); ok {
				it.key += fmt.Sprint(calendar.per, calendar.zone)
			}
		}
		it.ID, id = id, id+it.Cost
		return it
	}), 1, 4, func(it item) string { return it.key })
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
		return call{rapid.SampledFrom([]op{opTake, opTake, opTake, opForce}).Draw(t, "op"), items.Draw(t, "items")}
	}), 1, 3)
}

// checkRun does calls in the store and on the pure states, and compares.
func checkRun(t *rapid.T, s storeUnderTest, calls []call, pure map[string]State) [][]Result {
	want := make([][]Result, len(calls))
	for i, c := range calls {
		states, demands := make([]State, len(c.items)), make([]Demand, len(c.items))
		for j, it := range c.items {
			states[j], demands[j] = pure[it.key], it.Demand
		}
		states, results, changed := c.op.do(states, demands, s.clock.Load())
		for j, it := range c.items {
			if changed && it.Cost > 0 { // a look is not kept
				pure[it.key] = states[j]
			}
		}
		want[i] = results
	}
	got, err := s.run(context.Background(), calls)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("at %d\n got %+v\nwant %+v", s.clock.Load(), got, want)
	}
	return got
}

func BenchmarkStores(b *testing.B) {
	bucket := bucketOf(b, 1000, 1000, time.Second)
	m := newMemory(defaultMaxBuckets)
	b.Run("memory", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, _ = m.take(context.Background(), one(fmt.Sprint(i%100_000), bucket))
		}
	})
	b.Run("redis", func(b *testing.B) {
		r, err := newRedisStore(testenv.StartRedis(b).URL(), redisclient.Files{}, time.Second)
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			if _, err := r.take(context.Background(), one(fmt.Sprint(i%100_000), bucket)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
