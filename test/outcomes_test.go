package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

// outcomeTap stands before the gateway's gRPC port, and reads the access logs that
// pass as the gateway does.
type outcomeTap struct {
	t          testing.TB
	addr       string
	judgeFails atomic.Bool

	mu  sync.Mutex // guards all
	all []outcome.Outcome
}

// tapOutcomes starts one before a gateway that runs without an Envoy.
func tapOutcomes(t testing.TB, g *gateway) *outcomeTap {
	t.Helper()
	conn, err := grpc.NewClient(g.grpcAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &outcomeTap{t: t, addr: listener.Addr().String()}
	server := grpc.NewServer(grpc.ForceServerCodecV2(asIs{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		switch method, _ := grpc.MethodFromServerStream(stream); method {
		case accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName:
			return handOn(tapped{stream, tap, &outcome.Reader{}}, conn)
		case authv3.Authorization_Check_FullMethodName:
			if tap.judgeFails.Load() {
				return status.Error(codes.Unavailable, "not now")
			}
		}
		return handOn(stream, conn)
	}))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		conn.Close()
	})
	return tap
}

// tapped is a stream of access logs.
type tapped struct {
	grpc.ServerStream
	tap    *outcomeTap
	reader *outcome.Reader
}

// RecvMsg reads what passes.
func (s tapped) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if err := s.reader.Read(string(*m.(*raw)), s.tap.add); err != nil {
		s.tap.t.Errorf("an access log of Envoy's: %v", err)
	}
	return nil
}

func (tap *outcomeTap) add(o outcome.Outcome) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.all = append(tap.all, o)
}

// of are the outcomes of a route so far.
func (tap *outcomeTap) of(route string) (all []outcome.Outcome) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for _, o := range tap.all {
		if o.Route == route {
			all = append(all, o)
		}
	}
	return all
}

// ended waits for outcomes of a route, and returns the last.
func (tap *outcomeTap) ended(t testing.TB, route string, n int) outcome.Outcome {
	t.Helper()
	var all []outcome.Outcome
	eventually(t, fmt.Sprintf("%d outcomes of %s are told", n, route), func() error {
		if all = tap.of(route); len(all) < n {
			return fmt.Errorf("%d so far", len(all))
		}
		return nil
	})
	if len(all) != n {
		t.Errorf("%s: %d outcomes, want %d", route, len(all), n)
	}
	return all[n-1]
}

const ends = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  other: {endpoints: ["{{.app}}"]}
  rude: {endpoints: ["{{.rude}}"]}
  gone: {endpoints: ["{{.gone}}"]}
  narrow: {endpoints: ["{{.app}}"], connections: {maxRequests: 1, maxPending: 1}}
  nobody: {endpoints: ["nobody.invalid:80"], breaker: {}} # told of though nobody is there to be asked
  health: {endpoints: ["{{.health}}"], protocol: grpc}
  chat: {endpoints: ["{{.chat}}"]}
auth:
  apiKey: {keys: {}}
