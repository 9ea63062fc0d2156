package ratelimit

import (
	"context"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// leasingUnderTest is a store of leases on a clock of the test's.
type leasingUnderTest struct {
	leasingStore
	clock *atomic.Int64
	clear func()
}

// onEachLeasingStore runs the same test on the model and on a real Redis.
func onEachLeasingStore(t *testing.T, test func(*testing.T, leasingUnderTest)) {
	t.Run("model", func(t *testing.T) {
		clock := new(atomic.Int64)
		m := newLeaseModel(clock.Load)
		test(t, leasingUnderTest{m, clock, m.clear})
	})
	t.Run("redis", func(t *testing.T) {
		server := testenv.StartRedis(t)
		r := redisOn(t, server)
		clock := new(atomic.Int64)
		r.clock = clock.Load
		test(t, leasingUnderTest{r, clock, func() { server.Do("FLUSHALL") }})
	})
}

// The scripts are the model, number by number, whatever is asked of them: late
// renewals, reports of more than was out, changing definitions, any clock. And
// level and leases are never more than the capacity.
func TestLeasesInRedisAreTheArithmetic(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	clock := new(atomic.Int64)
	r.clock = clock.Load
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		server.Do("FLUSHALL")
		clock.Store(rapid.Int64Range(1, 1<<51).Draw(t, "start"))
		definitions := rapid.SliceOfN(bucketGen, 1, 2).Draw(t, "definitions")
		bucket := func(t *rapid.T) Bucket { return rapid.SampledFrom(definitions).Draw(t, "definition").Bucket }
		key := func(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key") }
		m := newLeaseModel(clock.Load)
		number := uint64(10)
		t.Repeat(map[string]func(*rapid.T){
			"clock": func(t *rapid.T) { clock.Store(max(clock.Load()+stepGen.Draw(t, "step"), 0)) },
			"tick": func(t *rapid.T) {
				clock.Store(clock.Load() + rapid.Int64Range(0, leaseTTL.Microseconds()).Draw(t, "step"))
			},
			"take": func(t *rapid.T) {
				b := bucket(t)
				calls := []call{{
					op:    rapid.SampledFrom([]op{opTake, opForce, opRefund}).Draw(t, "op"),
					items: []item{{key(t), Demand{Definition: b, Cost: rapid.Int64Range(0, b.capacity+1).Draw(t, "cost")}}},
				}}
				want, _ := m.run(ctx, calls)
				got, err := r.run(ctx, calls)
				if err != nil || !slices.Equal(got[0], want[0]) {
					t.Fatalf("at %d, %v\n got %+v, %v\nwant %+v", clock.Load(), calls, got, err, want)
				}
			},
			"lease": func(t *rapid.T) {
				b := bucket(t)
				few := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 5), rapid.Int64Range(0, b.capacity))
				number++
				asked := []renewal{{
					key: key(t), bucket: b, number: number - rapid.Uint64Range(0, 3).Draw(t, "late"),
					held: few.Draw(t, "held"), back: few.Draw(t, "back"), want: few.Draw(t, "want"),
				}}
				instance := rapid.SampledFrom([]string{"i", "j", "k"}).Draw(t, "instance")
				want, _ := m.lease(ctx, instance, asked)
				got, err := r.lease(ctx, instance, asked)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("at %d, %+v\n got %+v, %v\nwant %+v", clock.Load(), asked, got, err, want)
				}
			},
			"": func(t *rapid.T) {
				for key, l := range m.of {
					if len(definitions) == 1 && l.state.Level+l.out()*definitions[0].unit > definitions[0].full() {
						t.Fatalf("%s: level %d and %d out, more than the capacity", key, l.state.Level, l.out())
					}
				}
			},
		})
	})
}

// late is a store whose calls for leases may be lost on the way there or back, or
// done later: a connection can do all that.
type late struct {
	leasingStore
	next    string // what becomes of the next call for leases
	waiting []func()
}

func (s *late) lease(ctx context.Context, instance string, asked []renewal) ([]renewed, error) {
	asked = slices.Clone(asked)
	next := s.next
	s.next = ""
	switch next {
	case "lost":
		return nil, io.ErrUnexpectedEOF
	case "no answer":
		_, _ = s.leasingStore.lease(ctx, instance, asked)
		return nil, io.ErrUnexpectedEOF
	case "late":
		s.waiting = append(s.waiting, func() { _, _ = s.leasingStore.lease(ctx, instance, asked) })
		return nil, io.ErrUnexpectedEOF
	}
	return s.leasingStore.lease(ctx, instance, asked)
}

