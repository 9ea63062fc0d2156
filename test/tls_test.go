package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/testenv"
)

const secured = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
  - name: secure
    address: "{{listen "secure"}}"
    tls:
      certificates:
        - {cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}
        - {cert: {{.certs}}/shop.crt, key: {{.certs}}/shop.key}
        - {cert: {{.certs}}/wild.crt, key: {{.certs}}/wild.key}
  - name: modern
    address: "{{listen "modern"}}"
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}], minVersion: "1.3"}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}]}
`

func startSecured(t *testing.T) (*gateway, *pems) {
	t.Helper()
	p := newPEMs(t)
	p.server("first", "api.example.com")
	p.server("shop", "shop.example.org", "shop.example.com")
	p.server("wild", "*.example.com")
	return start(t, setup{config: secured, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}}), p
}

// TestTLSTermination: who asks for which name gets which certificate, by which
// protocol, beside a listener in plain text.
func TestTLSTermination(t *testing.T) {
	t.Parallel()
	g, p := startSecured(t)
	get(t, g.url("plain", "/1")).ok(t)
	for name, want := range map[string]string{
		"api.example.com": "api.example.com", "shop.example.org": "shop.example.org", "shop.example.com": "shop.example.org", // not the wildcard
		"any.example.com": "*.example.com",
		"a.b.example.com": "api.example.com", "unknown.org": "api.example.com", "": "api.example.com", // the first
		"SHOP.example.org": "api.example.com", // Envoy compares as it is written; clients send names in lower case
	} {
		state, err := g.dialed("secure", &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got := state.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%q is served with %s, want %s", name, got, want)
		}
	}
	r, state, err := askedBy(p.client("api.example.com", false), g.secureURL("secure", "/2"))
	if err != nil || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 {
		t.Fatalf("%v, %+v", err, state)
	}
	r.ok(t)
	if got := r.echo(t).header("X-Forwarded-Proto"); got != "https" {
		t.Errorf("the backend sees the scheme %q", got)
	}
	one, err := g.dialed("secure", &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil || one.NegotiatedProtocol != "http/1.1" {
		t.Errorf("HTTP/1.1: %v, %q", err, one.NegotiatedProtocol)
	}
}

// TestTLSVersionsAndCiphers: nothing below 1.2 or, where that is said, 1.3; and of
// 1.2 only what has forward secrecy and authenticated encryption.
func TestTLSVersionsAndCiphers(t *testing.T) {
	t.Parallel()
	g, _ := startSecured(t)
	for _, c := range []struct {
		listener string
		version  uint16
		taken    bool
	}{
		{"secure", tls.VersionTLS10, false}, {"secure", tls.VersionTLS11, false}, {"secure", tls.VersionTLS12, true}, {"secure", tls.VersionTLS13, true},
		{"modern", tls.VersionTLS11, false}, {"modern", tls.VersionTLS12, false}, {"modern", tls.VersionTLS13, true},
	} {
		if _, err := g.dialed(c.listener, &tls.Config{InsecureSkipVerify: true, MinVersion: c.version, MaxVersion: c.version}); (err == nil) != c.taken {
			t.Errorf("%s, %s: %v", c.listener, tls.VersionName(c.version), err)
		}
	}
	taken := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		_, err := g.dialed("secure", &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		good := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA_") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))
		if (err == nil) != good {
			t.Errorf("%s: %v", suite.Name, err)
		}
		if err == nil {
			taken++
		}
	}
	if taken != 3 {
		t.Errorf("%d suites are taken", taken)
	}
}

// TestCertificatesRotate: a certificate is replaced again and again while
// requests go on, each on a connection of its own; no handshake and no request
// fails, connections that are open stay open, and the new certificate is served.
func TestCertificatesRotate(t *testing.T) {
	t.Parallel()
	g, p := startSecured(t)
	fresh, kept := p.client("api.example.com", false), p.client("api.example.com", true)
	url := g.secureURL("secure", "/app")
	mustAsk(t, kept, url).ok(t)
	ctx, requests, failed := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for {
				select {
				case <-ctx:
					return
				default:
				}
				r, _, err := askedBy(fresh, url)
				if err != nil || r.Status != http.StatusOK {
					failed.Add(1)
					t.Errorf("meanwhile: %v %d", err, r.Status)
				}
				requests.Add(1)
			}
		})
	}
	for i := range 5 {
		p.server("first", "api.example.com")
		want, err := tls.LoadX509KeyPair(p.path("first.crt"), p.path("first.key"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("certificate %d is served", i), func() error {
			_, state, err := askedBy(fresh, url)
			if err == nil && serialOf(state) != want.Leaf.SerialNumber.String() {
				err = errors.New("the one before it is")
			}
			return err
		})
	}
	close(ctx)
	workers.Wait()
	if failed.Load() > 0 || requests.Load() < 50 {
		t.Errorf("%d of %d requests failed", failed.Load(), requests.Load())
	}
	mustAsk(t, kept, url).ok(t)
	if !strings.Contains(g.metrics(), `gatewright_tls_reloads_total{result="applied"}`) {
		t.Error("no metric tells of it")
	}
}

// TestBadCertificatesKeepTheOld: whatever is put in the place of a certificate
// that cannot be served, the old one is, and it is told; also through a change of
// the config meanwhile, which is not held up.
func TestBadCertificatesKeepTheOld(t *testing.T) {
	t.Parallel()
	g, p := startSecured(t)
	client, url := p.client("api.example.com", false), g.secureURL("secure", "/app")
	good := readFile(t, p.path("first.crt"))
	goodKey := readFile(t, p.path("first.key"))
	_, before, err := askedBy(client, url)
	if err != nil {
		t.Fatal(err)
	}
	expired, expiredKey := p.ca.Issue(testenv.Leaf{DNS: []string{"api.example.com"}, NotAfter: time.Now().Add(-time.Minute)})
	_, otherKey := p.ca.Issue(testenv.Leaf{})
	for _, c := range []struct {
		name, told string
		cert, key  []byte
	}{
		{"expired", "expired on", expired, expiredKey},
		{"another key", "does not match", good, otherKey},
		{"half a file", "must have whole blocks of PEM", good[:len(good)/2], goodKey},
		{"garbage", "must have a CERTIFICATE in PEM", []byte("x"), goodKey},
		{"huge", "must have at most", append(make([]byte, 1<<20), good...), goodKey},
	} {
		p.write("first.crt", c.cert)
		p.write("first.key", c.key)
		eventually(t, c.name+" is told", func() error {
			cmd := g.command("status")
			out, _ := cmd.CombinedOutput() // its exit code is judged below
			if !strings.Contains(string(out), c.told) || !strings.Contains(string(out), p.path("first.crt")) {
				return fmt.Errorf("status says:\n%s", out)
			}
			if cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%s: exit code %d", c.name, cmd.ProcessState.ExitCode())
			}
			return nil
		})
		_, now, err := askedBy(client, url)
		if err != nil || serialOf(now) != serialOf(before) {
			t.Errorf("%s: the old certificate is not served: %v", c.name, err)
		}
	}
	if err := os.Remove(p.path("first.key")); err != nil {
		t.Fatal(err)
	}
	// A change of the config is served all the same, and a second listener with a
	// bad certificate is not.
	changed := strings.Replace(secured, "routes:\n", "routes:\n  - {name: new, match: {path: /new}, auth: public, respond: {status: 299}}\n", 1)
	g.write(changed)
	eventually(t, "the change is served", func() error {
		if r, _, err := askedBy(client, g.secureURL("secure", "/new")); err != nil || r.Status != 299 {
			return fmt.Errorf("%v, status %d", err, r.Status)
		}
		return nil
	})
	g.write(strings.Replace(changed, "backends:\n", `  - {name: worse, address: "{{listen "worse"}}", tls: {certificates: [{cert: {{.certs}}/none.crt, key: {{.certs}}/none.key}]}}`+"\nbackends:\n", 1))
	eventually(t, "the fault is told", func() error {
		if out, _ := g.command("status").CombinedOutput(); !strings.Contains(string(out), "listeners[3].tls.certificates[0].cert") || !strings.Contains(string(out), "must be a file that is there") {
			return fmt.Errorf("status says:\n%s", out)
		}
		return nil
	})
	g.write(changed)
	p.write("first.key", goodKey)
	p.write("first.crt", good)
	eventually(t, "all is well again", func() error {
		if out, err := g.command("status").CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	if !strings.Contains(g.metrics(), `gatewright_tls_reloads_total{result="invalid"}`) {
		t.Error("no metric tells of it")
	}
}

// TestPrivateKeysStayInside: they are in no log, no metric, no state file, and in
// nothing that a command or an admin port shows.
func TestPrivateKeysStayInside(t *testing.T) {
	t.Parallel()
	g, p := startSecured(t)
	p.server("first", "api.example.com")
	key := strings.Split(string(readFile(t, p.path("first.key"))), "\n")[1]
	eventually(t, "the new certificate is served", func() error {
		if !strings.Contains(g.metrics(), `gatewright_tls_reloads_total{result="applied"} 4`) {
			return errors.New("not yet")
		}
		return nil
	})
	// A key that is put where a certificate belongs is not repeated either.
	p.write("first.crt", readFile(t, p.path("first.key")))
	eventually(t, "it is refused", func() error {
		if !strings.Contains(g.metrics(), `gatewright_tls_reloads_total{result="invalid"}`) {
			return errors.New("not yet")
		}
		return nil
	})
	shown := map[string]string{"log": g.stderr.String(), "access log": g.stdout.String(), "metrics": g.metrics()}
	out, _ := g.command("status", "-o", "json").CombinedOutput()
	shown["status"] = string(out)
	out, _ = g.command("check", g.file).CombinedOutput()
	shown["check"] = string(out)
	p.server("first", "api.example.com")
	key2 := strings.Split(string(readFile(t, p.path("first.key"))), "\n")[1]
	shown["render"] = string(g.run("render", g.file))
	if !strings.Contains(shown["render"], "[redacted]") {
		t.Error("render shows no secrets, not even redacted")
	}
	for name, content := range filesUnder(t, g.dir+"/state") {
		shown["state "+name] = content
	}
	for where, text := range shown {
		if strings.Contains(text, key) || strings.Contains(text, key2) || strings.Contains(text, "BEGIN PRIVATE KEY") {
			t.Errorf("%s shows a private key", where)
		}
	}
}

// TestStartWithoutCertificates: a gateway does not start without what its
// listeners are to be served with, and says what is wrong and where; though it
// has a last good config, which has no keys in it.
func TestStartWithoutCertificates(t *testing.T) {
	t.Parallel()
	g, p := startSecured(t)
	g.stop()
	expired, key := p.ca.Issue(testenv.Leaf{NotAfter: time.Now().Add(-time.Minute)})
	p.write("shop.crt", expired)
	p.write("shop.key", key)
	g.launch("run")
	if code := g.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if said := g.stderr.String(); !strings.Contains(said, "listeners[1].tls.certificates[1].cert") || !strings.Contains(said, "expired on") {
		t.Errorf("it says:\n%s", said)
	}
}

// TestTLSByStateOfTheWorld: an Envoy that speaks the other variant of xDS gets
// its certificates, too, and the new ones.
func TestTLSByStateOfTheWorld(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	for _, name := range []string{"first", "shop", "wild"} {
		p.server(name, "api.example.com")
	}
	g := launch(t, setup{config: secured, values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}, serve: true})
	g.waitReady()
	worldEnvoy(t, g)
	client := p.client("api.example.com", false)
	for i := range 2 {
		want, err := tls.LoadX509KeyPair(p.path("first.crt"), p.path("first.key"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("certificate %d is served", i), func() error {
			_, state, err := askedBy(client, g.secureURL("modern", "/app"))
			if err == nil && serialOf(state) != want.Leaf.SerialNumber.String() {
				err = errors.New("the one before it is")
			}
			return err
		})
		p.server("first", "api.example.com")
	}
}

// TestPrivateKeysGoToEnvoysAlone: over a port without TLS, which any program of
// the machine can open, nobody is given one, though `run` has its own Envoy
// served; and `serve` does not begin what it could not do. Over mTLS they go.
func TestPrivateKeysGoToEnvoysAlone(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	for _, name := range []string{"first", "shop", "wild"} {
		p.server(name, "api.example.com")
	}
	values := map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder}
	addr := testenv.Addr(t)
	g := start(t, setup{config: secured, values: values, env: []string{"GATEWRIGHT_GRPC_ADDR=" + addr}})
	mustAsk(t, p.client("api.example.com", false), g.secureURL("secure", "/app")).ok(t)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ads := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	node := &corev3.Node{Id: "stranger"}
	name := "certificate/" + p.path("first.crt")
	delta, err := ads.DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := delta.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.SecretType, ResourceNamesSubscribe: []string{name}}); err != nil {
		t.Fatal(err)
	}
	if got, err := delta.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("by incremental xDS it is answered with %d resources, %v", len(got.GetResources()), err)
	}
	world, err := ads.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := world.Send(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: resource.SecretType, ResourceNames: []string{name}}); err != nil {
		t.Fatal(err)
	}
	if got, err := world.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("by the state of the world it is answered with %d resources, %v", len(got.GetResources()), err)
	}

	alone := launch(t, setup{config: secured, values: values, serve: true, env: []string{"GATEWRIGHT_GRPC_ADDR=" + testenv.Addr(t)}})
	if code := alone.wait(); code != 1 || !strings.Contains(alone.stderr.String(), "listeners[1].tls (secure): its certificates and private keys would go over GATEWRIGHT_GRPC_ADDR=") {
		t.Errorf("exit code %d:\n%s", code, alone.stderr)
	}

	keys := newDoorKeys(t)
	keys.issue(testenv.NewCA(t), "edge-1")
	secure := launch(t, setup{config: secured, values: values, serve: true, env: keys.env(testenv.Addr(t))})
	secure.waitReady()
	keys.envoyWithTLS(secure, "edge-1")
	eventually(t, "an Envoy elsewhere has its certificates", func() error {
		_, _, err := askedBy(p.client("api.example.com", false), secure.secureURL("secure", "/app"))
		return err
	})
}
