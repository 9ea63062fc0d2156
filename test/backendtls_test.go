package test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gatewright/gatewright/internal/demo"
	"github.com/gatewright/gatewright/internal/testenv"
)

// tlsBackend is a backend that speaks TLS, and remembers what it was asked for.
type tlsBackend struct {
	*demo.Backend
	*httptest.Server
	// certificate is what it shows now.
	certificate atomic.Pointer[tls.Certificate]

	mu sync.Mutex // guards all below
	// names are those that connections asked for, with how often; clients are the
	// common names in the certificates that it was shown with requests.
	names, clients map[string]int
}

// startTLSBackend starts one that shows a certificate of this authority and, where
// clients is not nil, asks for a certificate of those.
func startTLSBackend(t *testing.T, ca *testenv.CA, leaf testenv.Leaf, clients *x509.CertPool, more ...func(*tlsBackend)) *tlsBackend {
	t.Helper()
	b := &tlsBackend{Backend: demo.NewBackend("secure"), names: map[string]int{}, clients: map[string]int{}}
	b.show(ca, leaf)
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.saw(r)
		w.Header().Set("X-Proto", r.Proto)
		b.Backend.ServeHTTP(w, r)
	}))
	b.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.EnableHTTP2 = true
	b.TLS = &tls.Config{}
	b.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.names[hello.ServerName]++
		mine := b.TLS.Clone()
		mine.GetConfigForClient, mine.Certificates = nil, []tls.Certificate{*b.certificate.Load()}
		return mine, nil
	}
	if clients != nil {
		b.TLS.ClientCAs, b.TLS.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	for _, do := range more {
		do(b)
	}
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func (b *tlsBackend) show(ca *testenv.CA, leaf testenv.Leaf) {
	pair := ca.Pair(leaf)
	b.certificate.Store(&pair)
}

func (b *tlsBackend) saw(r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range r.TLS.PeerCertificates[:min(1, len(r.TLS.PeerCertificates))] {
		b.clients[c.SerialNumber.String()]++
	}
}

// askedFor is how many connections asked for a name.
func (b *tlsBackend) askedFor(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.names[name]
}

// shown is how many requests came with the certificate of this serial number.
func (b *tlsBackend) shown(serial string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clients[serial]
}

func (b *tlsBackend) addr() string { return b.Listener.Addr().String() }

func (b *tlsBackend) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(b.addr())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// backendPEMs are the files that a gateway speaks TLS to backends by.
type backendPEMs struct {
	*pems // of which ca is the backends' authority
	// clients are who vouch for the gateway.
	clients *testenv.CA
}

func newBackendPEMs(t *testing.T) backendPEMs {
	t.Helper()
	p := backendPEMs{newPEMs(t), testenv.NewCA(t)}
	p.write("ca.pem", p.ca.PEM)
	p.renewClient()
	return p
}

// renewClient gives the gateway another certificate, and returns its serial number.
func (p backendPEMs) renewClient() string {
	p.t.Helper()
	leaf := testenv.Leaf{DNS: []string{"gateway.example.com"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	p.clients.IssueFiles(leaf, p.path("gw.crt"), p.path("gw.key"))
	pair, err := tls.LoadX509KeyPair(p.path("gw.crt"), p.path("gw.key"))
	if err != nil {
		p.t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

var orders = testenv.Leaf{DNS: []string{"orders.internal", "LocalHost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}

const toSecure = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
backends:
  named:
    endpoints: ["{{.app}}"]
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
    tls: &shown {ca: "{{.certs}}/ca.pem", serverName: Orders.internal, certificate: {cert: "{{.certs}}/gw.crt", key: "{{.certs}}/gw.key"}}
  h2:
    endpoints: ["{{.app}}"]
    protocol: http2
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
    tls: *shown
  calls: {endpoints: ["{{.calls}}"], protocol: grpc, tls: *shown}
  host: {endpoints: ["LocalHost:{{.appPort}}"], tls: {ca: "{{.certs}}/ca.pem", certificate: {cert: "{{.certs}}/gw.crt", key: "{{.certs}}/gw.key"}}}
  address: {endpoints: ["{{.app}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: 127.0.0.1, certificate: {cert: "{{.certs}}/gw.crt", key: "{{.certs}}/gw.key"}}}
  gone: {endpoints: ["{{.gone}}"], breaker: {minRequests: 1, errorRate: 0, fallback: {backend: named}}}
  open: {endpoints: ["{{.open}}"]}
routes:
  - {name: named, match: {path: /named}, auth: public, to: [{backend: named}]}
  - {name: h2, match: {path: /h2}, auth: public, to: [{backend: h2}]}
  - {name: host, match: {path: /host}, auth: public, to: [{backend: host}]}
  - {name: address, match: {path: /address}, auth: public, to: [{backend: address}]}
  - {name: mirrored, match: {path: /mirrored}, auth: public, to: [{backend: open}], mirror: {backend: named}}
  - {name: fallback, match: {path: /fallback}, auth: public, to: [{backend: gone}]}
  - {name: calls, match: {grpc: {service: grpc.health.v1.Health}}, auth: public, to: [{backend: calls}]}
`

// secureCalls is a gRPC service that asks for certificates.
func secureCalls(t *testing.T, p backendPEMs) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{p.ca.Pair(orders)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.clients.Pool(),
	})))
	healthv1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// TestTLSToBackends: backends of each protocol are known by their own name, and know
// the gateway by its certificate; so do health checks, mirrors and fallbacks go.
func TestTLSToBackends(t *testing.T) {
	t.Parallel()
	p := newBackendPEMs(t)
	app := startTLSBackend(t, p.ca, orders, p.clients.Pool())
	g := start(t, setup{config: toSecure, values: map[string]string{
		"app": app.addr(), "appPort": app.port(t), "calls": secureCalls(t, p), "certs": p.folder, "gone": testenv.Addr(t), "open": backend(t, "open").Addr(),
	}})
	for path, want := range map[string]struct{ proto, name string }{
		"/named": {"HTTP/1.1", "orders.internal"}, "/h2": {"HTTP/2.0", "orders.internal"}, "/host": {"HTTP/1.1", "localhost"}, "/address": {"HTTP/1.1", ""},
	} {
		before := app.askedFor(want.name)
		eventually(t, path+" is served", func() error {
			if r := get(t, g.url("plain", path)); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
		r := get(t, g.url("plain", path)).ok(t)
		if got := r.Header.Get("X-Proto"); got != want.proto {
			t.Errorf("%s: it is spoken to in %s", path, got)
		}
		if app.askedFor(want.name) <= before && path != "/named" && path != "/h2" { // health checks ask, too
			t.Errorf("%s: nobody has asked for %q: %v", path, want.name, app.names)
		}
	}
	before := app.Requests()
	get(t, g.url("plain", "/mirrored")).ok(t)
	eventually(t, "the mirror has its copy", func() error {
		if app.Requests() == before {
			return errors.New("not yet")
		}
		return nil
	})
	eventually(t, "the fallback answers", func() error {
		if r := get(t, g.url("plain", "/fallback")); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	conn, err := grpc.NewClient(g.listeners["plain"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if r, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil || r.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("by gRPC: %v, %v", r, err)
	}
}

const toDoubtful = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
backends:
  good: {endpoints: ["{{.good}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  stranger: {endpoints: ["{{.stranger}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  byworld: {endpoints: ["{{.good}}"], tls: {serverName: orders.internal}}
  misnamed: {endpoints: ["{{.good}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: users.internal}}
  mishost: {endpoints: ["localhost:{{.otherPort}}"], tls: {ca: "{{.certs}}/ca.pem"}}
  misaddress: {endpoints: ["{{.good}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: 127.0.0.2}}
  nameless: {endpoints: ["{{.nameless}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  expired: {endpoints: ["{{.expired}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  client: {endpoints: ["{{.client}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  anonymous: {endpoints: ["{{.asking}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  old: {endpoints: ["{{.old}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  older: {endpoints: ["{{.good12}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal, minVersion: "1.3"}}
  plaintext: {endpoints: ["{{.open}}"], tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal}}
  insecure: {endpoints: ["{{.good}}"]}
routes:
  - {name: good, match: {path: /good}, auth: public, to: [{backend: good}]}
  - {name: insecure, match: {path: /insecure}, auth: public, to: [{backend: insecure}]}
`

// TestDoubtfulBackendsAreNotSpokenTo: whoever is not the backend beyond doubt gets no
// byte of a request. The client hears that the backend failed, the log says why.
func TestDoubtfulBackendsAreNotSpokenTo(t *testing.T) {
	t.Parallel()
	p := newBackendPEMs(t)
	expired, nameless, other, forClients := orders, testenv.Leaf{}, testenv.Leaf{DNS: []string{"other.internal"}}, orders
	expired.NotAfter = time.Now().Add(-time.Minute)
	nameless.Subject.CommonName = "orders.internal"
	forClients.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	good := startTLSBackend(t, p.ca, orders, nil)
	backends := map[string]*tlsBackend{
		"good":     good,
		"old":      startTLSBackend(t, p.ca, orders, nil, func(b *tlsBackend) { b.TLS.MinVersion, b.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
		"good12":   startTLSBackend(t, p.ca, orders, nil, func(b *tlsBackend) { b.TLS.MaxVersion = tls.VersionTLS12 }),
		"stranger": startTLSBackend(t, testenv.NewCA(t), orders, nil), "nameless": startTLSBackend(t, p.ca, nameless, nil),
		"expired": startTLSBackend(t, p.ca, expired, nil), "client": startTLSBackend(t, p.ca, forClients, nil),
		"asking": startTLSBackend(t, p.ca, orders, p.clients.Pool()), "other": startTLSBackend(t, p.ca, other, nil),
	}
	values := map[string]string{"certs": p.folder, "otherPort": backends["other"].port(t), "open": backend(t, "open").Addr()}
	for name, b := range backends {
		values[name] = b.addr()
	}
	told := map[string]string{
		"stranger": "CERTIFICATE_VERIFY_FAILED", "byworld": "CERTIFICATE_VERIFY_FAILED", "misnamed": "SAN matcher", "mishost": "SAN matcher", "misaddress": "SAN matcher",
		"nameless": "SAN matcher", "expired": "certificate has expired", "client": "CERTIFICATE_VERIFY_FAILED",
		"old": "PROTOCOL_VERSION", "older": "PROTOCOL_VERSION", "plaintext": "WRONG_VERSION_NUMBER",
		// By TLS 1.3 a server refuses a client's certificate when the client is done.
		"anonymous": "connection_termination",
	}
	config := toDoubtful
	for name := range told {
		config += fmt.Sprintf("  - {name: %[1]s, match: {path: /%[1]s}, auth: public, to: [{backend: %[1]s}]}\n", name)
	}
	g := start(t, setup{config: config, values: values})
	get(t, g.url("plain", "/good")).ok(t)
	asked := good.Requests()
	for name, reason := range told {
		get(t, g.url("plain", "/"+name)).denied(t, 503, "backend-failed")
		if got := fmt.Sprint(g.logged("/" + name)["reason"]); name != "anonymous" && !strings.Contains(got, "TLS_error") || !strings.Contains(got, strings.ReplaceAll(reason, " ", "_")) {
			t.Errorf("%s: the log says %q, want %q", name, got, reason)
		}
	}
	// What speaks TLS and is spoken to in plain text answers so.
	if r := get(t, g.url("plain", "/insecure")); r.Status != http.StatusBadRequest {
		t.Errorf("without TLS it answers %d", r.Status)
	}
	for name, b := range backends {
		if name == "good" && b.Requests() == asked || b.Requests() == 0 {
			continue
		}
		t.Errorf("%s has had %d requests", name, b.Requests())
	}
}

const toRotating = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
backends:
  app:
    endpoints: ["{{.app}}"]
    tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal, certificate: {cert: "{{.certs}}/gw.crt", key: "{{.certs}}/gw.key"}}
routes:
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}]}
`

// TestBackendCertificatesRotate: the gateway's certificate, the backend's and its
// authority are replaced while requests go on, each on a connection of its own to the
// backend; none fails. What is bad changes nothing, and is told.
func TestBackendCertificatesRotate(t *testing.T) {
	t.Parallel()
	p := newBackendPEMs(t)
	app := startTLSBackend(t, p.ca, orders, p.clients.Pool(), func(b *tlsBackend) { b.Config.SetKeepAlivesEnabled(false) })
	g := start(t, setup{config: toRotating, values: map[string]string{"app": app.addr(), "certs": p.folder}})
	stop, requests := make(chan struct{}), atomic.Int64{}
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := try(http.MethodGet, g.url("plain", "/app")); err != nil || r.Status != http.StatusOK {
					t.Errorf("meanwhile: %v, %d %s", err, r.Status, r.Body)
					return
				}
				requests.Add(1)
			}
		})
	}
	shown := func(serial string) {
		t.Helper()
		eventually(t, "the new certificate is shown", func() error {
			if app.shown(serial) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	for range 3 {
		shown(p.renewClient())
	}
	last := p.renewClient()
	shown(last)
	// Another authority: first both are believed, then the backend has a certificate
	// of the new one, then the old one goes.
	next := testenv.NewCA(t)
	applied := `gatewright_tls_reloads_total{result="applied"} `
	p.write("ca.pem", p.ca.PEM, next.PEM)
	g.hasMetric(applied + "7")
	app.show(next, orders)
	p.write("ca.pem", next.PEM)
	g.hasMetric(applied + "8")
	before := app.Requests()
	eventually(t, "requests go on", func() error {
		if app.Requests() < before+10 {
			return errors.New("they do not yet")
		}
		return nil
	})

	expired, key := p.clients.Issue(testenv.Leaf{NotAfter: time.Now().Add(-time.Minute)})
	p.write("gw.crt", expired)
	p.write("gw.key", key)
	p.write("ca.pem", []byte("x"))
	eventually(t, "the faults are told", func() error {
		cmd := g.command("status")
		out, _ := cmd.CombinedOutput() // its exit code is judged here
		for _, want := range []string{p.path("gw.crt") + ": expired on", p.path("ca.pem") + ": must have a CERTIFICATE"} {
			if !strings.Contains(string(out), want) || cmd.ProcessState.ExitCode() != 1 {
				return fmt.Errorf("exit code %d:\n%s", cmd.ProcessState.ExitCode(), out)
			}
		}
		return nil
	})
	g.hasMetric(`gatewright_tls_reloads_total{result="invalid"} 2`)
	before = int64(app.shown(last))
	eventually(t, "the last good certificate is shown", func() error {
		if int64(app.shown(last)) == before {
			return errors.New("not yet")
		}
		return nil
	})
	// Nor does it hold up a change of the config, even to a backend that is known by the
	// same files; and from the first request on that backend can be spoken to.
	g.write(strings.Replace(toRotating, "routes:\n", `
  second:
    endpoints: ["{{.app}}"]
    tls: {ca: "{{.certs}}/ca.pem", serverName: orders.internal, certificate: {cert: "{{.certs}}/gw.crt", key: "{{.certs}}/gw.key"}}
routes:
  - {name: new, match: {path: /new}, auth: public, respond: {status: 299}}
  - {name: second, match: {path: /second}, auth: public, to: [{backend: second}]}
`, 1))
	eventually(t, "a change is served", func() error {
		if r := get(t, g.url("plain", "/new")); r.Status != 299 {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("plain", "/second")).ok(t)
	close(stop)
	workers.Wait()
	if requests.Load() < 50 {
		t.Errorf("only %d requests went on meanwhile", requests.Load())
	}
	private := strings.Split(string(key), "\n")[1]
	last = p.renewClient()
	p.write("ca.pem", next.PEM)
	shownKey := strings.Split(string(readFile(t, p.path("gw.key"))), "\n")[1]
	for where, text := range map[string]string{"log": g.stderr.String(), "metrics": g.metrics(), "render": string(g.run("render", g.file))} {
		if strings.Contains(text, private) || strings.Contains(text, shownKey) {
			t.Errorf("%s shows a private key", where)
		}
	}
}

// TestBackendKeysGoToEnvoysAlone: what is shown to backends is as private as what
// listeners show.
func TestBackendKeysGoToEnvoysAlone(t *testing.T) {
	t.Parallel()
	p := newBackendPEMs(t)
	g := launch(t, setup{config: toRotating, serve: true, env: []string{"GATEWRIGHT_GRPC_ADDR=" + testenv.Addr(t)}, values: map[string]string{"app": testenv.Addr(t), "certs": p.folder}})
	if code := g.wait(); code != 1 || !strings.Contains(g.stderr.String(), "backends.app.tls: its certificates and private keys would go over GATEWRIGHT_GRPC_ADDR=") {
		t.Errorf("exit code %d:\n%s", code, g.stderr)
	}
}
