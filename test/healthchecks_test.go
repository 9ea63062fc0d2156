package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gatewright/gatewright/internal/demo"
)

const probed = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  rpc:
    endpoints: ["{{.rpc1}}", "{{.rpc2}}"]
    protocol: grpc
    healthCheck: {grpc: {service: shop.v1.Orders}, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
  web:
    endpoints: ["{{.web1}}", "{{.web2}}"]
    healthCheck: {path: /probe, host: probe.internal, headers: {X-Probe: "7"}, expect: [204, 3xx], interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
  raw:
    endpoints: ["{{.web1}}", "{{.web2}}"]
    healthCheck: {tcp: {send: "PING\r\n", receive: PONG}, port: {{.port}}, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
    panicThreshold: 0
  short: {endpoints: ["{{.conns}}"], connections: {maxRequestsPerConnection: 2, sourceAddress: 127.0.0.2}}
  idle: {endpoints: ["{{.conns}}"], connections: {idleTimeout: 100ms}}
routes:
  - {name: rpc, match: {path: /rpc}, auth: public, to: [{backend: rpc}]}
  - {name: web, match: {path: /web}, auth: public, to: [{backend: web}]}
  - {name: raw, match: {path: /raw}, auth: public, to: [{backend: raw}]}
  - {name: short, match: {path: /short}, auth: public, to: [{backend: short}]}
  - {name: idle, match: {path: /idle}, auth: public, to: [{backend: idle}]}
`

// ordersService is a gRPC server with the standard health service, in front of which any other
// request is answered with the server's name.
type ordersService struct {
	addr   string
	health *health.Server
}

func ordersServer(t testing.TB, name string) ordersService {
	t.Helper()
	service := health.NewServer()
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, service)
	s, err := demo.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == "application/grpc" {
			server.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Backend", name)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		server.Stop()
	})
	service.SetServingStatus("shop.v1.Orders", healthv1.HealthCheckResponse_SERVING)
	return ordersService{s.Addr(), service}
}

// probedServer answers probes with a status, and notes what was odd about them.
func probedServer(t testing.TB, name string, status *atomic.Int64, odd *atomic.Pointer[string]) string {
	t.Helper()
	s, err := demo.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", name)
		if r.URL.Path != "/probe" {
			return
		}
		if r.Host != "probe.internal" || r.Header.Get("X-Probe") != "7" {
			what := fmt.Sprintf("host %s, headers %v", r.Host, r.Header)
			odd.Store(&what)
		}
		w.WriteHeader(int(status.Load()))
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Addr()
}

// pingServer answers PING with what it is told to.
type pingServer struct {
	listener net.Listener
	answer   atomic.Pointer[string]
}

func startPing(t testing.TB, answer string) *pingServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pingServer{listener: l}
	p.answer.Store(&answer)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				asked := make([]byte, len("PING\r\n"))
				for {
					if _, err := io.ReadFull(conn, asked); err != nil || string(asked) != "PING\r\n" {
						return
					}
					if _, err := io.WriteString(conn, *p.answer.Load()); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	return p
}

// TestHealthChecks: each kind of probe takes an endpoint out, and puts it back.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	rpc1, rpc2 := ordersServer(t, "rpc1"), ordersServer(t, "rpc2")
	var status1, status2 atomic.Int64
	var odd atomic.Pointer[string]
	status1.Store(http.StatusNoContent)
	status2.Store(http.StatusFound)
	ping := startPing(t, "+PONG\r\n")
	_, port, err := net.SplitHostPort(ping.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var seen sync.Map // the connections that requests came on
	conns, err := demo.Start("127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen.Store(r.RemoteAddr, true) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conns.Close() })
	g := start(t, setup{config: probed, values: map[string]string{
		"rpc1": rpc1.addr, "rpc2": rpc2.addr, "port": port, "conns": conns.Addr(),
		"web1": probedServer(t, "web1", &status1, &odd), "web2": probedServer(t, "web2", &status2, &odd),
	}})

	t.Run("by gRPC", func(t *testing.T) {
		url := g.url("public", "/rpc")
		onlyAt(t, url, "rpc1", "rpc2")
		rpc1.health.SetServingStatus("shop.v1.Orders", healthv1.HealthCheckResponse_NOT_SERVING)
		onlyAt(t, url, "rpc2")
		rpc1.health.SetServingStatus("shop.v1.Orders", healthv1.HealthCheckResponse_SERVING)
		onlyAt(t, url, "rpc1", "rpc2")
	})
	t.Run("by the statuses that are expected", func(t *testing.T) {
		url := g.url("public", "/web")
		onlyAt(t, url, "web1", "web2")
		status1.Store(http.StatusOK) // which is none of them
		onlyAt(t, url, "web2")
		status1.Store(http.StatusNoContent)
		onlyAt(t, url, "web1", "web2")
		if what := odd.Load(); what != nil {
			t.Errorf("a probe had %s", *what)
		}
	})
	t.Run("by TCP, at another port", func(t *testing.T) {
		url := g.url("public", "/raw")
		onlyAt(t, url, "web1", "web2")
		sad := "-LOADING\r\n"
		ping.answer.Store(&sad)
		eventually(t, "both are out", func() error {
			if r := get(t, url); r.Status != http.StatusServiceUnavailable {
				return errStatus(r)
			}
			return nil
		})
		get(t, url).denied(t, 503, "backend-unavailable")
		well := "+PONG\r\n"
		ping.answer.Store(&well)
		onlyAt(t, url, "web1", "web2")
	})
	connections := func() (addresses []string) {
		seen.Range(func(key, _ any) bool {
			addresses = append(addresses, key.(string))
			return true
		})
		seen.Clear()
		return addresses
	}
	t.Run("a connection serves as many requests as it may, from the address that is said", func(t *testing.T) {
		for range 10 {
			get(t, g.url("public", "/short")).ok(t)
		}
		used := connections()
		if len(used) != 5 {
			t.Errorf("10 requests took %d connections, want 5", len(used))
		}
		for _, addr := range used {
			if host, _, _ := net.SplitHostPort(addr); host != "127.0.0.2" {
				t.Errorf("one came from %s", addr)
			}
		}
	})
	t.Run("a connection that is idle is closed", func(t *testing.T) {
		get(t, g.url("public", "/idle")).ok(t)
		eventually(t, "the connection is closed, and another one used", func() error {
			time.Sleep(200 * time.Millisecond) // longer than it may be idle
			get(t, g.url("public", "/idle")).ok(t)
			used := 0
			seen.Range(func(_, _ any) bool { used++; return true })
			if used < 2 {
				return fmt.Errorf("all requests were on %d", used)
			}
			return nil
		})
	})
}
