package limitxds

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/gatewright/gatewright/internal/limitfiles"
	"github.com/gatewright/gatewright/internal/testenv"
)

func isNACK(r *discoveryv3.DiscoveryRequest) bool { return r.GetErrorDetail() != nil }

// accepts waits until a version is accepted.
func accepts(t testing.TB, s *testenv.EnvoyGateway, version string) {
	t.Helper()
	eventually(t, "version "+version+" is accepted", func() bool {
		got, _ := s.Requests(func(r *discoveryv3.DiscoveryRequest) bool {
			return r.GetVersionInfo() == version && r.GetResponseNonce() != "" && !isNACK(r)
		})
		return len(got) > 0
	})
}

// follower is a Client that follows, and what it serves.
type follower struct {
	*Client
	t testing.TB

	mu    sync.Mutex // guards the rest
	table *limitfiles.Table
	err   error // of what was taken last
	taken int
}

func options(addr string) Options {
	return Options{
		Settings: Settings{Server: addr, NodeID: testenv.EnvoyGatewayNode},
		Log:      slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

// follow starts a client, which change may change before.
func follow(t testing.TB, o Options, change ...func(*Client)) *follower {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{Client: c, t: t}
	c.longestPause = 2 * firstPause / 5
	for _, one := range change {
		one(c)
	}
	if err := c.Restore(f.take); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = c.Follow(ctx, f.take) })
	t.Cleanup(func() { cancel(); following.Wait() })
	return f
}

func (f *follower) take(table *limitfiles.Table, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken++
	if f.err = err; err == nil {
		f.table = table
	}
	return err
}

// limit is the limit of a descriptor: 0 where there is none.
func (f *follower) limit(domain string, entries ...string) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rule := limitfiles.Find(f.table, domain, pairs(entries)); rule != nil {
		return rule.Requests
	}
	return 0
}

func (f *follower) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

// has waits until a descriptor has a limit.
func (f *follower) has(want uint32, domain string, entries ...string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%v of %s has the limit %d", entries, domain, want), func() bool { return f.limit(domain, entries...) == want })
}

type entry struct{ key, value string }

func (e entry) GetKey() string   { return e.key }
func (e entry) GetValue() string { return e.value }

// pairs are entries of keys and values.
func pairs(of []string) (out []entry) {
	for two := range slices.Chunk(of, 2) {
		out = append(out, entry{two[0], two[1]})
	}
	return out
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// of is a domain with a limit for one key, in a resource of the same name.
func of(domain, key string, requests uint32) *rlsconfv3.RateLimitConfig {
	return &rlsconfv3.RateLimitConfig{Name: domain, Domain: domain, Descriptors: []*rlsconfv3.RateLimitDescriptor{{
		Key: key, RateLimit: &rlsconfv3.RateLimitPolicy{Unit: rlsconfv3.RateLimitUnit_HOUR, RequestsPerUnit: requests},
	}}}
}

// listen serves at a free port.
func listen(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return l.Addr().String()
}
