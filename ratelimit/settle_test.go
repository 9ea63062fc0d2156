package ratelimit

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// What instances admit while Redis does not answer is charged when it does: no key
// gets at once what it has used up, asked for or not, and the bucket stands where
// one bucket for all would.
func TestOutageIsSettled(t *testing.T) {
	t.Parallel()
	const instances, capacity, users = 2, 100, 300
	server := testenv.StartRedis(t)
	f := newFleet(t, server, instances)
	f.live()
	limit := perUser("l", capacity, config.FailLocal)
	take := func(l *Limiter, user int, cost int64) Decision {
		return l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{fmt.Sprint(user)}, Cost: cost}})
	}
	for user := range users {
		if d := take(f.instances[0], user, 10); !d.Allowed || d.StoreDown {
			t.Fatalf("before: %+v", d)
		}
	}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	for user := range users {
		for _, l := range f.instances {
			for n := range int64(2) {
				if d := take(l, user, 15); !d.Allowed || !d.StoreDown || d.Remaining != capacity/instances-15*(n+1) {
					t.Fatalf("meanwhile: %+v, want of this instance's half", d)
				}
			}
		}
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	for _, l := range f.instances {
		waitFor(t, "Redis to decide", func() bool { return l.shared.up() })
	}
	// Of the first users at once, by the request itself.
	for user := range 3 {
		for i, l := range f.instances {
			if d := take(l, user, NoCost); d.StoreDown || d.Remaining > int64(90-30*(i+1)) {
				t.Errorf("after, instance %d: %+v, want at most %d left", i, d, 90-30*(i+1))
			}
		}
	}
	for _, l := range f.instances {
		waitFor(t, "all to be settled", func() bool { return l.local.size() == 0 && !l.owes.Load() })
	}
	for user := range users {
		if d := take(f.instances[0], user, NoCost); d.Remaining != 90-2*30 {
			t.Fatalf("user %d has %d left, want %d", user, d.Remaining, 90-2*30)
		}
	}
}

// What time has given back during an outage is not charged: a client that was
// limited all the while is not blocked after it.
func TestOutageLeavesNoDebtThatTimeHasPaid(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: time.Second}, nil)
	limit := perUser("l", 10, config.FailLocal)
	limit.TokenBucket.Refill = config.Rate{Events: 100, Per: time.Second}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	admitted := 0
	for begin := time.Now(); time.Since(begin) < 500*time.Millisecond; {
		if l.Take(context.Background(), charges(limit)).Allowed {
			admitted++
		}
	}
	if admitted <= 20 {
		t.Fatalf("%d admitted, want far more than the capacity: the bucket refills", admitted)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	waitFor(t, "Redis to decide", l.shared.up)
	d := l.Take(context.Background(), charges(limit))
	if d.RetryAfter > time.Second/10 {
		t.Errorf("denied for %v, want no longer than a bucket needs to fill", d.RetryAfter)
	}
}

// A call that fails while it settles loses nothing: it is owed again.
func TestDebtsThatFailAreOwedAgain(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 50 * time.Millisecond}, nil)
	limit := perUser("l", 10, config.FailLocal)
	server.Signal(syscall.SIGSTOP)
	for range 7 {
		l.Take(context.Background(), charges(limit))
	}
	l.unsettled(l.debts([]item{{key: bucketKey(limit, []string{"alice"}, config.Allowance{})}}))
	if d := l.Take(context.Background(), charges(limit)); d.Remaining != 2 || !d.StoreDown {
		t.Errorf("%+v, want 2 left here", d)
	}
	server.Signal(syscall.SIGCONT)
	waitFor(t, "all to be settled", func() bool { return l.shared.up() && l.local.size() == 0 })
	// The request that found out may have been charged by Redis as well.
	if d := l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{"alice"}, Cost: NoCost}}); d.Remaining < 1 || d.Remaining > 2 {
		t.Errorf("%+v, want 2 left of 10 after 8, or 1", d)
	}
}

// Over outages one after the other, a fleet admits no more than a capacity and the
// rate, and a capacity for each.
func TestFleetBoundOverOutages(t *testing.T) {
	t.Parallel()
	const instances, capacity, rate, outages = 3, 60, 50, 3
	server := testenv.StartRedis(t)
	f := newFleet(t, server, instances)
	f.live()
	limit := perUser("l", capacity, config.FailLocal)
	limit.TokenBucket.Refill = config.Rate{Events: rate, Per: time.Second}
	var admitted, sent atomic.Int64
	stop := make(chan struct{})
	done := make(chan struct{})
	begin := time.Now()
	for _, l := range f.instances {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				sent.Add(1)
				if l.Take(context.Background(), charges(limit)).Allowed {
					admitted.Add(1)
				}
			}
		}()
	}
	var disagree time.Duration // for which some instances have Redis and others have not
	for range outages {
		server.Do("CONFIG", "SET", "maxmemory", "1")
		for _, l := range f.instances {
			waitFor(t, "the outage to be found", func() bool { return !l.shared.up() })
		}
		from := time.Now()
		server.Do("CONFIG", "SET", "maxmemory", "0")
		for _, l := range f.instances {
			waitFor(t, "Redis to decide", l.shared.up)
		}
		disagree += time.Since(from)
	}
	close(stop)
	for range instances {
		<-done
	}
	took := time.Since(begin)
	most := capacity*(1+outages) + int64(rate*(took+disagree).Seconds()) + 1
	t.Logf("%d of %d admitted in %v and %d outages; the bound is %d", admitted.Load(), sent.Load(), took, outages, most)
	if n := admitted.Load(); n > most || n < capacity {
		t.Errorf("%d admitted, want at least %d and at most %d", n, capacity, most)
	}
}

