package ratelimit

import (
	"context"
	"strings"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

// perTenant is a limit of 5 a day, of 50 in plan gold and 2 in plan free.
func perTenant() *config.Limit {
	aDay := func(n int64) *config.TokenBucket {
		return &config.TokenBucket{Capacity: n, Refill: config.Rate{Events: n, Per: day}}
	}
	return &config.Limit{
		Name: "per-tenant", Key: []config.KeyPart{config.KeyTenant}, TokenBucket: aDay(5),
		Plans: map[string]*config.LimitPlan{"gold": {TokenBucket: aDay(50)}, "free": {TokenBucket: aDay(2)}},
	}
}

// onEachLimiter runs the same test on a limiter in memory and one on Redis.
func onEachLimiter(t *testing.T, test func(t *testing.T, l *Limiter)) {
	t.Run("memory", func(t *testing.T) { test(t, open(t, Settings{}, nil)) })
	t.Run("redis", func(t *testing.T) {
		test(t, open(t, Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: 10 * time.Second}, nil))
	})
}

// A caller has the numbers of the plan; who changes plans keeps the bucket: a
// smaller one cuts at once, a larger one gives nothing that was not there.
func TestPlanResizesTheBucket(t *testing.T) {
	onEachLimiter(t, func(t *testing.T, l *Limiter) {
		limit := perTenant()
		own := config.TokenBucket{Capacity: 10, Refill: config.Rate{Events: 10, Per: day}}
		for i, step := range []struct {
			tenant              string
			allowance           config.Allowance
			cost                int64
			allowed             bool
			capacity, remaining int64
		}{
			{"acme", config.Allowance{}, 1, true, 5, 4},
			{"acme", config.Allowance{Plan: "unknown"}, 1, true, 5, 3},
			{"acme", config.Allowance{Plan: "gold"}, 1, true, 50, 2},
			{"acme", config.Allowance{Plan: "gold"}, 3, false, 50, 2},
			{"zeta", config.Allowance{Plan: "gold"}, 10, true, 50, 40},
			{"zeta", config.Allowance{Plan: "free"}, 1, true, 2, 1},
			{"zeta", config.Allowance{Plan: "gold"}, 2, false, 50, 1},
			{"zeta", config.Allowance{Own: config.Numbers{Bucket: own}}, 1, true, 10, 0},
			{"zeta", config.Allowance{Plan: "free"}, 1, false, 2, 0},
			// Apart: a bucket of its own, and one for all plans that are not named.
			{"zeta", config.Allowance{Plan: "gold", Apart: true}, 50, true, 50, 0},
			{"zeta", config.Allowance{Plan: "free", Apart: true}, 2, true, 2, 0},
			{"zeta", config.Allowance{Plan: "x", Apart: true}, 5, true, 5, 0},
			{"zeta", config.Allowance{Plan: "y", Apart: true}, 1, false, 5, 0},
		} {
			d := l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{step.tenant}, Allowance: step.allowance, Cost: step.cost}})
			if d.Allowed != step.allowed || d.Capacity != step.capacity || d.Remaining != step.remaining || d.Limit != "per-tenant" {
				t.Errorf("step %d: %+v, want allowed %t, %d of %d", i, d, step.allowed, step.remaining, step.capacity)
			}
		}
	})
}

