package test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestStateOfTheWorld: an Envoy whose bootstrap asks for the other variant of
// xDS, which a mesh may have. Routes with backends of their own come and go
// under load, first in one table and then host by host; what it refuses is set
// aside; and it is neither left behind nor asked in a loop.
func TestStateOfTheWorld(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := launch(t, setup{config: withMore(app.Addr()), serve: true})
	g.waitReady()
	worldEnvoy(t, g)
	eventually(t, "Envoy serves", func() error {
		_, err := try(http.MethodGet, g.url("public", "/app/1"))
		return err
	})
	stop := load(g.url("public", "/app/1"))
	serves := func(name string, status int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s answers %d", name, status), func() error {
			r := get(t, g.url("public", "/"+name))
			if r.Status != http.StatusOK && r.Status != http.StatusNotFound {
				t.Errorf("meanwhile: %v", errStatus(r))
			}
			if r.Status != status {
				return errStatus(r)
			}
			return nil
		})
	}
	many := manyRoutes(50, 20)
	for _, filler := range []string{"", many} {
		for i := range 3 {
			name := fmt.Sprintf("extra-%d", i)
			g.write(withMore(app.Addr(), name) + filler)
			serves(name, http.StatusOK)
		}
		serves("extra-0", http.StatusNotFound)
	}
	for i := range 2 { // hosts come and go
		host := header{"Host", fmt.Sprintf("come-%d.org", i)}
		g.write(withMore(app.Addr(), "extra-0") + many +
			fmt.Sprintf("  - {name: come, match: {hosts: [%s], path: /come}, auth: public, to: [{backend: app}]}\n", host.value))
		eventually(t, "the host serves", func() error {
			if r := get(t, g.url("public", "/come"), host); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
	}
	eventually(t, "the host that went is gone", func() error {
		if r := get(t, g.url("public", "/come"), header{"Host", "come-0.org"}); r.Status != http.StatusNotFound {
			return errStatus(r)
		}
		return nil
	})

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	g.replace(strings.Replace(withMore(app.Addr(), "extra-1"), "backends:", "  - {name: second, address: \""+taken.Addr().String()+"\"}\nbackends:", 1))
	serves("extra-1", http.StatusOK)
	eventually(t, "the refusal is told", func() error {
		if r, _ := g.status(); r.LastReload.Result != "refused" || len(r.LastReload.Faults) != 1 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	refused, _ := g.xdsAnswers()
	g.write(withMore(app.Addr(), "extra-2"))
	serves("extra-2", http.StatusOK)
	eventually(t, "all is well, and everybody up to date", func() error {
		if r, code := g.status(); code != 0 || r.LastReload.Result != "applied" || len(r.Envoys) != 1 || !r.Envoys[0].UpToDate {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	if after, _ := g.xdsAnswers(); after-refused > 12 {
		n := after - refused
		t.Errorf("Envoy has answered %d times since it refused", n)
	}
	if sent, failures := stop(); len(failures) > 0 || sent < 100 {
		t.Errorf("%d of %d requests failed: %v", len(failures), sent, failures)
	}
	if strings.Contains(g.stderr.String(), "envoys do not answer") {
		t.Error("Envoy was waited for in vain")
	}
}

// worldEnvoy starts an Envoy that speaks the state of the world.
func worldEnvoy(t *testing.T, g *gateway) {
	t.Helper()
	bootstrap := g.run("bootstrap", "--admin", "127.0.0.1:0")
	world := bytes.Replace(bootstrap, []byte("api_type: DELTA_GRPC"), []byte("api_type: GRPC"), 1)
	if bytes.Equal(bootstrap, world) {
		t.Fatalf("the bootstrap has no api_type to change:\n%s", bootstrap)
	}
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: world, Stdout: g.stdout, Stderr: g.stderr})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("standard error of the gateway:\n%s", g.stderr)
		}
	})
}
