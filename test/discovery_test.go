package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const discovered = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  filed:
    discovery: {file: endpoints.yaml}
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
  users: {discovery: {consul: {service: users}}}
routes:
  - {name: filed, match: {path: /filed}, auth: public, to: [{backend: filed}]}
  - {name: users, match: {path: /users}, auth: public, to: [{backend: users}]}
`

// endpointsFile replaces the file of endpoints beside the config of a gateway.
func endpointsFile(t testing.TB, g *gateway, services ...service) {
	t.Helper()
	path := filepath.Join(g.dir, "endpoints.yaml")
	if err := os.WriteFile(path+".next", []byte("endpoints: ["+quotedList(services...)+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

// instanceAt is a healthy instance in Consul's catalogue.
func instanceAt(t testing.TB, s service) testenv.Instance {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Instance{ID: s.Addr(), Address: host, Port: number, Checks: []string{"passing"}}
}

// onlyAt waits until all requests are answered by one of these names, each of which
// answers some.
func onlyAt(t testing.TB, url string, names ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("requests are at %v", names), func() error {
		got := map[string]int{}
		for range 12 {
			r, err := try(http.MethodGet, url)
			if err != nil {
				return err
			}
			if r.Status != http.StatusOK {
				return errStatus(r)
			}
			got[r.Header.Get("X-Backend")]++
		}
		if len(got) != len(names) {
			return fmt.Errorf("they are at %v", got)
		}
		for _, name := range names {
			if got[name] == 0 {
				return fmt.Errorf("they are at %v", got)
			}
		}
		return nil
	})
}

// TestDiscovery: endpoints follow a file and Consul without a change of the config and
// without a failed request; what says nothing of use changes nothing and is told of; and
// a start while nobody can be asked has what was known last.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	a, b, c := backend(t, "a"), backend(t, "b"), backend(t, "c")
	consul := testenv.StartCatalogue(t)
	consul.Set("users", instanceAt(t, a))
	g := prepared(t, setup{config: discovered, env: []string{"GATEWRIGHT_CONSUL_ADDR=" + consul.URL}})
	endpointsFile(t, g, a)
	g.launch("run")
	g.waitReady()
	filed, users := g.url("public", "/filed"), g.url("public", "/users")
	onlyAt(t, filed, "a")
	onlyAt(t, users, "a")
	version := configVersion(t, g)

	t.Run("endpoints come and go without a failed request", func(t *testing.T) {
		var stop atomic.Bool
		var failed, asked atomic.Int64
		var wg sync.WaitGroup
		for _, url := range []string{filed, users, filed, users} {
			wg.Go(func() {
				for !stop.Load() {
					asked.Add(1)
					if r, err := try(http.MethodGet, url+"?delay=3ms"); err != nil || r.Status != http.StatusOK {
						failed.Add(1)
						t.Logf("%d %v %s", r.Status, err, r.Body)
					}
				}
			})
		}
		for range 4 {
			endpointsFile(t, g, b, c)
			consul.Set("users", instanceAt(t, b), instanceAt(t, c))
			onlyAt(t, filed, "b", "c")
			onlyAt(t, users, "b", "c")
			endpointsFile(t, g, a, b)
			consul.Set("users", instanceAt(t, a), instanceAt(t, b))
			onlyAt(t, filed, "a", "b")
			onlyAt(t, users, "a", "b")
		}
		stop.Store(true)
		wg.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
		}
		if now := configVersion(t, g); now != version {
			t.Errorf("the config has become %s, and was %s: endpoints are none of it", now, version)
		}
	})
	t.Run("what says nothing of use changes nothing, and is told of", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(g.dir, "endpoints.yaml"), []byte("endpoints: [10.0.0.1]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		consul.Set("users")
		eventually(t, "the status tells of both", func() error {
			cmd := g.command("status")
			out, err := cmd.CombinedOutput()
			for _, want := range []string{"endpoints.yaml:1: endpoints[0]: 10.0.0.1, must be host:port", "consul has 0 instances of users"} {
				if err == nil || !strings.Contains(string(out), want) {
					return fmt.Errorf("%w: %s", err, out)
				}
			}
			return nil
		})
		for _, want := range []string{`gatewright_discovery_faulty{backend="filed"} 1`, `gatewright_discovery_faulty{backend="users"} 1`, `gatewright_discovery_endpoints{backend="users"} 2`} {
			if !strings.Contains(g.metrics(), want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
		onlyAt(t, filed, "a", "b")
		onlyAt(t, users, "a", "b")
	})
	t.Run("a change whose endpoints are not known is not served", func(t *testing.T) {
		g.write(strings.ReplaceAll(discovered, "service: users", "service: strangers") + "  - {name: more, match: {path: /more}, auth: public, respond: {status: 200}}\n")
		consul.Fail(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
		eventually(t, "it is refused", func() error {
			if !strings.Contains(g.stderr.String(), "endpoints that the change needs are not known: backends.users.discovery") {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		onlyAt(t, users, "a", "b")
		g.write(discovered)
	})
	t.Run("a start while nobody can be asked has what was known last", func(t *testing.T) {
		g.stop()
		g.launch("run")
		g.waitReady()
		onlyAt(t, filed, "a", "b")
		onlyAt(t, users, "a", "b")
	})
	t.Run("what can be asked again is followed again", func(t *testing.T) {
		consul.Fail(nil)
		consul.Set("users", instanceAt(t, c))
		endpointsFile(t, g, c)
		onlyAt(t, filed, "c")
		onlyAt(t, users, "c")
		endpointsFile(t, g) // which somebody has said
		eventually(t, "there are none", func() error {
			if r := get(t, filed); r.Status != http.StatusServiceUnavailable {
				return errStatus(r)
			}
			return nil
		})
	})
	g.stop()
}

// configVersion is what the gateway says that it serves.
func configVersion(t testing.TB, g *gateway) string {
	t.Helper()
	first, _, _ := strings.Cut(string(g.run("status")), ":")
	return first
}
