package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/testenv"
)

const unjudged = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
routes:
  - {name: hello, match: {path: /hello}, auth: public, respond: {status: 200, body: hello}}
`

// watchedEnvoy is an Envoy of one's own, whose admin port a test may ask.
type watchedEnvoy struct {
	t     testing.TB
	admin string
	pid   int
}

func startWatchedEnvoy(t testing.TB, g *gateway) *watchedEnvoy {
	t.Helper()
	e := &watchedEnvoy{t: t, admin: testenv.Addr(t)}
	e.pid = testenv.StartEnvoy(t, testenv.EnvoyRun{Config: g.run("bootstrap", "--admin", e.admin), Stderr: g.stderr}).Pid
	g.serves("/hello")
	return e
}

// stat is a number that Envoy counts.
func (e *watchedEnvoy) stat(name string) (sum int) {
	e.t.Helper()
	resp, err := http.Get("http://" + e.admin + "/stats?filter=" + name)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m): (\d+)$`).FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[1])) // digits
		sum += n
	}
	return sum
}

// resident is the memory that a process has.
func resident(t testing.TB, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// greet sends requests from several clients, all of which must be answered well.
func greet(t testing.TB, g *gateway, requests int) {
	t.Helper()
	greetBy(t, g, requests, "/hello")
}

// greetBy is greet by another spelling of its path.
func greetBy(t testing.TB, g *gateway, requests int, path string) {
	t.Helper()
	var all sync.WaitGroup
	var failed atomic.Int64
	const clients = 16
	for range clients {
		all.Go(func() {
			for range requests / clients {
				if r, err := try(http.MethodGet, g.url("public", path)); err != nil || r.Status != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, requests)
	}
}

// toldAgain waits until a request that is made now is counted.
func toldAgain(t testing.TB, g *gateway) {
	t.Helper()
	before := g.helloes()
	eventually(t, "outcomes are told again", func() error {
		get(t, g.url("public", "/hello")).ok(t)
		if n := g.helloes(); n <= before {
			return fmt.Errorf("%d requests counted, as before", n)
		}
		return nil
	})
}

// helloes is how many requests are counted.
func (g *gateway) helloes() int {
	g.t.Helper()
	m := regexp.MustCompile(`gatewright_requests_total\{backend="",code="200",route="hello"\} (\d+)`).FindStringSubmatch(g.metrics())
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return n
}

// mostOfLogs is the memory that outcomes which nobody takes may cost an Envoy: its
// buffer of 64 KiB, what it has for a connection, and what its allocator makes of that.
const mostOfLogs = 24 << 20

// TestStoppedStreamHurtsNoRequest: a gateway that stands still takes no outcomes. Envoy
// throws them away, counts that, and answers every request; and when the gateway goes on, or
// comes back after it was killed, it is told again.
func TestStoppedStreamHurtsNoRequest(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: unjudged, serve: true})
	g.waitReady()
	e := startWatchedEnvoy(t, g)
	greet(t, g, 4000)
	eventually(t, "all are counted", func() error {
		if n := g.helloes(); n < 4000 {
			return fmt.Errorf("%d so far", n)
		}
		return nil
	})
	before := resident(t, e.pid)

	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// What Envoy and both ends of the connection can hold is less than so many. They are
	// long, so that it is full before Envoy gives the connection up, after 15 s.
	long := "/hello?" + strings.Repeat("x", 8<<10)
	for sent := 0; e.stat("access_logs.*logs_dropped") == 0; sent += 1000 {
		if sent >= 100_000 {
			t.Fatalf("Envoy has thrown none of %d outcomes away", sent)
		}
		greetBy(t, g, 1000, long)
	}
	greet(t, g, 8000)
	if grown := resident(t, e.pid) - before; grown > mostOfLogs {
		t.Errorf("Envoy has grown by %d KiB", grown>>10)
	}
	if err := g.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	toldAgain(t, g)

	g.kill()
	greet(t, g, 4000)
	g.launch("serve")
	g.waitReady()
	toldAgain(t, g)
	if grown := resident(t, e.pid) - before; grown > mostOfLogs {
		t.Errorf("Envoy has grown by %d KiB", grown>>10)
	}
}

// TestHostileLogsCostNobodyElse: of a peer that sends what is no access log, by many
// streams at once, nothing is left but a count; the outcomes of others go on, and memory
// is bounded.
func TestHostileLogsCostNobodyElse(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: unjudged, serve: true})
	g.waitReady()
	startWatchedEnvoy(t, g)
	conn, err := grpc.NewClient(g.grpcAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := resident(t, g.cmd.Process.Pid)
	junk := raw(strings.Repeat("\x12\xff\x7f\x0a\x80", 50_000)) // logs that say to be longer than they are
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			stream, err := conn.NewStream(ctx, &accesslogv3.AccessLogService_ServiceDesc.Streams[0],
				accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, grpc.ForceCodecV2(asIs{}))
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				if err := stream.SendMsg(&junk); err != nil {
					t.Errorf("the stream was ended: %v", stream.RecvMsg(new(raw)))
					return
				}
			}
		})
	}
	all.Wait()
	eventually(t, "all are counted", func() error {
		if !strings.Contains(g.metrics(), "gatewright_outcomes_unread_total 1000\n") {
			return errors.New(only(g.metrics(), "gatewright_outcomes_unread_total"))
		}
		return nil
	})
	toldAgain(t, g)
	// The heap may grow to 128 MiB before it is collected (package heap), and has twice
	// that at most.
	if grown := resident(t, g.cmd.Process.Pid) - before; grown > 256<<20 {
		t.Errorf("the gateway has grown by %d MiB", grown>>20)
	}
	// One that is longer than any log ends its stream, and no other.
	stream, err := conn.NewStream(ctx, &accesslogv3.AccessLogService_ServiceDesc.Streams[0],
		accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, grpc.ForceCodecV2(asIs{}))
	if err != nil {
		t.Fatal(err)
	}
	huge := raw(make([]byte, 65<<20))
	_ = stream.SendMsg(&huge) // RecvMsg says why
	if err := stream.RecvMsg(new(raw)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of 65 MiB: %v", err)
	}
	toldAgain(t, g)
}

