package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/inline"
)

// faultySyncer is a store whose exchanges may be lost on the way there or back.
type faultySyncer struct {
	leasingStore
	next string
}

func (s *faultySyncer) up() bool { return true }

func (s *faultySyncer) answer(ctx context.Context, calls []call) ([][]Result, error) {
	next := s.next
	s.next = ""
	switch next {
	case "lost":
		return nil, errors.New("lost")
	case "no answer":
		_, _ = s.run(ctx, calls)
		return nil, errors.New("no answer")
	}
	return s.run(ctx, calls)
}

// N instances that exchange what they have spent admit at most
// C + R·T + (N−1)·min(C, a·S) in any time, where a·S is the most that one of them
// admits in a time of S: even when exchanges are lost, when they come between the
// answers to one request, when definitions change, and clocks stand or are set back.
// Beside it comes min(C, a·S) for each instance that dies, C + (N−1)·min(C, a·S) for
// each time that the store loses its data, and min(C, R·J) for each leap of its clock.
func TestSyncKeepsTheBound(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		rapid.Check(t, func(t *rapid.T) {
			s.clear()
			checkSync(t, s)
		})
	})
}

// during is a store in which something else is done before the next call.
type during struct {
	leasingStore
	before func()
}

func (d *during) run(ctx context.Context, calls []call) ([][]Result, error) {
	if before := d.before; before != nil {
		d.before = nil
		before()
	}
	return d.leasingStore.run(ctx, calls)
}

// syncMachine is a fleet that exchanges, and what each instance has admitted.
type syncMachine struct {
	leaseMachine
	faulty *faultySyncer
	during *during
	exact  config.Limit  // which some requests have too
	by     [][]admission // of each instance, since it began
	burst  int64         // the most that one has admitted in a time of S
	deaths int64
	losses int64
}

func checkSync(t *rapid.T, s leasingUnderTest) {
	m := &syncMachine{
		leaseMachine: leaseMachine{
			store: s, rate: new(big.Rat), slack: new(big.Rat),
			limit: config.Limit{Name: "l", Key: []config.KeyPart{config.KeyUser}, Consistency: config.Sync},
		},
		during: &during{leasingStore: s}, exact: *perUser("exact", 3, config.FailDeny),
	}
	m.faulty = &faultySyncer{leasingStore: m.during}
	m.exact.TokenBucket.Refill = config.Rate{Events: 1, Per: time.Second}
	s.clock.Store(1_700_000_000_000_000)
	for range rapid.IntRange(1, 2).Draw(t, "definitions") {
		m.draw(t)
	}
	m.leaseMachine.define(t)
	n := rapid.IntRange(1, 5).Draw(t, "instances")
	for range n {
		m.fleet, m.by = append(m.fleet, m.start(t)), append(m.by, nil)
	}
	steps := []func(*rapid.T, int){
		m.requests, m.requests, m.requests, m.requests, m.together, m.together, m.exchange, m.exchange, m.allExchange,
		m.time, m.time, m.sweepViews, m.faults, m.die, m.endOne, m.back, m.redefine, m.surge, m.trickle, m.meanwhile,
	}
	switch rapid.SampledFrom([]string{"none", "none", "leaps", "losses"}).Draw(t, "disaster") {
	case "leaps":
		steps = append(steps, func(t *rapid.T, _ int) { m.leap(t) })
	case "losses":
		steps = append(steps, m.lose)
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		rapid.SampledFrom(steps).Draw(t, "step")(t, rapid.IntRange(0, n-1).Draw(t, "instance"))
	}
	for i := range m.fleet {
		m.forget(i)
	}
	beside := min(m.capacity, m.burst)
	more := int64(n-1)*beside + m.deaths*beside + m.losses*(m.capacity+int64(n-1)*beside)
	checkWindows(t, m.admitted, m.capacity+more+roundedUp(m.slack), m.rate)
}

// start is a new instance.
func (m *syncMachine) start(t *rapid.T) *Limiter {
	l := nearOn(t, m.during, m.store, m.clock.Load)
	l.near.views.store = m.faulty
	return l
}

// admit takes in what an instance has admitted from a place on.
func (m *syncMachine) admit(i, from int) { m.by[i] = append(m.by[i], m.admitted[from:]...) }

// forget ends an instance, and keeps its largest burst.
func (m *syncMachine) forget(i int) {
	for j, first := range m.by[i] {
		sum := int64(0)
		for _, a := range m.by[i][j:] {
			if a.at-first.at < syncBound.Microseconds() {
				sum += a.cost
			}
		}
		m.burst = max(m.burst, sum)
	}
	m.by[i] = nil
}