// A bucket that is full by the plan that it was charged by is not forgotten while
// another plan would find it empty: who has a token of each plan does not fill the
// one's bucket by asking with the other.
func TestBucketIsKeptForItsSlowestPlan(t *testing.T) {
	limit := perTenant()
	limit.Plans["fast"] = &config.LimitPlan{TokenBucket: &config.TokenBucket{Capacity: 1, Refill: config.Rate{Events: 1000, Per: time.Second}}}
	charge := func(plan string, cost int64) []item {
		b, err := newBasket([]Charge{{Limit: limit, Key: []string{"acme"}, Allowance: config.Allowance{Plan: plan}, Cost: cost}}, &knownLimits{})
		if err != nil {
			t.Fatal(err)
		}
		return b.items
	}
	if got := charge("fast", 1)[0].keep; got != day.Microseconds() {
		t.Fatalf("kept for %d µs, want the day in which gold is full", got)
	}
	if plain := perUser("l", 5, ""); longestFill(plain) != 0 {
		t.Errorf("a limit without plans is kept for %d µs", longestFill(plain))
	}
	stale := func(t *testing.T, s store, later func()) {
		if !allowed(t, s, charge("gold", 45)) || !allowed(t, s, charge("fast", 1)) {
			t.Fatal("the first requests are denied")
		}
		later()
		if allowed(t, s, charge("gold", 45)) {
			t.Error("the bucket was forgotten, and is full again")
		}
	}
	t.Run("memory", func(t *testing.T) {
		m, clock := memoryAt(defaultMaxBuckets)
		stale(t, m, func() {
			clock.Add(time.Minute.Microseconds())
			for range 100 {
				for i := range m.shards {
					m.shards[i].sweep(clock.Load())
				}
			}
		})
		clock.Add(2 * day.Microseconds())
		for i := range m.shards {
			m.shards[i].sweep(clock.Load())
		}
		if m.size() != 0 {
			t.Error("the bucket is kept after it is full by every plan")
		}
	})
	t.Run("redis", func(t *testing.T) {
		server := testenv.StartRedis(t)
		r, err := newRedisStore(server.URL(), redisclient.Files{}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.close() })
		stale(t, r, func() {
			left, err := server.Client.PTTL(context.Background(), redisPrefix+"{tenant=acme}:per-tenant").Result()
			if err != nil || left < 23*time.Hour || left > 25*time.Hour {
				t.Errorf("Redis forgets it in %v (%v), want a day", left, err)
			}
		})
	})
}

// The RateLimitService charges by the plan that an Envoy hands on from Check.
func TestServiceTakesPlans(t *testing.T) {
	limit := perTenant()
	client := serve(t, open(t, Settings{}, nil), limit, perUser("by-user", 3, ""), &config.Limit{
		Name: "by-address", Key: []config.KeyPart{config.KeyClientIP}, TokenBucket: limit.TokenBucket,
	})
	for i, c := range []struct {
		entries string
		code    rlsv3.RateLimitResponse_Code
		headers string
		perUnit uint32
	}{
		{"limit=per-tenant tenant=acme plan=gold", ok, "RateLimit-Limit: 50, RateLimit-Remaining: 49", 50},
		{"limit=per-tenant plan=free tenant=acme", ok, "RateLimit-Limit: 2, RateLimit-Remaining: 1", 2},
		{"limit=per-tenant tenant=acme plan=7,9/h", ok, "RateLimit-Limit: 7, RateLimit-Remaining: 0", 9},
		{"limit=per-tenant tenant=acme", overLimit, "RateLimit-Limit: 5, RateLimit-Remaining: 0", 5},
		{"limit=per-tenant tenant=acme plan=", overLimit, "RateLimit-Limit: 5, RateLimit-Remaining: 0", 5},
		{"limit=per-tenant tenant=acme plan=+gold", ok, "RateLimit-Limit: 50, RateLimit-Remaining: 49", 50},
		{"limit=by-user user=alice plan=gold", ok, "RateLimit-Limit: 3, RateLimit-Remaining: 2", 1},
	} {
		r := ask(t, client, request(descriptor(strings.Fields(c.entries)...)))
		if r.GetOverallCode() != c.code || !strings.HasPrefix(headersOf(r), c.headers) || r.GetStatuses()[0].GetCurrentLimit().GetRequestsPerUnit() != c.perUnit {
			t.Errorf("%d: %s: %v %s", i, c.entries, r, headersOf(r))
		}
	}
	for entries, want := range map[string]string{
		"limit=per-tenant tenant=acme plan=0,1/s":        `limit "per-tenant": plan "0,1/s": capacity: must be a number`,
		"limit=per-tenant tenant=acme plan=a|b":          "a name has 1 to 63 letters",
		"limit=per-tenant tenant=acme plan=gold plan=x":  `limit "per-tenant" has no key part "plan"`,
		"limit=by-address clientIP=192.0.2.1 plan=gold":  "tells no customers apart",
		"limit=by-address clientIP=192.0.2.1 plan=9,9/s": "tells no customers apart",
	} {
		_, err := client.ShouldRateLimit(context.Background(), request(descriptor(strings.Fields(entries)...)))
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entries, err, want)
		}
	}
}
