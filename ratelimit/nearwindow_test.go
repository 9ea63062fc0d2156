package ratelimit

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// asLeasing is a store that no bucket is leased from.
type asLeasing struct{ runner }

func (asLeasing) lease(context.Context, string, []renewal) ([]renewed, error) {
	return nil, errors.New("no bucket is here")
}

// noting is a store that tells of each time that it charges something.
type noting struct {
	leasingStore
	charged func()
}

func (n *noting) run(ctx context.Context, calls []call) ([][]Result, error) {
	results, err := n.leasingStore.run(ctx, calls)
	for i, c := range calls {
		if c.op != opRefund && c.items[0].Cost > 0 && err == nil && (c.op == opForce || !slices.ContainsFunc(results[i], func(r Result) bool { return !r.Allowed })) {
			n.charged()
		}
	}
	return results, err
}

// faultyAnswerer is a store whose calls in the background may be lost on the way there
// or back, or done later.
type faultyAnswerer struct {
	leasingStore
	next    string
	waiting []func()
}

func (f *faultyAnswerer) up() bool { return true }

func (f *faultyAnswerer) answer(ctx context.Context, calls []call) ([][]Result, error) {
	next := f.next
	f.next = ""
	switch next {
	case "late":
		f.waiting = append(f.waiting, func() { _, _ = f.run(ctx, calls) })
		return nil, errors.New("late")
	case "no answer":
		_, _ = f.run(ctx, calls)
		return nil, errors.New("no answer")
	case "lost":
		return nil, errors.New("lost")
	}
	return f.run(ctx, calls)
}

// windowKinds are the windows that instances share near, by the letter of their kind.
var windowKinds = map[string]func(t *rapid.T) config.LimitPlan{
	"fixed": func(t *rapid.T) config.LimitPlan {
		w := rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Second, time.Minute}).Draw(t, "window")
		return config.LimitPlan{FixedWindow: &config.SlidingWindow{Window: config.Duration(w)}}
	},
	"sliding": func(t *rapid.T) config.LimitPlan {
		w := rapid.SampledFrom([]time.Duration{time.Second, 6 * time.Second, time.Minute, time.Hour}).Draw(t, "window")
		return config.LimitPlan{SlidingWindow: &config.SlidingWindow{Window: config.Duration(w)}}
	},
	"quota": func(t *rapid.T) config.LimitPlan {
		per := rapid.SampledFrom([]config.CalendarUnit{config.PerHour, config.PerDay, config.PerMonth}).Draw(t, "per")
		return config.LimitPlan{Quota: &config.Quota{Per: per, TimeZone: "Europe/Vienna"}}
	},
}

// windowAdmission is an admission by the store's clock, which is not before the last
// charge there, and by that of the instances.
type windowAdmission struct{ at, clock, cost int64 }

// windowMachine is a fleet that shares one window near, and what it has admitted.
type windowMachine struct {
	store       storeUnderTest
	during      *during
	faulty      *faultyAnswerer
	clock       atomic.Int64 // of the instances
	latest      int64        // the latest time at which the store has charged something
	consistency config.Consistency

	limit    config.Limit
	exact    config.Limit // which some requests have too
	most     int64        // the largest that it was
	fleet    []*Limiter
	admitted []windowAdmission
	by       [][]windowAdmission // of each instance, since it began

	burst                 int64 // the most that one has admitted in a time of S
	deaths, losses, leaps int64
}

// Instances that share a window near admit no more than its limit in each, with leases;
// and with sync no more than (N−1)·min(L, a·S) beside it: whatever becomes of calls and
// instances, when limits change, and when clocks stand or are set back. Beside that
// comes what is lost with the store's data, and with leases what is out when its clock
// leaps.
func TestWindowsNearKeepTheBound(t *testing.T) {
	for kind, plan := range windowKinds {
		for _, consistency := range []config.Consistency{config.Lease, config.Sync} {
			t.Run(kind+" "+string(consistency), func(t *testing.T) {
				onEachStore(t, func(t *testing.T, s storeUnderTest) {
					rapid.Check(t, func(t *rapid.T) { checkWindowNear(t, s, consistency, plan(t)) })
				})
			})
		}
	}
}