func (m *syncMachine) requests(t *rapid.T, i int) {
	from := len(m.admitted)
	m.ask(t, m.fleet[i], rapid.IntRange(1, 10).Draw(t, "requests"), rapid.Int64Range(1, 2).Draw(t, "cost"))
	m.admit(i, from)
}

// together is requests that have an exact limit too, which is charged while something
// is exchanged.
func (m *syncMachine) together(t *rapid.T, i int) {
	from := len(m.admitted)
	for range rapid.IntRange(1, 4).Draw(t, "requests") {
		if j := rapid.IntRange(-1, len(m.fleet)-1).Draw(t, "exchanged"); j >= 0 {
			m.during.before = func() { m.fleet[j].near.views.flush(context.Background()) }
		}
		cost := rapid.Int64Range(1, 3).Draw(t, "cost")
		d := m.fleet[i].Take(context.Background(), []Charge{
			{Limit: &m.limit, Key: []string{"alice"}, Cost: cost}, {Limit: &m.exact, Key: []string{"alice"}},
		})
		if d.Allowed {
			m.admitted = append(m.admitted, admission{m.clock.Load(), cost})
		}
		m.during.before = nil
	}
	m.admit(i, from)
}

// surge is more requests to all than there is, for a while in which nobody exchanges.
func (m *syncMachine) surge(t *rapid.T, _ int) {
	m.allExchange(t, 0)
	for range rapid.IntRange(1, 5).Draw(t, "times") {
		for i := range m.fleet {
			from := len(m.admitted)
			m.ask(t, m.fleet[i], int(m.capacity)+1, 1)
			m.admit(i, from)
		}
		m.wait(rapid.Int64Range(0, 60_000).Draw(t, "micros"))
	}
}

// trickle is few requests to all, for so long that Redis has to know of them.
func (m *syncMachine) trickle(t *rapid.T, _ int) {
	micros := rapid.Int64Range(20_000, 120_000).Draw(t, "micros")
	for range rapid.IntRange(1, 20).Draw(t, "times") {
		for i := range m.fleet {
			from := len(m.admitted)
			m.ask(t, m.fleet[i], 1, 1)
			m.admit(i, from)
		}
		m.wait(micros)
	}
}

// meanwhile is requests to an instance while it exchanges.
func (m *syncMachine) meanwhile(t *rapid.T, i int) {
	b, err := newBasket([]Charge{{Limit: &m.limit, Key: []string{"alice"}}}, &knownLimits{})
	if err != nil {
		t.Fatal(err)
	}
	from, vs := len(m.admitted), m.fleet[i].near.views
	m.ask(t, m.fleet[i], 2, 1)
	m.during.before = func() {
		for range rapid.IntRange(1, 5).Draw(t, "requests") {
			c := vs.claim(context.Background(), b.items[0])
			if c.known && c.Allowed {
				vs.conclude(b.items[0], c, true)
				m.admitted = append(m.admitted, admission{m.clock.Load(), 1})
			}
		}
	}
	m.exchange(t, i)
	m.during.before = nil
	m.admit(i, from)
}

func (m *syncMachine) wait(micros int64) {
	m.clock.Add(micros)
	m.store.clock.Add(micros)
}

func (m *syncMachine) exchange(_ *rapid.T, i int) { m.fleet[i].near.views.flush(context.Background()) }

func (m *syncMachine) allExchange(t *rapid.T, _ int) {
	for i := range m.fleet {
		m.exchange(t, i)
	}
}

func (m *syncMachine) time(t *rapid.T, _ int) {
	if rapid.Bool().Draw(t, "short") {
		m.wait(rapid.Int64Range(0, syncBound.Microseconds()+1).Draw(t, "micros"))
	} else {
		m.pass(t)
	}
}

func (m *syncMachine) sweepViews(_ *rapid.T, i int) { m.fleet[i].near.views.sweep(shardCount) }

func (m *syncMachine) faults(t *rapid.T, _ int) {
	m.faulty.next = rapid.SampledFrom([]string{"lost", "no answer"}).Draw(t, "fault")
}

// die ends an instance that has not told of its last min(C, a·S).
func (m *syncMachine) die(t *rapid.T, i int) {
	m.deaths++
	m.forget(i)
	m.fleet[i] = m.start(t)
}

// endOne ends an instance that tells of all.
func (m *syncMachine) endOne(t *rapid.T, i int) {
	m.faulty.next = ""
	m.fleet[i].near.views.close(context.Background())
	from := len(m.admitted)
	m.ask(t, m.fleet[i], 3, 1)
	m.admit(i, from)
	m.forget(i)
	m.fleet[i] = m.start(t)
}