// The portions of all instances are no more than the whole, but for the one that
// each has at least, and no faster.
func TestPortions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bucketGen.Draw(t, "bucket").Bucket
		n := rapid.OneOf(rapid.Int64Range(2, 9), rapid.Int64Range(2, 1<<20)).Draw(t, "instances")
		p, ok := portionOf(b, n).(portion)
		if !ok {
			t.Fatal("no portion")
		}
		part := p.Definition.(Bucket)
		if wholeOf(p) != Definition(b) || part.unit <= 0 || part.rate <= 0 || part.full() > maxExact || part.unit > maxExact/2 {
			t.Fatalf("%+v of %+v", part, b)
		}
		if part.capacity > max(b.capacity/n, 1) || part.capacity < 1 {
			t.Fatalf("capacity %d of %d for one of %d", part.capacity, b.capacity, n)
		}
		// rate/unit · n <= b.rate/b.unit, unless it is counted less finely
		exact := part.unit == 0 || float64(part.rate)/float64(part.unit)*float64(n) <= float64(b.rate)/float64(b.unit)*(1+1e-9)
		if coarse := n > maxExact/2/b.unit; !exact && !coarse {
			t.Fatalf("%d/%d for one of %d of %d/%d", part.rate, part.unit, n, b.rate, b.unit)
		}
	})
}

// Instances know of each other, of one that goes, and of one that is gone without
// a word; and a Redis that has lost its data makes none of them alone.
func TestInstancesKnowOfEachOther(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	f := newFleet(t, server, 3)
	f.live()
	server.Do("FLUSHALL")
	f.instances[0].live.announceOnce(t)
	if n := f.instances[0].live.instances(); n != 3 {
		t.Errorf("%d instances after Redis lost its data, want 3", n)
	}
	server.Do("SET", liveKey, "junk")
	f.live()
	_ = f.instances[2].Close()
	for _, l := range f.instances[:2] {
		waitFor(t, "the one that goes to be forgotten", func() bool { return l.live.instances() == 2 })
	}
	f.instances[1].live.stop() // it says no more
	waitFor(t, "the one that is gone to be forgotten", func() bool { return f.instances[0].live.instances() == 1 })
	if ttl := server.Do("PTTL", liveKey).(int64); ttl <= 0 || ttl > liveFor.Milliseconds() {
		t.Errorf("Redis forgets the instances in %d ms, want at most %v", ttl, liveFor)
	}
}

// announceOnce says once more, on another's behalf, that l lives.
func (l *live) announceOnce(t *testing.T) {
	t.Helper()
	if seen, err := l.say(context.Background(), liveFor); err != nil || seen.instances < 1 {
		t.Fatalf("%v, %v", seen, err)
	}
}

// Each algorithm has portions, and is settled: what is counted here is counted there.
func TestEachAlgorithmIsSettled(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	f := newFleet(t, server, 2)
	f.live()
	window := &config.SlidingWindow{Limit: 10, Window: config.Duration(24 * time.Hour)}
	limits := map[string]*config.Limit{
		"bucket": perUser("bucket", 10, config.FailLocal),
		"window": {SlidingWindow: window},
		"log":    {SlidingLog: window},
		"fixed":  {FixedWindow: window},
		"quota":  {Quota: &config.Quota{Limit: 10, Per: config.PerMonth}},
	}
	take := func(l *Limiter, limit *config.Limit, cost int64) Decision {
		return l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{"alice"}, Cost: cost}})
	}
	for name, limit := range limits {
		limit.Name, limit.Key = name, []config.KeyPart{config.KeyUser}
		if d := take(f.instances[0], limit, 3); !d.Allowed || d.StoreDown || d.Remaining != 7 {
			t.Fatalf("%s, before: %+v", name, d)
		}
	}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	// The bucket comes first: a script that has deleted old entries of a log may go on
	// to write in a full Redis, which so counts and is not found to be down.
	for _, name := range []string{"bucket", "window", "log", "fixed", "quota"} {
		limit := limits[name]
		for _, l := range f.instances {
			if d := take(l, limit, 2); !d.Allowed || !d.StoreDown || d.Remaining != 3 {
				t.Fatalf("%s, meanwhile: %+v, want 3 left of this instance's 5", name, d)
			}
			if d := take(l, limit, 4); d.Allowed {
				t.Fatalf("%s, meanwhile: %+v, want denied", name, d)
			}
		}
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	for _, l := range f.instances {
		waitFor(t, "all to be settled", func() bool { return l.shared.up() && l.local.size() == 0 && !l.owes.Load() })
	}
	for name, limit := range limits {
		if d := take(f.instances[0], limit, NoCost); d.Remaining != 10-3-2*2 {
			t.Errorf("%s, after: %d left, want 3", name, d.Remaining)
		}
	}
}
