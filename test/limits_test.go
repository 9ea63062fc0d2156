package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const limited = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `limits:
  five-a-day: {key: [user], tokenBucket: {capacity: 5, refill: 1/d}}
  ten-a-day: {key: [user], tokenBucket: {capacity: 10, refill: 1/d}}
  one-a-second: {key: [clientIP, route], tokenBucket: {capacity: 1, refill: 1/s}}
  by-region: {key: ["header:X-Region"], tokenBucket: {capacity: 2, refill: 1/d}}
  fleet: {key: [clientIP], tokenBucket: {capacity: 50, refill: 10/s}}
routes:
  - {name: user, match: {path: /user}, auth: {anyOf: [{jwt: main}]}, limits: [five-a-day], to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {anyOf: [{jwt: main}]}, limits: [five-a-day, ten-a-day], to: [{backend: app}]}
  - {name: ten, match: {path: /ten}, auth: {anyOf: [{jwt: main}]}, limits: [ten-a-day], to: [{backend: app}]}
  - {name: second, match: {path: /second}, auth: public, limits: [one-a-second], to: [{backend: app}]}
  - {name: region, match: {path: /region}, auth: public, limits: [by-region], to: [{backend: app}]}
  - {name: fleet, match: {path: /fleet}, auth: public, limits: [fleet], to: [{backend: app}]}
  - {name: answer, match: {path: /answer}, auth: public, limits: [by-region], respond: {status: 200, body: "yes\n"}}
  - {name: moved, match: {path: /moved}, auth: public, limits: [by-region], redirect: {path: /answer}}
`

// stores are the two places where limits are counted. What follows is the same
// for both.
var stores = map[string]func(*testing.T) []string{
	"memory": func(*testing.T) []string { return nil },
	"redis":  func(t *testing.T) []string { return []string{"GATEWRIGHT_REDIS_URL=" + testenv.StartRedis(t).URL()} },
}

// onEachStore runs a story with a gateway of its own on each store.
func onEachStore(t *testing.T, story func(t *testing.T, g *gateway, token func(sub string) header)) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), backend(t, "app")
			g := start(t, setup{config: limited, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
			story(t, g, func(sub string) header { return bearer(token(t, p, "sub="+sub)) })
		})
	}
}

// TestOneTooMany: a caller has what the limit says, is told how much is left
// and when to come back, and takes nothing from others.
func TestOneTooMany(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, token func(string) header) {
		url := g.url("public", "/user")
		alice, bob := token("alice"), token("bob")
		for left := 4; left >= 0; left-- {
			r := get(t, url, alice).ok(t)
			if got := r.Header.Get("RateLimit-Remaining"); got != strconv.Itoa(left) || r.Header.Get("RateLimit-Limit") != "5" {
				t.Errorf("RateLimit-Remaining %q of %q, want %d of 5", got, r.Header.Get("RateLimit-Limit"), left)
			}
		}
		r := get(t, url, alice)
		r.denied(t, 429, "rate-limited")
		after, err := strconv.Atoi(r.Header.Get("Retry-After"))
		if err != nil || after < 86_300 || after > 86_400 {
			t.Errorf("Retry-After %q, want the day less what has passed of it", r.Header.Get("Retry-After"))
		}
		get(t, url, bob).ok(t)
		eventually(t, "the denial is logged", func() error {
			for _, line := range g.accessLog() {
				if line["status"] == 429.0 && line["reason"] == "rate-limited" && line["limit"] == "five-a-day" && line["user"] == "alice" {
					return nil
				}
			}
			return fmt.Errorf("no such line")
		})
	})
}

// TestAllLimitsOrNone: what one limit denies, the others are not charged for.
func TestAllLimitsOrNone(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, token func(string) header) {
		alice := token("alice")
		for range 5 {
			get(t, g.url("public", "/both"), alice).ok(t)
		}
		for range 7 {
			get(t, g.url("public", "/both"), alice).denied(t, 429, "rate-limited")
		}
		for range 5 { // ten less the five that passed
			get(t, g.url("public", "/ten"), alice).ok(t)
		}
		get(t, g.url("public", "/ten"), alice).denied(t, 429, "rate-limited")
	})
}

// TestRetryAfterKeepsItsWord: not before that time, and at that time.
func TestRetryAfterKeepsItsWord(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, _ func(string) header) {
		url := g.url("public", "/second")
		began := time.Now()
		get(t, url).ok(t)
		r := get(t, url)
		r.denied(t, 429, "rate-limited")
		if r.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q, want 1", r.Header.Get("Retry-After"))
		}
		eventually(t, "it passes again", func() error {
			if r := get(t, url); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
		if waited := time.Since(began); waited < time.Second {
			t.Errorf("passed after %v, a second too early for 1/s", waited)
		}
	})
}

