package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/gatewright/gatewright/internal/testenv"
)

// doorKeys are the files of both ends of the gRPC port, as they are on two machines: in
// a folder each, and Envoy's CA in one of its own, which it watches apart.
type doorKeys struct {
	t                    *testing.T
	server, envoy, trust string
}

func newDoorKeys(t *testing.T) doorKeys {
	t.Helper()
	dir := t.TempDir()
	k := doorKeys{t, filepath.Join(dir, "gatewright"), filepath.Join(dir, "envoy"), filepath.Join(dir, "trust")}
	for _, d := range []string{k.server, k.envoy, k.trust} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// issue replaces all six files by those of an authority.
func (k doorKeys) issue(ca *testenv.CA, node string) {
	k.t.Helper()
	ca.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, filepath.Join(k.server, "tls.crt"), filepath.Join(k.server, "tls.key"))
	ca.IssueFiles(testenv.Leaf{DNS: []string{node}}, filepath.Join(k.envoy, "tls.crt"), filepath.Join(k.envoy, "tls.key"))
	for _, d := range []string{k.server, k.trust} {
		testenv.ReplaceFile(k.t, filepath.Join(d, "ca.crt"), ca.PEM)
	}
}

// replace has the files of another authority take the place of those that an Envoy
// uses, in the worst order: it looks at each step, and what it sees does not fit.
func (k doorKeys) replace(ca *testenv.CA, node string, gauge func(name string) int) {
	k.t.Helper()
	seen := func(secret string) {
		k.t.Helper()
		testenv.Eventually(k.t, "Envoy has seen half of the certificates of "+secret, func() error {
			if gauge("sds."+secret+".key_rotation_failed") == 0 {
				return errors.New("it has not")
			}
			return nil
		})
	}
	ca.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, filepath.Join(k.server, "tls.crt"), filepath.Join(k.server, "tls.key"))
	testenv.ReplaceFile(k.t, filepath.Join(k.server, "ca.crt"), ca.PEM)
	certificate, key := ca.Issue(testenv.Leaf{DNS: []string{node}})
	testenv.ReplaceFile(k.t, filepath.Join(k.envoy, "tls.key"), key)
	seen("gatewright-certificate")
	seen("gatewright-calls-certificate")
	testenv.ReplaceFile(k.t, filepath.Join(k.trust, "ca.crt"), ca.PEM)
	seen("gatewright-ca")
	seen("gatewright-calls-ca")
	testenv.ReplaceFile(k.t, filepath.Join(k.envoy, "tls.crt"), certificate)
}

// env are the settings of the server.
func (k doorKeys) env(addr string) []string {
	return []string{
		"GATEWRIGHT_GRPC_ADDR=" + addr,
		"GATEWRIGHT_GRPC_CERT=" + filepath.Join(k.server, "tls.crt"),
		"GATEWRIGHT_GRPC_KEY=" + filepath.Join(k.server, "tls.key"),
		"GATEWRIGHT_GRPC_CA=" + filepath.Join(k.server, "ca.crt"),
		"GATEWRIGHT_GRPC_BIND_NODE_ID=true",
	}
}

// envoyWithTLS starts an Envoy from `gatewright bootstrap --out`.
// It returns where its admin interface is.
func (k doorKeys) envoyWithTLS(g *gateway, node string) (admin string) {
	k.t.Helper()
	out, admin := k.t.TempDir(), filepath.Join(testenv.ShortDir(k.t), "admin")
	g.run("bootstrap", "--out", out, "--node", node, "--admin", "unix:"+admin,
		"--control-cert", filepath.Join(k.envoy, "tls.crt"), "--control-key", filepath.Join(k.envoy, "tls.key"),
		"--control-ca", filepath.Join(k.trust, "ca.crt"), "--control-server-name", "gatewright.internal")
	testenv.StartEnvoy(k.t, testenv.EnvoyRun{File: filepath.Join(out, "envoy.yaml"), Stdout: g.stdout, Stderr: g.stderr})
	return admin
}

// serves waits until the gateway answers.
func (g *gateway) serves(path string) {
	g.t.Helper()
	eventually(g.t, "the gateway answers "+path, func() error {
		r, err := try(http.MethodGet, g.url("public", path))
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	})
}

