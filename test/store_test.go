package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/gatewright/gatewright/internal/testenv"
)

// etcdServer is a real etcd of one member, in this process.
type etcdServer struct {
	t      *testing.T
	dir    string
	client url.URL
	peer   url.URL
	server *embed.Etcd
}

func startEtcd(t *testing.T) *etcdServer {
	t.Helper()
	e := &etcdServer{t: t, dir: t.TempDir()}
	e.client = url.URL{Scheme: "http", Host: testenv.Addr(t)}
	e.peer = url.URL{Scheme: "http", Host: testenv.Addr(t)}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func (e *etcdServer) start() {
	e.t.Helper()
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs = e.dir, "error", []string{filepath.Join(e.dir, "log")}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{e.client}, []url.URL{e.client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{e.peer}, []url.URL{e.peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	var err error
	if e.server, err = embed.StartEtcd(c); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-e.server.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		e.t.Fatal("etcd is not ready")
	}
}

func (e *etcdServer) stop() {
	if e.server != nil {
		e.server.Close()
		e.server = nil
	}
}

func (e *etcdServer) location() string { return "etcd://" + e.client.Host + "/gateway" }

// apply writes a config by the command, and returns its version.
func (g *gateway) apply(location, config string, more ...string) (int64, error) {
	g.t.Helper()
	file := filepath.Join(g.t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, g.render(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
	out, err := g.command(append([]string{"apply", file, "-c", location, "-o", "json"}, more...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 0, fmt.Errorf("exit code %d: %s", exit.ExitCode(), exit.Stderr)
	}
	var v struct{ Number int64 }
	if err := errors.Join(err, json.Unmarshal(out, &v)); err != nil {
		g.t.Fatal(err)
	}
	return v.Number, nil
}

func (g *gateway) mustApply(location, config string, more ...string) int64 {
	g.t.Helper()
	n, err := g.apply(location, config, more...)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// awaitStatus waits for a route's status.
func (g *gateway) awaitStatus(path string, status int) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%s answers %d", path, status), func() error {
		r, err := try(http.MethodGet, g.url("public", path))
		if err == nil && r.Status != status {
			err = errStatus(r)
		}
		return err
	})
}

// TestConfigInEtcd: a gateway whose config is in etcd, from the first apply over
// conflicts and a rollback to a start while etcd is down: it then serves what
// it served last, and follows etcd again when that is back.
func TestConfigInEtcd(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	app := backend(t, "app")
	at := etcd.location()
	g := prepared(t, setup{config: withMore(app.Addr()), location: at})
	first := g.mustApply(at, withMore(app.Addr(), "one"), "-m", "the first", "--author", "alice")
	g.launch("run")
	g.waitReady()
	g.awaitStatus("/one", 200)
	second := g.mustApply(at, withMore(app.Addr(), "one", "two"), "-m", "the second", "--author", "bob")
	g.awaitStatus("/two", 200)

	// Two writers that both know the second version: one of them is told.
	var wg sync.WaitGroup
	results := make([]error, 2)
	for i := range results {
		wg.Go(func() {
			_, results[i] = g.apply(at, withMore(app.Addr(), "one", "two", fmt.Sprintf("by-%d", i)), "--based-on", fmt.Sprint(second))
		})
	}
	wg.Wait()
	conflicts := 0
	for _, err := range results {
		if err != nil {
			conflicts++
			if !strings.Contains(err.Error(), "changed meanwhile") || !strings.Contains(err.Error(), "exit code 1") {
				t.Errorf("a conflict is told as %v", err)
			}
		}
	}
	if conflicts != 1 {
		t.Errorf("%d of two writers were told of a conflict, want 1: %v", conflicts, results)
	}

	if _, err := g.apply(at, "listeners: []\n"); err == nil || !strings.Contains(err.Error(), "gateway.yaml:1: listeners") {
		t.Errorf("a config with faults: %v", err)
	}
	if _, err := g.apply(at, withMore(app.Addr())); err == nil || !strings.Contains(err.Error(), "would drop 3 of 4 routes") {
		t.Errorf("a config that drops most routes: %v", err)
	}
	g.run("rollback", fmt.Sprint(second), "-c", at, "-m", "back")
	g.awaitStatus("/two", 200)
	var history []struct {
		Number       int64
		Who, Why     string
		RolledBackTo int64
	}
	if err := json.Unmarshal(g.run("history", "-c", at, "-o", "json"), &history); err != nil {
		t.Fatal(err)
	}
	if len(history) != 4 || history[0].RolledBackTo != second || history[3].Who != "alice" || history[3].Why != "the first" || history[3].Number != first {
		t.Errorf("history: %+v", history)
	}
	if got := string(g.run("history", fmt.Sprint(first), "-c", at)); !strings.Contains(got, "/one") || strings.Contains(got, "/two") {
		t.Errorf("the content of the first version: %s", got)
	}

	// Without etcd: it goes on, and it starts.
	etcd.stop()
	g.awaitStatus("/two", 200)
	g.stop()
	g.launch("run")
	g.waitReady()
	g.awaitStatus("/two", 200)
	r, code := g.status()
	if code != 1 || r.LastReload.Result != "stale" || len(r.LastReload.Faults) == 0 {
		t.Errorf("status without etcd: exit code %d: %+v", code, r)
	}
	etcd.start()
	g.mustApply(at, withMore(app.Addr(), "one", "two", "three"))
	g.awaitStatus("/three", 200)
	eventually(t, "all is well with etcd again", func() error {
		if r, code := g.status(); code != 0 || r.LastReload.Result != "applied" {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	g.stop()
}

// TestLastGoodConfig: a gateway whose file is gone or broken when it starts serves
// the last good one; one that has never served anything does not start.
func TestLastGoodConfig(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr(), "extra")})
	g.awaitStatus("/extra", 200)
	for name, spoil := range map[string]func() error{
		"gone":    func() error { return os.Remove(g.file) },
		"empty":   func() error { return os.WriteFile(g.file, nil, 0o600) },
		"invalid": func() error { return os.WriteFile(g.file, []byte("listeners: 1\n"), 0o600) },
	} {
		g.stop()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		g.launch("run")
		g.waitReady()
		g.awaitStatus("/extra", 200)
		if r, code := g.status(); code != 1 || r.LastReload.Result != "stale" && r.LastReload.Result != "invalid" || len(r.LastReload.Faults) == 0 {
			t.Errorf("%s: status: exit code %d: %+v", name, code, r)
		}
		if !strings.Contains(g.stderr.String(), "serving the last good config") {
			t.Errorf("%s: nothing is said of the last good config", name)
		}
	}
	g.write(withMore(app.Addr(), "extra", "mended"))
	g.awaitStatus("/mended", 200)
	g.stop()
	other := g.command("run", "-c", filepath.Join(g.dir, "other.yaml"))
	if out, err := other.CombinedOutput(); err == nil || !strings.Contains(string(out), "there is no config") {
		t.Errorf("another file than the one that was served: %v: %s", err, out)
	}
}

// TestMostRoutesAreNotDroppedByMistake: a file that lost most of its routes is
// withheld until somebody says that it is meant.
func TestMostRoutesAreNotDroppedByMistake(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr(), "one", "two", "three")})
	g.write(withMore(app.Addr()))
	eventually(t, "the change is withheld", func() error {
		r, code := g.status()
		if code != 1 || r.LastReload.Result != "withheld" || !strings.Contains(strings.Join(r.LastReload.Faults, ""), "would drop 3 of 4 routes (one, two, three)") {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	g.awaitStatus("/three", 200)
	if out, err := g.command("apply", g.file, "-c", g.file).CombinedOutput(); err != nil {
		// The file is what is there already: nothing is dropped from it.
		t.Errorf("%v: %s", err, out)
	}
	g.awaitStatus("/three", 200)
	g.run("apply", g.file, "-c", g.file, "--force", "-m", "they are not needed any more")
	g.awaitStatus("/three", 404)
	g.awaitStatus("/app/1", 200)
	eventually(t, "all is well", func() error {
		if r, code := g.status(); code != 0 || r.LastReload.Result != "applied" {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	renamed := strings.NewReplacer("name: app,", "name: shop,").Replace(withMore(app.Addr()))
	g.write(renamed)
	eventually(t, "a route that is renamed is not dropped", func() error {
		if r, code := g.status(); code != 0 || r.LastReload.Result != "applied" {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
}