func checkWindowNear(t *rapid.T, s storeUnderTest, consistency config.Consistency, plan config.LimitPlan) {
	s.clear()
	s.clock.Store(rapid.Int64Range(1_700_000_000_000_000, 1_700_000_100_000_000).Draw(t, "start"))
	m := &windowMachine{
		store: s, consistency: consistency,
		limit: config.Limit{
			Name: "l", Key: []config.KeyPart{config.KeyUser}, Consistency: consistency,
			FixedWindow: plan.FixedWindow, SlidingWindow: plan.SlidingWindow, Quota: plan.Quota,
		},
		exact: *perUser("exact", 3, config.FailDeny),
	}
	m.exact.TokenBucket.Refill = config.Rate{Events: 1, Per: time.Second}
	m.during = &during{leasingStore: &noting{asLeasing{s}, func() { m.latest = max(m.latest, s.clock.Load()) }}}
	m.faulty = &faultyAnswerer{leasingStore: m.during}
	m.define(t, 0)
	for range rapid.IntRange(1, 5).Draw(t, "instances") {
		m.fleet, m.by = append(m.fleet, m.start(t)), append(m.by, nil)
	}
	steps := map[string]func(*rapid.T, int){
		"requests": m.requests, "share": m.share, "together": m.together, "report": m.report, "report all": m.reportAll,
		"pass": m.pass, "border": m.border, "sweep": m.sweep, "fault": m.fault, "lateness": m.lateness, "die": m.die, "end": m.end,
		"set back": m.setBack, "define": m.define, "surge": m.surge, "trickle": m.trickle, "drain": m.drain, "leap": m.leap, "lose": m.lose,
	}
	names := []string{
		"requests", "requests", "requests", "share", "share", "share", "together", "report", "report", "report all", "pass", "pass",
		"border", "border", "sweep", "fault", "lateness", "die", "end", "set back", "define", "surge", "trickle", "drain",
	}
	if disaster := rapid.SampledFrom([]string{"", "", "leap", "lose"}).Draw(t, "disaster"); disaster != "" {
		names = append(names, disaster)
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		steps[rapid.SampledFrom(names).Draw(t, "step")](t, rapid.IntRange(0, len(m.fleet)-1).Draw(t, "instance"))
	}
	m.drain(t, 0)
	for i := range m.fleet {
		m.forget(i)
	}
	m.check(t)
}

// check holds what was admitted to the bound, in each window.
func (m *windowMachine) check(t *rapid.T) {
	others := int64(len(m.fleet) - 1)
	most := m.most * (1 + m.losses)
	if m.consistency == config.Sync {
		most += min(m.most, m.burst) * (others + m.deaths + others*m.losses)
	} else {
		most += m.leaps * int64(len(m.fleet)) * (m.most / shareOfCapacity)
	}
	d, err := newDefinition(m.limit.Own())
	if err != nil {
		t.Fatal(err)
	}
	for _, last := range m.admitted {
		sum := int64(0)
		for _, a := range m.admitted {
			if inOneWindow(d, a.at, last.at) {
				sum += a.cost
			}
		}
		if sum > most {
			t.Fatalf("%d admitted in a window until %d, want at most %d", sum, last.at, most)
		}
	}
}

// inOneWindow says whether two times are in one window that ends at the latter.
func inOneWindow(d Definition, at, last int64) bool {
	if w, slides := d.(slidingWindow); slides {
		return last-w.window < at && at <= last
	}
	start, _ := d.(counter).span(last)
	return start <= at && at <= last
}

func (m *windowMachine) start(t *rapid.T) *Limiter {
	l := nearOn(t, m.during, m.during, m.clock.Load)
	l.near.views.store, l.near.leases.windows = m.faulty, m.faulty
	return l
}

// define draws the limit anew.
func (m *windowMachine) define(t *rapid.T, _ int) {
	n := rapid.SampledFrom([]int64{4, 9, 20, 35, 60, 1}).Draw(t, "limit")
	m.most = max(m.most, n)
	switch {
	case m.limit.FixedWindow != nil:
		m.limit.FixedWindow = &config.SlidingWindow{Limit: n, Window: m.limit.FixedWindow.Window}
	case m.limit.SlidingWindow != nil:
		m.limit.SlidingWindow = &config.SlidingWindow{Limit: n, Window: m.limit.SlidingWindow.Window}
	default:
		m.limit.Quota = &config.Quota{Limit: n, Per: m.limit.Quota.Per, TimeZone: m.limit.Quota.TimeZone}
	}
}