func (m *syncMachine) back(t *rapid.T, _ int) { m.setBack(t) }

func (m *syncMachine) redefine(t *rapid.T, _ int) { m.leaseMachine.define(t) }

func (m *syncMachine) lose(t *rapid.T, _ int) {
	m.store.clear()
	m.losses++
}

// Of the requests that are with Redis when a key is first seen none is admitted twice:
// an instance that is alone admits its capacity, and not one more, however many come
// at once.
func TestSyncIsExactAlone(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		s.clock.Store(1_700_000_000_000_000)
		for round := range 20 {
			s.clear()
			l := nearOn(t, s, s, func() int64 { return 0 })
			limit := perUser(fmt.Sprint(round), 10, config.FailDeny)
			limit.Consistency = config.Sync
			var admitted atomic.Int64
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					take := charges(limit)
					if i%2 == 1 {
						take = charges(limit, perUser("exact", 1000, config.FailDeny))
					}
					if l.Take(context.Background(), take).Allowed {
						admitted.Add(1)
					}
				})
			}
			all.Wait()
			if n := admitted.Load(); n != 10 {
				t.Fatalf("%d admitted of 10", n)
			}
		}
	})
}

// A request waits for what another one asks Redis, and not for longer than for Redis
// itself: then it goes on as if Redis did not answer.
func TestSyncWaitsNoLongerThanForRedis(t *testing.T) {
	clock := new(atomic.Int64)
	held := make(chan struct{})
	store := &during{leasingStore: newLeaseModel(clock.Load), before: func() { <-held }}
	l := nearOn(t, store, store, clock.Load)
	l.shared.timeout = 20 * time.Millisecond
	limit, other := perUser("l", 10, config.FailDeny), perUser("other", 10, config.FailLocal)
	limit.Consistency, other.Consistency = config.Sync, config.Sync
	var first sync.WaitGroup
	first.Go(func() { l.Take(context.Background(), charges(limit, other)) })
	waitFor(t, "Redis to be asked", func() bool {
		home := l.near.views.views.home(bucketKey(limit, []string{"alice"}, config.Allowance{}))
		home.mu.Lock()
		defer home.mu.Unlock()
		return len(home.of) > 0
	})
	for _, limits := range [][]*config.Limit{{limit}, {other, limit}} {
		if d := l.Take(context.Background(), charges(limits...)); !d.Unavailable || !d.StoreDown {
			t.Errorf("%+v, want what the limit does without Redis", d)
		}
	}
	if d := l.Take(context.Background(), charges(other)); !d.Allowed || !d.StoreDown {
		t.Errorf("%+v, want what the limit does without Redis", d)
	}
	close(held)
	first.Wait()
	if d := l.Take(context.Background(), charges(limit)); !d.Allowed || d.StoreDown || d.Remaining != 8 {
		t.Errorf("%+v, want 8 left after that", d)
	}
}

// Who has waited for an exchange and then has to ask Redis for another limit waits no
// longer for both than for one.
func TestSyncAndExactWaitNoLongerThanForRedis(t *testing.T) {
	clock := new(atomic.Int64)
	asks, goes := make(chan struct{}), make(chan struct{})
	store := &during{leasingStore: newLeaseModel(clock.Load)}
	store.before = func() {
		store.before = func() { asks <- struct{}{}; <-goes } // for the second
		asks <- struct{}{}
		<-goes
	}
	l := nearOn(t, store, store, clock.Load)
	l.shared.timeout = 500 * time.Millisecond
	synced, exact := perUser("l", 10, config.FailDeny), perUser("exact", 10, config.FailDeny)
	synced.Consistency = config.Sync
	var both sync.WaitGroup
	both.Go(func() { l.Take(context.Background(), charges(synced)) })
	<-asks // the first for the key is with Redis
	var d Decision
	ctx := &reading{context.Background(), make(chan struct{}, 10)}
	both.Go(func() { d = l.Take(ctx, charges(synced, exact)) })
	<-ctx.left // the second waits for the first
	goes <- struct{}{}
	<-asks // the second is with Redis, which answers when nobody waits any more
	both.Wait()
	if !d.Unavailable || !d.StoreDown {
		t.Errorf("%+v, want what the limit does without Redis", d)
	}
	goes <- struct{}{}
	l.shared.returning.Wait()
}

// reading is the context of a call that says when it waits.
type reading struct {
	context.Context
	left chan struct{}
}

func (r *reading) LeaveReading() { r.left <- struct{}{} }

