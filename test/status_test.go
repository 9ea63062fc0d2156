package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// statusReport is what `gatewright status -o json` prints.
type statusReport struct {
	Config struct {
		Version          string
		Routes, Backends int
	}
	LastReload struct {
		Result string
		Faults []string
	}
	Envoys []struct {
		Node, Version string
		UpToDate      bool
		Refused       *struct{ Type, Message string }
	}
}

// status runs the command, and returns what it prints and its exit code.
func (g *gateway) status() (r statusReport, code int) {
	g.t.Helper()
	out, err := g.command("status", "-o", "json").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		g.t.Fatal(err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		g.t.Fatalf("status printed %s: %v", out, err)
	}
	return r, code
}

// TestStatusTellsWhatIsWrong: a config with a fault, and one that Envoy refuses,
// each in the words of who found it; and that all is well again.
func TestStatusTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr(), "extra")})
	eventually(t, "all is well", func() error {
		r, code := g.status()
		if code != 0 || len(r.Envoys) != 1 || !r.Envoys[0].UpToDate || r.Envoys[0].Version != "1.40.0" || r.Config.Routes != 2 || r.Config.Backends != 2 {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	well, _ := g.status()
	if well.LastReload.Result != "applied" {
		t.Errorf("the config that the gateway started with is %q", well.LastReload.Result)
	}

	g.write(strings.Replace(withMore(app.Addr(), "extra"), "endpoints:", "endpoint:", 1))
	eventually(t, "the fault is told", func() error {
		r, code := g.status()
		if code != 1 || r.LastReload.Result != "invalid" || len(r.LastReload.Faults) != 1 ||
			!strings.Contains(r.LastReload.Faults[0], "gateway.yaml:5: backends.app.endpoint: unknown field") {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	g.write(strings.Replace(withMore(app.Addr(), "extra", "more"), "backends:",
		"  - {name: second, address: \""+taken.Addr().String()+"\"}\nbackends:", 1))
	eventually(t, "the refusal is told in Envoy's words", func() error {
		r, code := g.status()
		if code != 1 || r.LastReload.Result != "refused" || len(r.Envoys) != 1 || r.Envoys[0].Refused == nil ||
			r.Envoys[0].Refused.Type != "Listener" || !strings.Contains(r.Envoys[0].Refused.Message, "Address already in use") {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		if len(r.LastReload.Faults) != 1 || !strings.Contains(r.LastReload.Faults[0], "Listener second: refused by Envoy") {
			t.Errorf("faults: %q", r.LastReload.Faults)
		}
		if r.Config.Version == well.Config.Version || r.Config.Routes != 3 {
			t.Errorf("what was not refused is not served: %+v", r.Config)
		}
		return nil
	})

	g.write(withMore(app.Addr(), "extra", "more"))
	eventually(t, "all is well again", func() error {
		if r, code := g.status(); code != 0 || r.Config.Routes != 3 {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
	if out := string(g.run("status")); !strings.Contains(out, "up to date") || !strings.Contains(out, "3 routes") {
		t.Errorf("as text: %s", out)
	}
}

func TestStatusOfNobody(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: hello})
	g.kill()
	out, err := g.command("status").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "GATEWRIGHT_ADMIN_ADDR="+g.admin) || !strings.Contains(string(out), "connection refused") {
		t.Errorf("%v: %s", err, out)
	}
}