// ask sends a request to an instance.
func (m *windowMachine) ask(t *rapid.T, i int, charges ...Charge) bool {
	d := m.fleet[i].Take(context.Background(), charges)
	if d.StoreDown {
		t.Fatal("decided without the store")
	}
	if d.Allowed {
		a := windowAdmission{max(m.latest, m.store.clock.Load()), m.clock.Load(), charges[0].Cost}
		m.admitted, m.by[i] = append(m.admitted, a), append(m.by[i], a)
	}
	return d.Allowed
}

func (m *windowMachine) charge(cost int64) Charge {
	return Charge{Limit: &m.limit, Key: []string{"alice"}, Cost: cost}
}

func (m *windowMachine) requests(t *rapid.T, i int) {
	cost := rapid.Int64Range(1, 2).Draw(t, "cost")
	for range rapid.IntRange(1, 10).Draw(t, "requests") {
		m.ask(t, i, m.charge(cost))
	}
}

// share has an instance spend and report, so that it holds something.
func (m *windowMachine) share(t *rapid.T, i int) {
	for range rapid.IntRange(1, 3).Draw(t, "times") {
		m.requests(t, i)
		m.report(t, i)
	}
}

// together is requests that have an exact limit too, which is charged while something
// is told.
func (m *windowMachine) together(t *rapid.T, i int) {
	for range rapid.IntRange(1, 4).Draw(t, "requests") {
		if j := rapid.IntRange(-1, len(m.fleet)-1).Draw(t, "told"); j >= 0 {
			m.during.before = func() { m.report(t, j) }
		}
		m.ask(t, i, m.charge(rapid.Int64Range(1, 3).Draw(t, "cost")), Charge{Limit: &m.exact, Key: []string{"alice"}})
		m.during.before = nil
	}
}

func (m *windowMachine) report(_ *rapid.T, i int) {
	m.fleet[i].near.views.flush(context.Background())
	m.fleet[i].near.leases.flush(context.Background())
}

func (m *windowMachine) reportAll(t *rapid.T, _ int) {
	for i := range m.fleet {
		m.report(t, i)
	}
}

// surge is more requests to all than there is, for a while in which nobody reports.
func (m *windowMachine) surge(t *rapid.T, _ int) {
	m.reportAll(t, 0)
	for range rapid.IntRange(1, 3).Draw(t, "times") {
		for i := range m.fleet {
			for range m.most + 1 {
				m.ask(t, i, m.charge(1))
			}
		}
		m.wait(rapid.Int64Range(0, 60_000).Draw(t, "micros"))
	}
}

// trickle is few requests to all for long.
func (m *windowMachine) trickle(t *rapid.T, _ int) {
	micros := rapid.Int64Range(20_000, 120_000).Draw(t, "micros")
	for range rapid.IntRange(1, 20).Draw(t, "times") {
		for i := range m.fleet {
			m.ask(t, i, m.charge(1))
		}
		m.wait(micros)
	}
}

// drain asks until everything is denied.
func (m *windowMachine) drain(t *rapid.T, _ int) {
	for some := true; some; {
		some = false
		for i := range m.fleet {
			for m.ask(t, i, m.charge(1)) {
				some = true
			}
		}
	}
}

func (m *windowMachine) wait(micros int64) {
	m.clock.Add(micros)
	m.store.clock.Add(micros)
}

func (m *windowMachine) pass(t *rapid.T, _ int) {
	m.wait(rapid.OneOf(
		rapid.Int64Range(0, 100_000), rapid.Int64Range(0, 2_500_000), rapid.Int64Range(0, 70_000_000),
		rapid.Int64Range(leaseTTL.Microseconds()-2, leaseTTL.Microseconds()+2),
	).Draw(t, "micros"))
}

// border goes to about the end of the window, or of the slot.
func (m *windowMachine) border(t *rapid.T, _ int) {
	d, err := newDefinition(m.limit.Own())
	if err != nil {
		t.Fatal(err)
	}
	now, end := m.store.clock.Load(), int64(0)
	if w, slides := d.(slidingWindow); slides {
		end = (now/w.slot + 1) * w.slot
	} else {
		_, end = d.(counter).span(now)
	}
	m.wait(max(end-now+rapid.Int64Range(-2, 2).Draw(t, "beside"), 0))
}

func (m *windowMachine) sweep(_ *rapid.T, i int) {
	near := m.fleet[i].near
	near.views.sweep(shardCount)
	near.leases.sweep(shardCount)
	near.leases.flush(context.Background())
}