limits:
  once: {key: [route], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - {name: up, match: {path: /public/up}, auth: public, respond: {status: 200, body: up}}
  - {name: fine, match: {path: /fine}, auth: public, to: [{backend: app}]}
  - {name: failed, match: {path: /failed}, auth: public, to: [{backend: app}]}
  - {name: refused, match: {path: /refused}, auth: public, to: [{backend: gone}]}
  - {name: reset, match: {path: /reset}, auth: public, to: [{backend: rude}]}
  - {name: broken, match: {path: /broken}, auth: public, to: [{backend: rude}]}
  - {name: noise, match: {path: /noise}, auth: public, to: [{backend: rude}]}
  - {name: slow, match: {path: /slow}, auth: public, to: [{backend: app}], timeout: 300ms}
  - {name: tries, match: {path: /tries}, auth: public, to: [{backend: app}], retry: {attempts: 2, on: [5xx], perTryTimeout: 200ms, backoff: {base: 1ms}}}
  - {name: retried, match: {path: /retried}, auth: public, to: [{backend: app}], retry: {attempts: 2, on: [5xx], backoff: {base: 1ms}}}
  - {name: helped, match: {path: /helped}, auth: public, to: [{backend: rude}], retry: {attempts: 2, on: [5xx], backoff: {base: 1ms}}}
  - {name: left, match: {path: /left}, auth: public, to: [{backend: app}]}
  - {name: leaving, match: {path: /leaving}, auth: public, to: [{backend: rude}]}
  - {name: stalled, match: {path: /stalled}, auth: public, to: [{backend: rude}], idleTimeout: 300ms}
  - {name: quiet, match: {path: /quiet}, auth: public, to: [{backend: rude}], idleTimeout: 300ms}
  - {name: keyed, match: {path: /keyed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: keyless, match: {path: /keyless}, auth: {anyOf: [{apiKey: keys, permissions: [all]}]}, to: [{backend: app}]}
  - {name: limited, match: {path: /limited}, auth: public, limits: [once], to: [{backend: app}]}
  - {name: unjudged, match: {path: /unjudged}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: nobody, match: {path: /nobody}, auth: public, to: [{backend: nobody}]}
  - {name: narrow, match: {path: /narrow}, auth: public, to: [{backend: narrow}]}
  - {name: ours, match: {path: /ours}, auth: public, respond: {status: 500, body: ours}}
  - {name: mirrored, match: {path: /mirrored}, auth: public, to: [{backend: app}], mirror: {backend: other, percent: 100}}
  - {name: calls, match: {grpc: {service: grpc.health.v1.Health}}, auth: public, to: [{backend: health}], timeout: 24h}
  - {name: chat, match: {path: /chat}, auth: public, to: [{backend: chat}], upgrades: [websocket], timeout: 300ms}
`

// rude is a backend that breaks off in the way that the path says.
func rude(t testing.TB) string {
	t.Helper()
	var helped atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/helped":
			if helped.Add(1) == 1 {
				w.WriteHeader(http.StatusBadGateway)
			}
			return
		case "/quiet": // no answer at all
			<-r.Context().Done()
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		switch r.URL.Path {
		case "/broken":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			time.Sleep(50 * time.Millisecond) // so that the headers go on before the end is seen
		case "/leaving", "/stalled":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			_, _ = io.Copy(io.Discard, conn) // until Envoy closes it
		case "/noise":
			fmt.Fprint(conn, "this is no HTTP\r\n\r\n")
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// grpcAddr is where a gateway listens for Envoys.
func (g *gateway) grpcAddr() string {
	for _, pair := range g.env {
		if addr, ok := strings.CutPrefix(pair, "GATEWRIGHT_GRPC_ADDR="); ok {
			return addr
		}
	}
	g.t.Fatal("no GATEWRIGHT_GRPC_ADDR")
	return ""
}

// TestHowRequestsEnd: what Envoy's access log says of each way in which a request can
// end, and what is made of it: whose fault it was, above all.
func TestHowRequestsEnd(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := launch(t, setup{config: ends, serve: true, values: map[string]string{
		"app": app.Addr(), "rude": rude(t), "gone": testenv.Addr(t), "chat": chat(t),
		"health": healthService(t, healthv1.HealthCheckResponse_SERVING),
	}})
	g.waitReady()
	tap := tapOutcomes(t, g)
	startEnvoyAt(t, g, tap.addr)

	asks := func(path string, headers ...header) func(t *testing.T) {
		return func(t *testing.T) { _, _ = try(http.MethodGet, g.url("public", path), headers...) }
	}
	for _, c := range []struct {
		route, backend string
		ask            func(t *testing.T)
		outcomes       int // 0 is 1; the last is looked at
		upstream       bool
		attempts       int
		status         int
		flags          outcome.Flags
		firstByte      bool
		answers        bool
	}{
		{route: "fine", backend: "app", ask: asks("/fine"), upstream: true, attempts: 1, status: 200, firstByte: true, answers: true},
		{route: "failed", backend: "app", ask: asks("/failed?status=500"), upstream: true, attempts: 1, status: 500, firstByte: true, answers: true},
		{route: "refused", backend: "gone", ask: asks("/refused"), upstream: true, attempts: 1, status: 503, flags: outcome.ConnectFailure, answers: true},
		{route: "reset", backend: "rude", ask: asks("/reset"), upstream: true, attempts: 1, status: 503, flags: outcome.Reset, answers: true},
		{route: "broken", backend: "rude", ask: asks("/broken"), upstream: true, attempts: 1, status: 200, flags: outcome.Reset, firstByte: true, answers: true},
		{route: "noise", backend: "rude", ask: asks("/noise"), upstream: true, attempts: 1, status: 502, flags: outcome.Reset, answers: true},
		{route: "slow", backend: "app", ask: asks("/slow?delay=20s"), upstream: true, attempts: 1, status: 504, flags: outcome.Timeout, answers: true},
		{route: "tries", backend: "app", ask: asks("/tries?delay=20s"), upstream: true, attempts: 3, status: 504, flags: outcome.Timeout | outcome.RetriesExceeded, answers: true},
		{route: "retried", backend: "app", ask: asks("/retried?status=503"), upstream: true, attempts: 3, status: 503, flags: outcome.RetriesExceeded, firstByte: true, answers: true},
		{route: "helped", backend: "rude", ask: asks("/helped"), upstream: true, attempts: 2, status: 200, firstByte: true, answers: true},
		{route: "left", backend: "app", ask: leaves(g, "/left?delay=20s", app), upstream: true, attempts: 1, status: 0, flags: outcome.ClientGone},
		{route: "leaving", backend: "rude", ask: leavesInTheMiddle(g, "/leaving"), upstream: true, attempts: 1, status: 200, flags: outcome.ClientGone, firstByte: true, answers: true},
		{route: "stalled", backend: "rude", ask: asks("/stalled"), upstream: true, attempts: 1, status: 200, flags: outcome.ClientGone, firstByte: true, answers: true},
		{route: "quiet", backend: "rude", ask: asks("/quiet"), upstream: true, attempts: 1, status: 504, flags: outcome.Timeout, answers: true},
		{route: "keyed", backend: "", ask: asks("/keyed"), status: 401, flags: outcome.Denied},
		{route: "keyless", backend: "", ask: asks("/keyless", g.createKey().header()), status: 403, flags: outcome.Denied},
		{route: "limited", backend: "", ask: func(t *testing.T) { asks("/limited")(t); asks("/limited")(t) }, outcomes: 2, status: 429, flags: outcome.Denied},
		{route: "unjudged", backend: "", ask: func(t *testing.T) {
			tap.judgeFails.Store(true)
			defer tap.judgeFails.Store(false)
			asks("/unjudged")(t)
		}, status: 503, flags: outcome.Denied},
		{route: "nobody", backend: "nobody", ask: asks("/nobody"), attempts: 1, status: 503, flags: outcome.NoHealthy, answers: true},
		{route: "ours", backend: "", ask: asks("/ours"), status: 500},
		{route: "mirrored", backend: "app", ask: asks("/mirrored"), upstream: true, attempts: 1, status: 200, firstByte: true, answers: true},
	} {
		t.Run(c.route, func(t *testing.T) {
			c.ask(t)
			o := tap.ended(t, c.route, max(c.outcomes, 1))
			if o.Backend != c.backend || o.Upstream != c.upstream || o.Attempts != c.attempts || o.Status != c.status ||
				o.Flags != c.flags || (o.FirstByte > 0) != c.firstByte || o.BackendAnswers() != c.answers ||
				o.GRPCStatus != outcome.GRPCUnknown {
				t.Errorf("got %+v", o)
			}
			if o.Duration <= 0 || o.FirstByte > o.Duration {
				t.Errorf("the first byte after %v, of %v", o.FirstByte, o.Duration)
			}
		})
	}
	t.Run("a backend that is full", func(t *testing.T) { full(t, g, tap) })
	t.Run("calls of gRPC", func(t *testing.T) { callsEnd(t, g, tap) })
	t.Run("a WebSocket", func(t *testing.T) { socketEnds(t, g, tap) })
	// A mirrored request has no entry of its own.
	if mirrored := app.Requests(); len(tap.of("mirrored")) != 1 || mirrored == 0 {
		t.Errorf("outcomes of the mirrored request: %+v", tap.of("mirrored"))
	}
}

// leaves is a client that goes away when its request is at the backend.
func leaves(g *gateway, path string, app service) func(t *testing.T) {
	return func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		before, done := app.Requests(), make(chan error, 1)
		go func() { done <- ask(ctx, g.url("public", path), header{"X-Run", "left"}) }()
		eventually(t, "the request is at the backend", func() error {
			if app.Requests() == before {
				return errors.New("not yet")
			}
			return nil
		})
		cancel()
		<-done
	}
}

// leavesInTheMiddle is a client that goes away when it has a part of the answer.
func leavesInTheMiddle(g *gateway, path string) func(t *testing.T) {
	return func(t *testing.T) {
		resp, err := client.Get(g.url("public", path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, len("half"))); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
	}
}

// full: of requests beyond what a backend may have, no backend was asked.
func full(t *testing.T, g *gateway, tap *outcomeTap) {
	const at = 12
	var all sync.WaitGroup
	for range at {
		all.Go(func() { _, _ = try(http.MethodGet, g.url("public", "/narrow?delay=500ms")) })
	}
	all.Wait()
	tap.ended(t, "narrow", at)
	refused := 0
	for _, o := range tap.of("narrow") {
		if o.Status == http.StatusOK {
			continue
		}
		refused++
		if o.Flags != outcome.Overflow || o.FirstByte != 0 || o.BackendAnswers() || o.Status != 503 {
			t.Errorf("got %+v", o)
		}
	}
	if refused == 0 {
		t.Error("none was refused")
	}
}

// callsEnd: the status of a call is known, whether it comes with an answer or alone;
// a stream is told of at its end, and one that its client ends has none.
func callsEnd(t *testing.T, g *gateway, tap *outcomeTap) {
	conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	health := healthv1.NewHealthClient(conn)
	if _, err := health.Check(ctx, nil); err != nil {
		t.Error(err)
	}
	if o := tap.ended(t, "calls", 1); o.Status != 200 || o.GRPCStatus != int(codes.OK) || !o.BackendAnswers() {
		t.Errorf("a call that ends well: %+v", o)
	}
	if _, err := health.Check(ctx, &healthv1.HealthCheckRequest{Service: "unknown"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if o := tap.ended(t, "calls", 2); o.Status != 200 || o.GRPCStatus != int(codes.NotFound) || !o.BackendAnswers() {
		t.Errorf("a call that fails: %+v", o)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watch, err := health.Watch(watching, nil)
	if err == nil {
		_, err = watch.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * outcomeFlush)
	if n := len(tap.of("calls")); n != 2 {
		t.Errorf("a stream that goes on: %d outcomes", n)
	}
	stop()
	if o := tap.ended(t, "calls", 3); o.GRPCStatus != outcome.GRPCUnknown || o.Flags != outcome.ClientGone || o.Duration < 3*outcomeFlush || o.FirstByte == 0 {
		t.Errorf("a stream that its client has ended: %+v", o)
	}
}

// outcomeFlush is how long Envoy gathers outcomes.
const outcomeFlush = 50 * time.Millisecond

// socketEnds: an upgraded connection is told of at its end.
func socketEnds(t *testing.T, g *gateway, tap *outcomeTap) {
	ws, err := g.dial("/chat")
	if err != nil {
		t.Fatal(err)
	}
	said(t, ws, "hello ")
	time.Sleep(3 * outcomeFlush)
	if n := len(tap.of("chat")); n != 0 {
		t.Errorf("while it goes on: %d outcomes", n)
	}
	ws.Close()
	if o := tap.ended(t, "chat", 1); o.Status != http.StatusSwitchingProtocols || o.Duration < 3*outcomeFlush || o.FirstByte == 0 || !o.Upstream {
		t.Errorf("got %+v", o)
	}
}
