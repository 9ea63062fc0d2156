package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// envoyPIDs are the pids of the Envoys that a gateway has started so far.
func (g *gateway) envoyPIDs() []int {
	g.t.Helper()
	var out []int
	for _, m := range regexp.MustCompile(`msg="envoy started" pid=(\d+)`).FindAllStringSubmatch(g.stderr.String(), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// gone waits until a process is no more.
func gone(t testing.TB, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d is gone", pid), func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	})
}

// TestEnvoyThatIsKilledComesBack, with the same config.
func TestEnvoyThatIsKilledComesBack(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: hello})
	get(t, g.url("public", "/hello")).ok(t)
	first := g.envoyPIDs()[0]
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway serves again", func() error {
		r, err := try(http.MethodGet, g.url("public", "/hello"))
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	})
	if pids := g.envoyPIDs(); len(pids) != 2 || pids[1] == first {
		t.Errorf("Envoys: %v, want two", pids)
	}
}

// TestRequestsInFlightEnd: asked to stop, the gateway says so to load balancers,
// lets a request that is on its way come to its end, and leaves no process.
func TestRequestsInFlightEnd(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr())})
	slow := make(chan error, 1)
	go func() {
		r, err := try(http.MethodGet, g.url("public", "/app/1?delay=1500ms"))
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		slow <- err
	}()
	eventually(t, "the slow request is on its way", func() error {
		if app.Requests() == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	if err := g.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not ready any more, or gone", func() error {
		resp, err := http.Get("http://" + g.admin + "/readyz")
		if err != nil {
			return nil
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("/readyz: %s", resp.Status)
		}
		return nil
	})
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if code := g.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	gone(t, g.envoyPIDs()[0])
	if _, err := net.Dial("tcp", g.listeners["public"]); err == nil {
		t.Error("the port is still open")
	}
}

// TestNothingIsLeftBehind: even a gateway that is killed takes its Envoy with it.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: hello})
	pid := g.envoyPIDs()[0]
	g.kill()
	gone(t, pid)
}

// TestJudgeIsKilled: while Gatewright is gone, its Envoy denies what it cannot
// judge, goes on with what needs no judgement, and recovers by itself.
func TestJudgeIsKilled(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	config := strings.Replace(withMore(app.Addr()), "routes:", `auth: {apiKey: {keys: {}}}
routes:
  - {name: protected, match: {path: /protected}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}`, 1)
	g := launch(t, setup{config: config, serve: true})
	g.waitReady()
	ownEnvoy(t, g)
	key := g.createKey()
	eventually(t, "Envoy serves", func() error {
		r, err := try(http.MethodGet, g.url("public", "/protected"), key.header())
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	})

	g.kill()
	for range 5 {
		get(t, g.url("public", "/protected"), key.header()).denied(t, 503, "authz-unavailable")
		get(t, g.url("public", "/protected")).denied(t, 503, "authz-unavailable")
		get(t, g.url("public", "/app/1")).ok(t)
	}

	again := g.command("serve", "-c", g.file)
	again.Stderr = g.stderr
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Process.Kill(); _ = again.Wait() })
	eventually(t, "requests are judged again", func() error {
		if r := get(t, g.url("public", "/protected"), key.header()); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("public", "/protected")).denied(t, 401, "credential-missing")
}

// ownEnvoy starts an Envoy from `gatewright bootstrap`, as people do who run
// `gatewright serve`.
func ownEnvoy(t *testing.T, g *gateway) {
	t.Helper()
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: g.run("bootstrap", "--admin", "127.0.0.1:0"), Stdout: g.stdout, Stderr: g.stderr})
}

// TestStopsWhileStarting: a signal that comes early is heard.
func TestStopsWhileStarting(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: hello})
	eventually(t, "it has begun", func() error {
		if g.stderr.String() == "" {
			return errors.New("nothing is said yet")
		}
		return nil
	})
	began := time.Now()
	g.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
