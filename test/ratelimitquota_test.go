package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	rlqsv3 "github.com/envoyproxy/go-control-plane/envoy/service/rate_limit_quota/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestNoEnvoyCanLeaveAQuotaToUs holds what decision 46 is made of: why leases of a limit
// are not given to Envoy's rate_limit_quota filter. When a newer Envoy fails it, what it
// fails of is mended there, and the decision is to be taken anew.
func TestNoEnvoyCanLeaveAQuotaToUs(t *testing.T) {
	t.Parallel()
	q := startQuotas(t)

	// The one thing that could ask: its own shadow mode, with a header for what it would
	// have denied.
	if r := q.get("plain", "alice"); r.Status != http.StatusTooManyRequests {
		t.Errorf("a filter that enforces nothing answers %d, and denied until now", r.Status)
	}

	// The other shadow: a rule whose matching goes on. Of it the first request passes.
	if r := q.get("preview", "alice"); r.Status != http.StatusCreated {
		t.Errorf("the first request of a preview gets %d", r.Status)
	}
	eventually(t, "a preview denies", func() error { return q.answers("preview", "alice", http.StatusTooManyRequests) })

	// A denial that is redirected to be judged again: the answer's own status, which is
	// 201, and the method are lost.
	r := q.send(http.MethodDelete, "redirected", "alice")
	if got := r.Header.Get("Saw"); r.Status != http.StatusOK || got != "GET elsewhere.invalid" {
		t.Errorf("a redirected denial is a %d of %q, and was a 200 of a GET elsewhere until now", r.Status, got)
	}

	// A caller without the property that a bucket is named by is nobody's.
	if r := q.get("nameless", "alice"); r.Status != http.StatusCreated {
		t.Errorf("a request of no bucket gets %d, and passed until now", r.Status)
	}

	// A lease that is spent is not filled by another: that begins as full as it is. (What
	// is given to bob in the same message says that it has come.)
	q.get("plain", "bob")
	q.give(tokensOf("alice", 2), allOf("bob"))
	eventually(t, "the first lease", func() error { return q.answers("plain", "bob", http.StatusCreated) })
	for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusTooManyRequests} {
		if r := q.get("plain", "alice"); r.Status != want {
			t.Fatalf("request %d of a lease of 2 gets %d", i+1, r.Status)
		}
	}
	q.get("plain", "carol")
	q.give(tokensOf("alice", 3), allOf("carol"))
	eventually(t, "the second lease", func() error { return q.answers("plain", "carol", http.StatusCreated) })
	if r := q.get("plain", "alice"); r.Status != http.StatusTooManyRequests {
		t.Errorf("a second lease gives tokens at once: %d", r.Status)
	}
}

// quotas is an Envoy with such a filter, and the service that it reports to.
type quotas struct {
	rlqsv3.UnimplementedRateLimitQuotaServiceServer
	t    *testing.T
	addr string

	mu     sync.Mutex // guards what follows
	known  map[string]bool
	stream rlqsv3.RateLimitQuotaService_StreamRateLimitQuotasServer
}

func startQuotas(t *testing.T) *quotas {
	t.Helper()
	q := &quotas{t: t, addr: testenv.Addr(t), known: map[string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	rlqsv3.RegisterRateLimitQuotaServiceServer(server, q)
	go server.Serve(listener) //nolint:errcheck // it ends with Stop
	t.Cleanup(server.Stop)

	template, err := os.ReadFile("testdata/ratelimitquota.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(q.addr)
	_, service, _ := net.SplitHostPort(listener.Addr().String())
	config := strings.NewReplacer("{{port}}", port, "{{service}}", service).Replace(string(template))
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: []byte(config)})
	eventually(t, "Envoy answers", func() error {
		_, err := try(http.MethodGet, "http://"+q.addr+"/")
		return err
	})
	return q
}

// StreamRateLimitQuotas implements the service: it remembers who is asked for.
func (q *quotas) StreamRateLimitQuotas(stream rlqsv3.RateLimitQuotaService_StreamRateLimitQuotasServer) error {
	for {
		reports, err := stream.Recv()
		if err != nil {
			return err
		}
		q.mu.Lock()
		q.stream = stream
		for _, usage := range reports.GetBucketQuotaUsages() {
			q.known[usage.GetBucketId().GetBucket()["plain"]] = true
		}
		q.mu.Unlock()
	}
}

// give sends assignments, once all whom they are for have been asked for.
func (q *quotas) give(all ...*rlqsv3.RateLimitQuotaResponse_BucketAction) {
	q.t.Helper()
	eventually(q.t, "the buckets are reported", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, a := range all {
			if who := a.GetBucketId().GetBucket()["plain"]; !q.known[who] {
				return fmt.Errorf("nobody has asked for %s", who)
			}
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.stream.Send(&rlqsv3.RateLimitQuotaResponse{BucketAction: all}); err != nil {
		q.t.Fatal(err)
	}
}

// tokensOf lends tokens that do not refill as long as the test lasts.
func tokensOf(who string, n uint32) *rlqsv3.RateLimitQuotaResponse_BucketAction {
	return assignment(who, &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_TokenBucket{TokenBucket: &typev3.TokenBucket{
		MaxTokens: n, TokensPerFill: wrapperspb.UInt32(1), FillInterval: durationpb.New(24 * time.Hour),
	}}})
}

func allOf(who string) *rlqsv3.RateLimitQuotaResponse_BucketAction {
	return assignment(who, &typev3.RateLimitStrategy{Strategy: &typev3.RateLimitStrategy_BlanketRule_{BlanketRule: typev3.RateLimitStrategy_ALLOW_ALL}})
}

func assignment(who string, by *typev3.RateLimitStrategy) *rlqsv3.RateLimitQuotaResponse_BucketAction {
	return &rlqsv3.RateLimitQuotaResponse_BucketAction{
		BucketId: &rlqsv3.BucketId{Bucket: map[string]string{"plain": who}},
		BucketAction: &rlqsv3.RateLimitQuotaResponse_BucketAction_QuotaAssignmentAction_{
			QuotaAssignmentAction: &rlqsv3.RateLimitQuotaResponse_BucketAction_QuotaAssignmentAction{
				AssignmentTimeToLive: durationpb.New(time.Hour), RateLimitStrategy: by,
			},
		},
	}
}

// get asks as a caller, in one of the ways of testdata/ratelimitquota.yaml.
func (q *quotas) get(way, who string) reply { return q.send(http.MethodGet, way, who) }

func (q *quotas) send(method, way, who string) reply {
	q.t.Helper()
	r, err := try(method, "http://"+q.addr+"/", header{way, who})
	if err != nil {
		q.t.Fatal(err)
	}
	return r
}

func (q *quotas) answers(way, who string, want int) error {
	if r := q.get(way, who); r.Status != want {
		return fmt.Errorf("%d", r.Status)
	}
	return nil
}