func (r *reading) Value(key any) any {
	if inline.IsKey(key) {
		return r
	}
	return nil
}

// What is known to be denied is looked at again after a second: a clock that was set
// back denies for no longer than it takes to set it right again.
func TestSyncLooksAgainAtWhatIsDenied(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		const begin = 1_700_000_000_000_000
		s.clock.Store(begin)
		clock := new(atomic.Int64)
		l := nearOn(t, s, s, clock.Load)
		limit := perUser("l", 2, config.FailDeny)
		limit.Consistency, limit.TokenBucket.Refill = config.Sync, config.Rate{Events: 1, Per: time.Second}
		ctx := context.Background()
		pass := func(d time.Duration) {
			clock.Add(d.Microseconds())
			s.clock.Add(d.Microseconds())
		}
		l.Take(ctx, charges(limit))
		l.Take(ctx, charges(limit))
		s.clock.Add(-time.Hour.Microseconds())
		l.near.views.flush(ctx)
		if d := l.Take(ctx, charges(limit)); d.Allowed || d.RetryAfter < time.Hour {
			t.Fatalf("%+v, want denied for an hour", d)
		}
		pass(1100 * time.Millisecond)
		s.clock.Add(time.Hour.Microseconds())
		if d := l.Take(ctx, charges(limit)); d.Allowed {
			t.Fatalf("%+v, want denied by what is known", d)
		}
		l.near.views.flush(ctx)
		if d := l.Take(ctx, charges(limit)); !d.Allowed {
			t.Errorf("%+v, want allowed: the clock is right again, and a token is there", d)
		}
	})
}

// An exchange brings what the others have taken, and a debt is paid before anybody
// is admitted again.
func TestSyncSeesTheOthers(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		var clock atomic.Int64
		s.clock.Store(1_700_000_000_000_000)
		ctx := context.Background()
		limit := perUser("l", 10, config.FailDeny)
		limit.Consistency = config.Sync
		limit.TokenBucket.Refill = config.Rate{Events: 10, Per: time.Second}
		fleet := []*Limiter{nearOn(t, s, s, clock.Load), nearOn(t, s, s, clock.Load)}
		admit := func(i int, want ...bool) {
			t.Helper()
			for n, want := range want {
				if d := fleet[i].Take(ctx, charges(limit)); d.Allowed != want {
					t.Errorf("request %d to instance %d: %+v, want allowed %t", n, i, d, want)
				}
			}
		}
		yes := func(n int) (all []bool) {
			for range n {
				all = append(all, true)
			}
			return all
		}
		admit(0, yes(1)...) // of Redis: 9 are left
		admit(1, yes(1)...) // of Redis: 8 are left
		admit(0, yes(8)...) // of the view that had 9
		admit(1, yes(8)...) // of the one that had 8
		admit(1, false)
		for _, l := range fleet {
			l.near.views.flush(ctx) // the second leaves 8 of debt
		}
		d := fleet[1].Take(ctx, charges(limit))
		if d.Allowed || d.RetryAfter < 899*time.Millisecond || d.RetryAfter > 901*time.Millisecond {
			t.Errorf("got %+v, want denied until 8 of debt and one are there", d)
		}
		clock.Add(900_001)
		s.clock.Add(900_001)
		admit(1, true, false)
	})
}

// What Redis has decided beside a view, as while one of its servers was down, is looked
// up before anybody is admitted by the view again.
func TestViewsDoNotMissWhatRedisDecides(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(1_700_000_000_000_000)
	store := newLeaseModel(clock.Load)
	vs := newViews(&faultySyncer{leasingStore: store}, clock.Load)
	ctx := context.Background()
	it := item{key: "k", Demand: Demand{Definition: bucketOf(t, 10, 1, time.Hour), Cost: 1}}
	ask := func() *Result {
		results, err := store.run(ctx, []call{{op: opTake, items: []item{it}}})
		if err != nil {
			t.Fatal(err)
		}
		return &results[0][0]
	}
	spend := func(most int) (spent int) {
		for ; spent < most; spent++ {
			c := vs.claim(ctx, it)
			if !c.Allowed {
				break
			}
			vs.conclude(it, c, true)
		}
		return spent
	}
	first := vs.claim(ctx, it)
	if first.known {
		t.Fatal("Redis is not to decide the first request")
	}
	vs.told(it, first, ask(), true)
	if n := spend(4); n != 4 {
		t.Fatalf("%d spent of the 9 that Redis had", n)
	}
	vs.told(it, claim{}, ask(), true)
	if n := spend(10); n != 4 {
		t.Errorf("%d more spent, want 4: Redis has decided two, and four were spent before", n)
	}
}