// TestBothDoorsLeadToOneBucket: a caller's requests count together, whether
// Check is asked for the limit or Envoy's own ratelimit filter.
func TestBothDoorsLeadToOneBucket(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, token func(string) header) {
		alice := token("alice")
		for i := range 5 {
			get(t, g.url([]string{"public", "filtered"}[i%2], "/user"), alice).ok(t)
		}
		for _, door := range []string{"public", "filtered"} {
			r := get(t, g.url(door, "/user"), alice)
			r.denied(t, 429, "rate-limited")
			if r.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", door)
			}
		}
		get(t, g.url("filtered", "/user"), token("bob")).ok(t)
		get(t, g.url("filtered", "/user")).denied(t, 401, "credential-missing")
	})
}

// TestKeysOfLimits: a header's value, no header and an empty one, and a header
// that two readers could read differently.
func TestKeysOfLimits(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, _ func(string) header) {
		for _, door := range []string{"public", "filtered"} {
			url := g.url(door, "/region")
			eu := header{"X-Region", "eu-" + door}
			get(t, url, eu).ok(t)
			get(t, url, eu).ok(t)
			get(t, url, eu).denied(t, 429, "rate-limited")
			get(t, url, header{"X-Region", "us-" + door}).ok(t)
			get(t, url, eu, header{"X-Region", "us"}).denied(t, 400, "duplicate-header")
			get(t, url, header{"X-Region", "\xff\xfe"}).denied(t, 400, "malformed-header")
		}
		get(t, g.url("public", "/region")).ok(t)
		get(t, g.url("filtered", "/region")).ok(t)
		get(t, g.url("public", "/region")).denied(t, 429, "rate-limited")
		get(t, g.url("filtered", "/region")).denied(t, 429, "rate-limited")
	})
}

// TestAnswersWithoutABackendAreCounted: Envoy's filter knows no limits of routes
// that answer by themselves, so on its listener Check counts those.
func TestAnswersWithoutABackendAreCounted(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, _ func(string) header) {
		for _, door := range []string{"public", "filtered"} {
			region := header{"X-Region", "answers-" + door}
			get(t, g.url(door, "/answer"), region).ok(t)
			if r := get(t, g.url(door, "/moved"), region); r.Status != http.StatusFound {
				t.Errorf("%s: %v", door, errStatus(r))
			}
			get(t, g.url(door, "/answer"), region).denied(t, 429, "rate-limited")
			get(t, g.url(door, "/moved"), region).denied(t, 429, "rate-limited")
		}
	})
}

// TestTwoGatewaysOnOneRedis: together they admit no more than the capacity and
// what was refilled meanwhile.
func TestTwoGatewaysOnOneRedis(t *testing.T) {
	t.Parallel()
	redis, p, app := testenv.StartRedis(t), idp(t), backend(t, "app")
	both := make([]*gateway, 2)
	for i := range both {
		both[i] = start(t, setup{
			config: limited, env: []string{"GATEWRIGHT_REDIS_URL=" + redis.URL()},
			values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()},
		})
	}
	const capacity, refill, duration = 50, 10, 3 * time.Second
	var admitted, other atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for worker := range 8 {
		url := both[worker%2].url("public", "/fleet")
		wg.Go(func() {
			for time.Since(began) < duration {
				switch r, err := try(http.MethodGet, url); {
				case err == nil && r.Status == http.StatusOK:
					admitted.Add(1)
				case err != nil || r.Status != http.StatusTooManyRequests:
					other.Add(1)
				}
			}
		})
	}
	wg.Wait()
	most := capacity + int64(refill*time.Since(began).Seconds()) + 1
	least := capacity + int64(refill*duration.Seconds()) - refill
	if n := admitted.Load(); n > most || n < least {
		t.Errorf("%d were admitted, want between %d and %d", n, least, most)
	}
	if other.Load() > 0 {
		t.Errorf("%d requests were neither admitted nor limited", other.Load())
	}
	for _, g := range both {
		if !strings.Contains(g.metrics(), "\ngatewright_ratelimit_store_errors_total 0\n") {
			t.Error("a gateway counted alone for a while, so the test proved nothing")
		}
	}
}

// TestRedisDies: no request fails for it; each gateway goes on alone, and with
// Redis again when it is back.
func TestRedisDies(t *testing.T) {
	t.Parallel()
	redis, p, app := testenv.StartRedis(t), idp(t), backend(t, "app")
	g := start(t, setup{
		config: limited, env: []string{"GATEWRIGHT_REDIS_URL=" + redis.URL()},
		values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()},
	})
	alice := bearer(token(t, p, "sub=alice"))
	url := g.url("public", "/user")
	for range 5 {
		get(t, url, alice).ok(t)
	}
	get(t, url, alice).denied(t, 429, "rate-limited")
	redis.Kill()
	for range 5 { // onStoreFailure: local, with a full bucket
		get(t, url, alice).ok(t)
	}
	get(t, url, alice).denied(t, 429, "rate-limited")
	redis.Start()
	eventually(t, "Redis is used again", func() error {
		if !strings.Contains(g.metrics(), "\ngatewright_ratelimit_store_up 1\n") {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	// Redis lost its state with its process, and is told what she has used up meanwhile.
	get(t, url, alice).denied(t, 429, "rate-limited")
	get(t, url, bearer(token(t, p, "sub=bob"))).ok(t)
}