// TestEnvoyOverTLS: an Envoy with a certificate has its config, its judge and
// its access log over mTLS; all certificates of both ends are replaced by
// those of another authority while it runs; and an Envoy that says to be
// another than its certificate names has nothing.
func TestEnvoyOverTLS(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	config := `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["` + app.Addr() + `"]}
auth: {apiKey: {keys: {}}}
routes:
  - {name: hello, match: {path: /hello}, auth: public, respond: {status: 200, body: "hello"}}
  - {name: protected, match: {path: /protected}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
`
	keys := newDoorKeys(t)
	keys.issue(testenv.NewCA(t), "edge-7")
	g := launch(t, setup{config: config, serve: true, env: keys.env(testenv.Addr(t))})
	g.waitReady()
	admin := keys.envoyWithTLS(g, "edge-7")
	g.serves("/hello")
	get(t, g.url("public", "/protected")).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/protected"), g.createKey().header()).ok(t)
	g.hasMetric(`gatewright_requests_total{backend="app",code="200",route="protected"} 1`)

	// All is replaced; the stream that is open goes on.
	keys.replace(testenv.NewCA(t), "edge-7", func(name string) int { return envoyGauge(t, admin, name) })
	g.hasMetric(`gatewright_grpc_certificate_reloads_total{result="applied"} 1`)
	g.write(strings.Replace(config, "name: hello, match: {path: /hello}", "name: hello, match: {path: /hello-again}", 1))
	g.serves("/hello-again")

	// A restart breaks every connection: Envoy comes back with its new
	// certificate, to one that is new, too.
	g.kill()
	again := g.command("serve", "-c", g.file)
	again.Stderr = g.stderr
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Process.Kill(); _ = again.Wait() })
	g.waitServed()
	eventually(t, "requests are judged again", func() error {
		if r := get(t, g.url("public", "/protected")); r.Status != http.StatusUnauthorized {
			return errStatus(r)
		}
		return nil
	})
	if m := g.metrics(); !strings.Contains(m, `gatewright_grpc_refused_total{reason="node-not-in-cert"} 0`) {
		t.Errorf("somebody was refused who should not be:\n%s", m)
	}

	keys.envoyWithTLS(g, "edge-8")
	eventually(t, "the Envoy that says to be another is refused", func() error {
		if strings.Contains(g.metrics(), `gatewright_grpc_refused_total{reason="node-not-in-cert"} 0`) {
			return errors.New("it is not")
		}
		return nil
	})
	g.hasMetric("gatewright_xds_connected_envoys 1")
}

// TestRunWithTLS: the gateway's own Envoy needs no certificate, others do.
// Nothing but incremental ADS is served of Envoy's discovery protocols, to
// them least of all by unary methods.
func TestRunWithTLS(t *testing.T) {
	t.Parallel()
	ca, keys := testenv.NewCA(t), newDoorKeys(t)
	keys.issue(ca, "edge-7")
	addr := testenv.Addr(t)
	g := start(t, setup{config: hello, env: keys.env(addr)})
	get(t, g.url("public", "/hello")).ok(t)

	trusted := dialDoor(t, addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "gatewright.internal",
		Certificates: []tls.Certificate{ca.Pair(testenv.Leaf{DNS: []string{"edge-7"}})}})
	stranger := dialDoor(t, addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "gatewright.internal"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, method := range []string{
		"listener.v3.ListenerDiscoveryService/FetchListeners",
		"route.v3.RouteDiscoveryService/FetchRoutes",
		"route.v3.ScopedRoutesDiscoveryService/FetchScopedRoutes",
		"cluster.v3.ClusterDiscoveryService/FetchClusters",
		"endpoint.v3.EndpointDiscoveryService/FetchEndpoints",
		"secret.v3.SecretDiscoveryService/FetchSecrets",
		"runtime.v3.RuntimeDiscoveryService/FetchRuntime",
		"extension.v3.ExtensionConfigDiscoveryService/FetchExtensionConfigs",
	} {
		for conn, want := range map[*grpc.ClientConn]codes.Code{trusted: codes.Unimplemented, stranger: codes.Unavailable} {
			err := conn.Invoke(ctx, "/envoy.service."+method, &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{})
			if status.Code(err) != want {
				t.Errorf("%s: %v, want %v", method, err, want)
			}
		}
	}
	get(t, g.url("public", "/hello")).ok(t)
}

func dialDoor(t *testing.T, addr string, c *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(c)), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hasMetric waits for a line of /metrics.
func (g *gateway) hasMetric(line string) {
	g.t.Helper()
	eventually(g.t, "there is "+line, func() error {
		if m := g.metrics(); !strings.Contains(m, line+"\n") {
			return fmt.Errorf("it is not in\n%s", m)
		}
		return nil
	})
}

// waitServed waits until a process at the admin address is ready, whichever.
func (g *gateway) waitServed() {
	g.t.Helper()
	eventually(g.t, "it is ready again", func() error {
		resp, err := http.Get("http://" + g.admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