func (m *windowMachine) fault(t *rapid.T, _ int) {
	// What is told late by sync is told twice, and so is as one without an answer.
	m.faulty.next = rapid.SampledFrom([]string{"lost", "no answer", "late"}).Draw(t, "fault")
}

// lateness does calls that were late.
func (m *windowMachine) lateness(t *rapid.T, _ int) {
	for len(m.faulty.waiting) > 0 {
		i := rapid.IntRange(0, len(m.faulty.waiting)-1).Draw(t, "which")
		m.faulty.waiting[i]()
		m.faulty.waiting = slices.Delete(m.faulty.waiting, i, i+1)
	}
}

// die ends an instance that gives nothing back, and tells nothing.
func (m *windowMachine) die(t *rapid.T, i int) {
	m.deaths++
	m.forget(i)
	m.fleet[i] = m.start(t)
}

// end ends an instance that tells and gives back all.
func (m *windowMachine) end(t *rapid.T, i int) {
	m.faulty.next = ""
	m.fleet[i].near.views.close(context.Background())
	m.fleet[i].near.leases.close(context.Background())
	for range 3 {
		m.ask(t, i, m.charge(1))
	}
	m.forget(i)
	m.fleet[i] = m.start(t)
}

// forget ends an instance, and keeps its largest burst.
func (m *windowMachine) forget(i int) {
	for j, first := range m.by[i] {
		sum := int64(0)
		for _, a := range m.by[i][j:] {
			if a.clock-first.clock < syncBound.Microseconds() {
				sum += a.cost
			}
		}
		m.burst = max(m.burst, sum)
	}
	m.by[i] = nil
}

func (m *windowMachine) setBack(t *rapid.T, _ int) {
	if micros := rapid.Int64Range(0, 5_000_000).Draw(t, "micros"); m.losses == 0 {
		m.store.clock.Add(-micros)
	}
}

func (m *windowMachine) leap(t *rapid.T, _ int) {
	m.store.clock.Add(rapid.Int64Range(0, 100_000_000).Draw(t, "micros"))
	m.leaps++
}

// lose loses what the store has, and with it that its clock was set back: it is right
// from then on.
func (m *windowMachine) lose(*rapid.T, int) {
	m.store.clock.Store(max(m.store.clock.Load(), m.latest))
	m.store.clear()
	m.losses++
}

// What is taken while an exchange is under way is not forgotten with its answer; and
// what was told of a request that another limit has denied is given back, once.
func TestSyncTellsEachTokenOnce(t *testing.T) {
	limits := map[string]config.Limit{
		"bucket":  {TokenBucket: &config.TokenBucket{Capacity: 10, Refill: config.Rate{Events: 1, Per: day}}},
		"fixed":   {FixedWindow: &config.SlidingWindow{Limit: 10, Window: config.Duration(time.Hour)}},
		"sliding": {SlidingWindow: &config.SlidingWindow{Limit: 10, Window: config.Duration(time.Hour)}},
		"quota":   {Quota: &config.Quota{Limit: 10, Per: config.PerDay}},
	}
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		s.clock.Store(1_700_000_000_000_000)
		for name, limit := range limits {
			t.Run(name, func(t *testing.T) {
				s.clear()
				limit.Name, limit.Key, limit.Consistency = "l", []config.KeyPart{config.KeyUser}, config.Sync
				store := &during{leasingStore: asLeasing{s}}
				l := nearOn(t, store, store, func() int64 { return 0 })
				l.near.views.store = &faultyAnswerer{leasingStore: store}
				ctx, exact := context.Background(), perUser("exact", 1, config.FailDeny)
				admit := func(want bool, limits ...*config.Limit) {
					t.Helper()
					if d := l.Take(ctx, charges(limits...)); d.Allowed != want || d.StoreDown {
						t.Errorf("%+v, want allowed %t", d, want)
					}
				}
				admit(true, &limit, exact)
				admit(true, &limit)
				store.before = func() { admit(true, &limit) }
				l.near.views.flush(ctx)
				store.before = func() { l.near.views.flush(ctx) }
				admit(false, &limit, exact) // told meanwhile
				l.near.views.flush(ctx)     // and given back
				for range 7 {
					admit(true, &limit)
				}
				admit(false, &limit)
			})
		}
	})
}