// sharedOn is one lane to a store.
func sharedOn(s leasingStore, m *metrics) *shared {
	to := &lane{metrics: m, server: func(ctx context.Context, calls []call) []replied {
		results, err := s.run(ctx, calls)
		replies := make([]replied, len(calls))
		for i := range replies {
			if replies[i].err = err; err == nil {
				replies[i].results = results[i]
			}
		}
		return replies
	}}
	to.guard = newGuard(func(ctx context.Context) error {
		_, err := s.run(ctx, nil)
		return err
	}, 10*time.Second, quiet)
	return &shared{redis: &redisStore{}, timeout: 10 * time.Second, only: to, metrics: m}
}

// nearOn is a limiter on a store, that reports to it only when the test has it
// done.
func nearOn(t interface{ Cleanup(func()) }, s leasingStore, leaser leaser, clock func() int64) *Limiter {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	l := &Limiter{local: newMemory(1000), denials: newDenials(), metrics: newMetrics(), log: quiet}
	l.shared, l.live = sharedOn(s, l.metrics), &live{}
	l.near = &near{leases: newLeases(leaser, l.shared, clock, 1000), views: newViews(l.shared, clock)}
	t.Cleanup(l.shared.only.close)
	return l
}

// Instances on one store admit no more than C + R·T in any time, whatever happens:
// calls that are lost, answered to nobody or done late, instances that die with
// tokens out, clocks that stand, and are set back. What may come beside it is what
// comes beside it without leases: C for each time that the store loses its data,
// min(C, R·J) for each leap of its clock by J, and the largest of definitions that
// change.
func TestLeasesKeepTheBound(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		rapid.Check(t, func(t *rapid.T) {
			s.clear()
			checkLeases(t, s)
		})
	})
}

// leaseMachine is a fleet on one store, and what it has admitted.
type leaseMachine struct {
	store    leasingUnderTest
	late     *late
	clock    atomic.Int64 // of the instances
	limit    config.Limit
	fleet    []*Limiter
	admitted []admission

	definitions []definition
	capacity    int64    // the largest
	rate        *big.Rat // the fastest
	slack       *big.Rat // what lost data and leaps allow beside the bound
}

func checkLeases(t *rapid.T, s leasingUnderTest) {
	m := &leaseMachine{
		store: s, late: &late{leasingStore: s}, rate: new(big.Rat), slack: new(big.Rat),
		limit: config.Limit{Name: "l", Key: []config.KeyPart{config.KeyUser}, Consistency: config.Lease},
	}
	s.clock.Store(1_700_000_000_000_000)
	for range rapid.IntRange(1, 2).Draw(t, "definitions") {
		m.draw(t)
	}
	m.define(t)
	m.fleet = make([]*Limiter, rapid.IntRange(1, 5).Draw(t, "instances"))
	for i := range m.fleet {
		m.fleet[i] = nearOn(t, s, m.late, m.clock.Load)
	}
	// What allows more than the bound happens in some runs alone: it would hide
	// what the others find.
	events := []func(*rapid.T){nil, nil, m.fault, m.fault, m.lateness, m.lateness, m.sweep, m.death, m.end, m.setBack, m.define}
	switch rapid.SampledFrom([]string{"none", "none", "leaps", "losses"}).Draw(t, "disaster") {
	case "leaps":
		events = append(events, m.leap)
	case "losses":
		events = append(events, m.loss)
	}
	event := func() {
		if e := rapid.SampledFrom(events).Draw(t, "event"); e != nil {
			e(t)
		}
	}
	for range rapid.IntRange(1, 6).Draw(t, "rounds") {
		event()
		for range rapid.IntRange(1, 3).Draw(t, "shares") {
			m.share(t)
			event()
		}
		m.pass(t)
		event()
		if rapid.Bool().Draw(t, "drain") {
			m.drain(t)
		}
	}
	m.drain(t)
	checkWindows(t, m.admitted, m.capacity+roundedUp(m.slack), m.rate)
}

// roundedUp is the next whole number that is not below r.
func roundedUp(r *big.Rat) int64 {
	return new(big.Int).Quo(new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1))), r.Denom()).Int64()
}

// draw adds a definition.
func (m *leaseMachine) draw(t *rapid.T) {
	d := definition{
		capacity: rapid.SampledFrom([]int64{4, 9, 20, 35, 60, 1}).Draw(t, "capacity"),
		events:   rapid.SampledFrom([]int64{1, 7, 50, 600}).Draw(t, "events"),
		per:      rapid.SampledFrom([]time.Duration{time.Second, day}).Draw(t, "per"),
	}
	d.Bucket = bucketOf(t, d.capacity, d.events, d.per)
	m.definitions, m.capacity = append(m.definitions, d), max(m.capacity, d.capacity)
	if d.perMicro().Cmp(m.rate) > 0 {
		m.rate = d.perMicro()
	}
}