// TestRefusedOutcomesHurtNoRequest: whoever is to take the log of an Envoy knows nothing
// of it, ends each stream at once, takes streams and reads nothing, breaks connections off,
// or is not there. Requests, which are judged meanwhile, all pass.
func TestRefusedOutcomesHurtNoRequest(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	var serve atomic.Pointer[grpc.StreamHandler]
	socket := filepath.Join(testenv.ShortDir(t), "logs")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	taker := grpc.NewServer(grpc.UnknownServiceHandler(func(srv any, stream grpc.ServerStream) error {
		opened.Add(1)
		return (*serve.Load())(srv, stream)
	}))
	done := make(chan error, 1)
	go func() { done <- taker.Serve(listener) }()
	t.Cleanup(func() {
		taker.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	ends := func(code codes.Code) grpc.StreamHandler {
		return func(any, grpc.ServerStream) error { return status.Error(code, "no") }
	}
	takers := []grpc.StreamHandler{
		ends(codes.Unimplemented),
		ends(codes.ResourceExhausted),
		func(_ any, stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return nil
		},
	}
	serve.Store(&takers[0])
	g, _ := startAttachedTelling(t, socket)
	greets := func(what string, least time.Duration) {
		t.Helper()
		stop := load(g.url("raw", "/public/a"))
		time.Sleep(least)
		if sent, failures := stop(); len(failures) > 0 || sent == 0 {
			t.Errorf("%s: %d of %d requests failed: %s", what, len(failures), sent, failures[:min(len(failures), 1)])
		}
	}
	const long = 10 * 50 * time.Millisecond // ten flushes
	for i := range takers {
		serve.Store(&takers[i])
		before := opened.Load()
		eventually(t, "a stream is opened", func() error {
			greets(fmt.Sprintf("taker %d", i), long)
			if opened.Load() == before {
				return errors.New("none is")
			}
			return nil
		})
		greets(fmt.Sprintf("taker %d", i), long)
	}
	taker.Stop()
	greets("nobody listens", long)
}
