package ratelimit

import (
	"context"
	"errors"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
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
// C + R·T + (N−1)·A, where A is what one of them admits from one exchange to the
// next, even when exchanges are lost. An instance that dies has not told of A.
func TestSyncKeepsTheBound(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		rapid.Check(t, func(t *rapid.T) {
			s.clear()
			checkSync(t, s)
		})
	})
}

func checkSync(t *rapid.T, s leasingUnderTest) {
	m := &leaseMachine{
		store: s, rate: new(big.Rat), slack: new(big.Rat),
		limit: config.Limit{Name: "l", Key: []config.KeyPart{config.KeyUser}, Consistency: config.Sync},
	}
	s.clock.Store(1_700_000_000_000_000)
	m.draw(t)
	m.define(t)
	faulty := &faultySyncer{leasingStore: s}
	start := func() *Limiter {
		l := nearOn(t, s, s, m.clock.Load)
		l.near.views.store = faulty
		return l
	}
	n := rapid.IntRange(1, 5).Draw(t, "instances")
	untold := make([]int64, n) // what each has admitted since its last exchange
	most, lost := int64(0), int64(0)
	for range n {
		m.fleet = append(m.fleet, start())
	}
	ask := func(i, requests int) {
		before := len(m.admitted)
		m.ask(t, m.fleet[i], requests, rapid.Int64Range(1, 2).Draw(t, "cost"))
		for _, a := range m.admitted[before:] {
			untold[i] += a.cost
		}
		most = max(most, untold[i])
	}
	exchange := func(i int) {
		vs := m.fleet[i].near.views
		vs.flush(context.Background())
		if vs.waiting.Load() == 0 {
			untold[i] = 0
		}
	}
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		i := rapid.IntRange(0, n-1).Draw(t, "instance")
		switch rapid.SampledFrom([]string{"ask", "ask", "ask", "ask", "exchange", "exchange", "all", "time", "time", "sweep", "fault", "die", "end"}).Draw(t, "step") {
		case "ask":
			ask(i, rapid.IntRange(1, 10).Draw(t, "requests"))
		case "exchange":
			exchange(i)
		case "all":
			for i := range n {
				exchange(i)
			}
		case "time":
			m.pass(t)
		case "sweep":
			m.fleet[i].near.views.sweep(shardCount)
		case "fault":
			faulty.next = rapid.SampledFrom([]string{"lost", "no answer"}).Draw(t, "fault")
		case "die":
			lost += untold[i]
			m.fleet[i], untold[i] = start(), 0
		case "end":
			faulty.next = ""
			m.fleet[i].near.views.close(context.Background())
			m.fleet[i], untold[i] = start(), 0
		}
	}
	checkWindows(t, m.admitted, m.capacity+int64(n-1)*most+lost, m.rate)
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

// An answer that comes after an exchange which was asked for later raises no view:
// what Redis has been told of since would be spent a second time.
func TestLateAnswersRaiseNoView(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(1_700_000_000_000_000)
	store := newLeaseModel(clock.Load)
	vs := newViews(&faultySyncer{leasingStore: store}, clock.Load)
	ctx := context.Background()
	bucket, err := NewBucket(config.TokenBucket{Capacity: 10, Refill: config.Rate{Events: 1, Per: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	it := item{key: "k", Demand: Demand{Definition: bucket, Cost: 1}}
	ask := func() Result {
		results, err := store.run(ctx, []call{{op: opTake, items: []item{it}}})
		if err != nil {
			t.Fatal(err)
		}
		return results[0][0]
	}
	spendAll := func() (spent int) {
		for {
			c := vs.claim(ctx, it)
			if !c.Allowed {
				return spent
			}
			vs.conclude(it, c, true)
			spent++
		}
	}
	first, second := ask(), ask() // and the answer to the second one is on its way for long
	vs.told(it, first, true)
	if n := spendAll(); n != 9 {
		t.Fatalf("%d spent of the 9 that Redis had", n)
	}
	vs.flush(ctx)
	vs.told(it, second, true)
	if n := spendAll(); n != 0 {
		t.Errorf("%d more spent after a late answer", n)
	}
}
