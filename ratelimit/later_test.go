package ratelimit

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
	"github.com/gatewright/gatewright/internal/unary"
)

// serveLater serves a service as Gatewright's port does, which leaves requests to
// Redis, and returns a real client of it.
func serveLater(t *testing.T, s *Service) rlsv3.RateLimitServiceClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := unary.New(unary.Options{Panicked: func(method string, fault any) { t.Errorf("%s panicked: %v", method, fault) }})
	server.Handle(rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, s.Answer)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { server.Serve(conn, nil) })
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = listener.Close()
		server.Stop()
		serving.Wait()
	})
	return rlsv3.NewRateLimitServiceClient(conn)
}

func serviceOf(l *Limiter, limits ...*config.Limit) *Service {
	byName := map[string]*config.Limit{}
	for _, limit := range limits {
		byName[limit.Name] = limit
	}
	return NewService(l, func(name string) *config.Limit { return byName[name] })
}

// atOnce makes so many requests at the same time, and counts their outcomes: codes of
// the answer, or of gRPC.
func atOnce(c rlsv3.RateLimitServiceClient, n int, r func(i int) *rlsv3.RateLimitRequest) map[string]int {
	outcomes := make(chan string, n)
	for i := range n {
		go func() {
			response, err := c.ShouldRateLimit(context.Background(), r(i))
			if err != nil {
				outcomes <- status.Code(err).String()
			} else {
				outcomes <- response.GetOverallCode().String()
			}
		}()
	}
	counts := map[string]int{}
	for range n {
		counts[<-outcomes]++
	}
	return counts
}

// What is left to Redis is answered as what waits for it: the same limits, the same
// words, and to the request the same count.
func TestLeftRequestsAreDecidedAlike(t *testing.T) {
	t.Parallel()
	l := open(t, Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: 10 * time.Second}, nil)
	limits := byUserAndTenant(10, 100)
	shadow := perUser("shadow", 5, config.FailLocal)
	shadow.Mode = config.ModeShadow
	leased := perUser("leased", 20, config.FailLocal)
	leased.Consistency = config.Lease
	s := serviceOf(l, append(limits, shadow, leased)...)
	later, waiting := serveLater(t, s), serve(t, l, append(limits, shadow, leased)...)
	for name, r := range map[string]func(user string) *rlsv3.RateLimitRequest{
		"one limit": func(u string) *rlsv3.RateLimitRequest { return request(descriptor("limit=per-user", "user="+u)) },
		"two limits": func(u string) *rlsv3.RateLimitRequest {
			return request(descriptor("limit=per-user", "user="+u), descriptor("limit=per-tenant", "tenant="+u))
		},
		"in shadow":  func(u string) *rlsv3.RateLimitRequest { return request(descriptor("limit=shadow", "user="+u)) },
		"of a lease": func(u string) *rlsv3.RateLimitRequest { return request(descriptor("limit=leased", "user="+u)) },
		"no limit":   func(string) *rlsv3.RateLimitRequest { return request(descriptor("limit=none")) },
		"nothing":    func(string) *rlsv3.RateLimitRequest { return request() },
		"two of them": func(u string) *rlsv3.RateLimitRequest {
			return request(descriptor("limit=leased", "user="+u), descriptor("limit=per-user", "user="+u))
		},
	} {
		for n := range 12 {
			got, err := later.ShouldRateLimit(context.Background(), r("left to Redis, "+name))
			want, wanted := waiting.ShouldRateLimit(context.Background(), r("waited for, "+name))
			if status.Code(err) != status.Code(wanted) || got.GetOverallCode() != want.GetOverallCode() || len(got.GetStatuses()) != len(want.GetStatuses()) {
				t.Fatalf("%s, request %d: %v, %v; want %v, %v", name, n, got, err, want, wanted)
			}
			for i, s := range got.GetStatuses() {
				if w := want.GetStatuses()[i]; s.GetCode() != w.GetCode() || s.GetCurrentLimit().GetName() != w.GetCurrentLimit().GetName() ||
					s.GetLimitRemaining() != w.GetLimitRemaining() && name != "of a lease" && name != "two of them" { // shares are taken in the background
					t.Errorf("%s, request %d, descriptor %d: %v, want %v", name, n, i, s, w)
				}
			}
			if got, want := len(got.GetResponseHeadersToAdd()), len(want.GetResponseHeadersToAdd()); got != want {
				t.Errorf("%s, request %d: %d headers, want %d", name, n, got, want)
			}
		}
	}
	counts := atOnce(later, 300, func(i int) *rlsv3.RateLimitRequest {
		return request(descriptor("limit=per-user", fmt.Sprint("user=", i)), descriptor("limit=per-tenant", "tenant=acme"))
	})
	if counts["OK"] != 100 || counts["OVER_LIMIT"] != 200 {
		t.Errorf("of 300 requests at once for a limit of 100: %v", counts)
	}
}