// define makes the limit one of the definitions.
func (m *leaseMachine) define(t *rapid.T) {
	d := rapid.SampledFrom(m.definitions).Draw(t, "definition")
	m.limit.TokenBucket = &config.TokenBucket{Capacity: d.capacity, Refill: config.Rate{Events: d.events, Per: d.per}}
}

// ask sends n requests to an instance.
func (m *leaseMachine) ask(t *rapid.T, l *Limiter, n int, cost int64) {
	for range n {
		d := l.Take(context.Background(), []Charge{{Limit: &m.limit, Key: []string{"alice"}, Cost: cost}})
		if d.Allowed {
			m.admitted = append(m.admitted, admission{m.clock.Load(), cost})
		}
		if d.StoreDown {
			t.Fatal("decided without the store")
		}
	}
}

// share has some instance spend and report, so that it holds tokens.
func (m *leaseMachine) share(t *rapid.T) {
	l := rapid.SampledFrom(m.fleet).Draw(t, "instance")
	for _, n := range rapid.SliceOfN(rapid.IntRange(1, 6), 1, 3).Draw(t, "requests") {
		m.ask(t, l, n, rapid.Int64Range(1, 2).Draw(t, "cost"))
		l.near.leases.flush(context.Background())
	}
}

// drain asks until everything is denied.
func (m *leaseMachine) drain(t *rapid.T) {
	for before := -1; len(m.admitted) != before; {
		before = len(m.admitted)
		for _, l := range m.fleet {
			m.ask(t, l, 20, 1)
		}
	}
}

func (m *leaseMachine) pass(t *rapid.T) {
	micros := rapid.OneOf(
		rapid.Int64Range(0, 100_000), rapid.Int64Range(0, 2_500_000),
		rapid.Int64Range(leaseSpent.Microseconds()-2, leaseTTL.Microseconds()+2),
	).Draw(t, "micros")
	m.clock.Add(micros)
	m.store.clock.Add(micros)
}

// fault is what becomes of the next report.
func (m *leaseMachine) fault(t *rapid.T) {
	m.late.next = rapid.SampledFrom([]string{"late", "late", "lost", "no answer"}).Draw(t, "fault")
}

// lateness does calls that were late.
func (m *leaseMachine) lateness(t *rapid.T) {
	for len(m.late.waiting) > 0 {
		i := rapid.IntRange(0, len(m.late.waiting)-1).Draw(t, "which")
		m.late.waiting[i]()
		m.late.waiting = slices.Delete(m.late.waiting, i, i+1)
	}
}

// sweep has an instance give back what is idle.
func (m *leaseMachine) sweep(t *rapid.T) {
	l := rapid.SampledFrom(m.fleet).Draw(t, "instance").near.leases
	l.sweep(shardCount)
	l.flush(context.Background())
}

// death is an instance that ends with tokens out.
func (m *leaseMachine) death(t *rapid.T) {
	m.fleet[rapid.IntRange(0, len(m.fleet)-1).Draw(t, "instance")] = nearOn(t, m.store, m.late, m.clock.Load)
}

// end is an instance that gives back what it has.
func (m *leaseMachine) end(t *rapid.T) {
	i := rapid.IntRange(0, len(m.fleet)-1).Draw(t, "instance")
	m.fleet[i].near.leases.close(context.Background())
	m.ask(t, m.fleet[i], 3, 1)
	m.fleet[i] = nearOn(t, m.store, m.late, m.clock.Load)
}

func (m *leaseMachine) setBack(t *rapid.T) {
	m.store.clock.Add(-rapid.Int64Range(0, 5_000_000).Draw(t, "micros"))
}

// leap allows min(C, R·J) more.
func (m *leaseMachine) leap(t *rapid.T) {
	micros := rapid.Int64Range(0, 5_000_000).Draw(t, "micros")
	m.store.clock.Add(micros)
	more := new(big.Rat).Mul(m.rate, new(big.Rat).SetInt64(micros))
	if c := new(big.Rat).SetInt64(m.capacity); more.Cmp(c) > 0 {
		more = c
	}
	m.slack.Add(m.slack, more)
}

// loss allows C more.
func (m *leaseMachine) loss(*rapid.T) {
	m.store.clear()
	m.slack.Add(m.slack, new(big.Rat).SetInt64(m.capacity))
}
