package ratelimit

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// scripts is how many scripts Redis has run.
func scripts(t testing.TB, server *testenv.Redis) int64 {
	t.Helper()
	for line := range strings.Lines(server.Do("INFO", "commandstats").(string)) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:calls="); ok {
			number, _, _ := strings.Cut(rest, ",")
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// load is what instances under full load admit in a time, and what it costs Redis.
type load struct {
	admitted []admission // by the clock of the process
	decided  int64
	scripts  int64
	took     time.Duration
}

// underLoad has 4 instances, each with 4 clients that do not pause, decide for a
// time on one Redis.
func underLoad(t *testing.T, limit *config.Limit, keys int, time_ time.Duration) load {
	server := testenv.StartRedis(t)
	f := newFleet(t, server, 4)
	before, begin := scripts(t, server), time.Now()
	var l load
	var mu sync.Mutex // guards l
	var clients sync.WaitGroup
	for i, instance := range f.instances {
		for c := range 4 {
			clients.Go(func() {
				var admitted []admission
				decided := int64(0)
				for n := i + c; time.Since(begin) < time_; n++ {
					d := instance.Take(context.Background(), []Charge{{Limit: limit, Key: []string{strconv.Itoa(n % keys)}}})
					if d.StoreDown {
						t.Error("decided without Redis")
						return
					}
					decided++
					if d.Allowed {
						admitted = append(admitted, admission{time.Since(begin).Microseconds(), 1})
					}
				}
				mu.Lock()
				defer mu.Unlock()
				l.admitted = append(l.admitted, admitted...)
				l.decided += decided
			})
		}
	}
	clients.Wait()
	l.took, l.scripts = time.Since(begin), scripts(t, server)-before
	return l
}

// Four instances under full load admit no more than C + R·T with leases, and not
// much less than an exact limit does, for a small part of its commands.
func TestFleetOfLeases(t *testing.T) {
	const capacity, rate = 500, 1000
	limit := perUser("l", capacity, config.FailDeny)
	limit.TokenBucket.Refill = config.Rate{Events: rate, Per: time.Second}
	exact := underLoad(t, limit, 1, 2*time.Second)
	limit.Consistency = config.Lease
	lease := underLoad(t, limit, 1, 2*time.Second)

	most := capacity + int64(rate*lease.took.Seconds())
	t.Logf("%d decisions, %d admitted of at most %d (%.1f %% of what exact admits of its most), %.5f scripts a decision; exact %d decisions, %d admitted, %.5f scripts a decision",
		lease.decided, len(lease.admitted), most, 100*share1(lease, capacity, rate)/share1(exact, capacity, rate), float64(lease.scripts)/float64(lease.decided),
		exact.decided, len(exact.admitted), float64(exact.scripts)/float64(exact.decided))
	if n := int64(len(lease.admitted)); n > most {
		t.Errorf("%d admitted in %v, want at most %d", n, lease.took, most)
	}
	if share1(lease, capacity, rate) < 0.9*share1(exact, capacity, rate) {
		t.Errorf("%d admitted in %v, less than nine tenths of what exact admits: %d in %v", len(lease.admitted), lease.took, len(exact.admitted), exact.took)
	}
	if lease.scripts*10*exact.decided > exact.scripts*lease.decided {
		t.Errorf("%d scripts for %d decisions, more than a tenth of %d for %d", lease.scripts, lease.decided, exact.scripts, exact.decided)
	}
}

// share1 is what was admitted of what a bucket could have.
func share1(l load, capacity, rate float64) float64 {
	return float64(len(l.admitted)) / (capacity + rate*l.took.Seconds())
}

// Four instances under full load that exchange every 100 ms admit no more than
// C + R·T + (N−1)·min(C, a·S). What they admit beside C + R·T is told.
func TestFleetOfSync(t *testing.T) {
	const capacity, rate, instances = 500, 1000, 4
	limit := perUser("l", capacity, config.FailDeny)
	limit.TokenBucket.Refill = config.Rate{Events: rate, Per: time.Second}
	limit.Consistency = config.Sync
	l := underLoad(t, limit, 1, 2*time.Second)
	exact := capacity + int64(rate*l.took.Seconds())
	// At full load a·S is more than the capacity.
	most := exact + (instances-1)*capacity
	n := int64(len(l.admitted))
	t.Logf("%d decisions, %d admitted: an excess of %d over C + R·T = %d, and C + R·T + (N−1)·min(C, a·S) is %d; %.5f scripts a decision",
		l.decided, n, n-exact, exact, most, float64(l.scripts)/float64(l.decided))
	if n > most {
		t.Errorf("%d admitted in %v, want at most %d", n, l.took, most)
	}
	if n < exact*9/10 {
		t.Errorf("%d admitted in %v, less than nine tenths of %d", n, l.took, exact)
	}
}