// Rules of envoyproxy/ratelimit's files, the same.
func TestLeftQuestionsAreDecidedAlike(t *testing.T) {
	t.Parallel()
	l := open(t, Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: 10 * time.Second}, nil)
	rules, err := NewRules(ruleDefaults, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.Set(tableOf(t, "domain: d\ndescriptors:\n- key: user\n  rate_limit: {unit: year, requests_per_unit: 50}\n- key: free\n  rate_limit: {unlimited: true}\n")); err != nil {
		t.Fatal(err)
	}
	s := serviceOf(l)
	s.Rules = rules
	client := serveLater(t, s)
	counts := atOnce(client, 200, func(int) *rlsv3.RateLimitRequest {
		return inDomain("d", descriptor("other=x"), descriptor("user=alice"), descriptor("free=x"))
	})
	if counts["OK"] != 50 || counts["OVER_LIMIT"] != 150 {
		t.Errorf("of 200 requests at once for a limit of 50: %v", counts)
	}
	if counts := atOnce(client, 1, func(int) *rlsv3.RateLimitRequest { return inDomain("d", descriptor("free=x")) }); counts["OK"] != 1 {
		t.Errorf("what has no limit: %v", counts)
	}
}

// In a cluster, whatever the slots: all or none.
func TestLeftRequestsInACluster(t *testing.T) {
	t.Parallel()
	l := open(t, Settings{RedisURL: testenv.StartRedisCluster(t, 5*time.Second).URL(), RedisTimeout: 10 * time.Second}, nil)
	client := serveLater(t, serviceOf(l, byUserAndTenant(1000, 100)...))
	counts := atOnce(client, 300, func(i int) *rlsv3.RateLimitRequest {
		return request(descriptor("limit=per-user", fmt.Sprint("user=", i%40)), descriptor("limit=per-tenant", "tenant=acme"))
	})
	if counts["OK"] != 100 || counts["OVER_LIMIT"] != 200 {
		t.Errorf("of 300 requests at once, in several slots, for a limit of 100: %v", counts)
	}
	counts = atOnce(client, 3000, func(i int) *rlsv3.RateLimitRequest {
		return request(descriptor("limit=per-tenant", fmt.Sprint("tenant=", i%20)))
	})
	if counts["OK"] != 20*100 || counts["OVER_LIMIT"] != 1000 {
		t.Errorf("of 3000 requests at once for 20 limits of 100: %v", counts)
	}
}

// No goroutine waits with a request that is left to Redis. When Redis does not answer,
// each is decided by its limit's onStoreFailure, and when it is back, by Redis.
func TestLeftRequestsWithoutRedis(t *testing.T) {
	const n, timeout = 600, 4 * time.Second
	server := testenv.StartRedis(t)
	proxy := testenv.StartSlow(t, server.Addr)
	l := open(t, Settings{RedisURL: "redis://" + proxy.Addr, RedisTimeout: timeout}, nil)
	client := serveLater(t, serviceOf(l,
		perUser("local", 100, config.FailLocal), perUser("allow", 1, config.FailAllow), perUser("deny", 1000, config.FailDeny)))
	ask := func(i int) *rlsv3.RateLimitRequest {
		return request(descriptor("limit="+[]string{"local", "allow", "deny"}[i%3], "user=alice"))
	}
	if counts := atOnce(client, 3, ask); counts["OK"] != 3 {
		t.Fatalf("with Redis: %v", counts)
	}
	proxy.Delay(time.Hour)
	before := runtime.NumGoroutine()
	var outcomes map[string]int
	var ended atomic.Bool
	begin := time.Now()
	var asked sync.WaitGroup
	asked.Go(func() { outcomes = atOnce(client, n, ask); ended.Store(true) })
	waitFor(t, "all requests to wait", func() bool {
		l.shared.only.mu.Lock()
		defer l.shared.only.mu.Unlock()
		return len(l.shared.only.queue) >= n-mostTogether || ended.Load()
	})
	// The clients have a goroutine each, and the server some in all.
	if more := runtime.NumGoroutine() - before; !ended.Load() && more > n+n/4 {
		t.Errorf("%d goroutines more for %d clients and their requests", more, n)
	}
	asked.Wait()
	if took := time.Since(begin); took > timeout*7/4 {
		t.Errorf("they took %v, with a timeout of %v", took, timeout)
	}
	// Of the local ones, one instance has all of the limit.
	if want := map[string]int{"OK": 100 + n/3, "OVER_LIMIT": n/3 - 100, "Unavailable": n / 3}; fmt.Sprint(outcomes) != fmt.Sprint(want) {
		t.Errorf("without Redis: %v, want %v", outcomes, want)
	}
	if _, err := client.ShouldRateLimit(context.Background(), ask(2)); status.Code(err) != codes.Unavailable {
		t.Errorf("while the lane is down: %v", err)
	}
	proxy.Delay(0)
	waitFor(t, "Redis to decide again", func() bool {
		r, err := client.ShouldRateLimit(context.Background(), ask(2))
		return err == nil && r.GetOverallCode() == ok
	})
}
