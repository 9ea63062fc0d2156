package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// changing is a gateway whose config the stories change.
const changing = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
{{range .more}}  {{.}}: {endpoints: ["{{$.app}}"]}
{{end}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}]}
{{range .more}}  - {name: {{.}}, match: {path: /{{.}}}, auth: public, to: [{backend: {{.}}}]}
{{end}}
`

// withMore fills in the backends and routes of changing beside the first.
func withMore(app string, more ...string) string {
	config := strings.ReplaceAll(changing, "{{$.app}}", app)
	config = strings.ReplaceAll(config, "{{.app}}", app)
	for {
		before, rest, found := strings.Cut(config, "{{range .more}}")
		if !found {
			return config
		}
		line, after, _ := strings.Cut(rest, "{{end}}")
		for _, name := range more {
			before += strings.ReplaceAll(line, "{{.}}", name)
		}
		config = before + after
	}
}

// load sends requests without a pause until stop, which returns how many were
// sent and what went wrong with those that were not answered with 200.
func load(url string) (stop func() (sent int64, failures []string)) {
	var (
		sent     atomic.Int64
		ended    atomic.Bool
		mu       sync.Mutex // guards failures
		failures []string
		wg       sync.WaitGroup
	)
	for range 4 {
		wg.Go(func() {
			for !ended.Load() {
				r, err := try(http.MethodGet, url)
				sent.Add(1)
				if err != nil || r.Status != http.StatusOK {
					mu.Lock()
					failures = append(failures, fmt.Sprintf("status %d, error %v: %s", r.Status, err, r.Body))
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []string) {
		ended.Store(true)
		wg.Wait()
		return sent.Load(), failures
	}
}

// TestRoutesComeAndGoUnderLoad: of each route with a backend of its own the first
// answer is never an error of the gateway's own but "no such route", and nobody else
// notices. How soon it serves is for bench/control to say.
func TestRoutesComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr())})
	stop := load(g.url("public", "/app/1"))
	var more []string
	for i := range 10 {
		name := fmt.Sprintf("extra-%d", i)
		more = append(more, name)
		g.write(withMore(app.Addr(), more...))
		eventually(t, "the new route serves", func() error {
			r := get(t, g.url("public", "/"+name))
			if r.Status != http.StatusOK && r.Status != http.StatusNotFound {
				t.Errorf("before it served: %v", errStatus(r))
			}
			if r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
	}
	for len(more) > 0 {
		gone := more[0]
		more = more[1:]
		g.write(withMore(app.Addr(), more...))
		eventually(t, "the route is gone", func() error {
			r := get(t, g.url("public", "/"+gone))
			if r.Status != http.StatusOK && r.Status != http.StatusNotFound {
				t.Errorf("while it went: %v", errStatus(r))
			}
			if r.Status != http.StatusNotFound {
				return errStatus(r)
			}
			return nil
		})
	}
	sent, failures := stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed while routes came and went, first: %s", len(failures), sent, failures[0])
	}
	if sent < 100 {
		t.Errorf("only %d requests were sent: the load proves nothing", sent)
	}
}

// TestBackendChangesUnderLoad: a setting of the backend that is in use, and its
// endpoints. The change is live at once, not after Envoy's 15 s of patience.
func TestBackendChangesUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := backend(t, "one"), backend(t, "two")
	config := withMore(one.Addr())
	g := start(t, setup{config: config})
	stop := load(g.url("public", "/app/1"))
	for i, next := range []string{
		strings.Replace(config, `"]}`, `"], connections: {maxRequests: 500}}`, 1),
		strings.Replace(config, `"]}`, `"], connections: {maxRequests: 501}, outlierDetection: {}}`, 1),
		strings.Replace(config, one.Addr()+`"]}`, two.Addr()+`"], outlierDetection: {}}`, 1),
	} {
		g.write(next)
		g.applied(i + 1)
	}
	eventually(t, "the new endpoint is asked", func() error {
		if e := get(t, g.url("public", "/app/1")).ok(t).echo(t); e.Backend != "two" {
			return fmt.Errorf("it is %s", e.Backend)
		}
		return nil
	})
	if sent, failures := stop(); len(failures) > 0 {
		t.Errorf("%d of %d requests failed, first: %s", len(failures), sent, failures[0])
	}
	if strings.Contains(g.stderr.String(), "do not answer") {
		t.Error("Envoy was waited for in vain: a changed cluster did not get its endpoints")
	}
}

// applied waits until n changes of the config have been applied after the first.
func (g *gateway) applied(n int) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("change %d is applied", n), func() error {
		if got := strings.Count(g.stderr.String(), "config applied") - 1; got < n {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// TestBrokenFileChangesNothing, and every fault is told with its line.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr(), "extra")})
	for name, c := range map[string]struct{ config, want string }{
		"not YAML":          {"listeners: [", "gateway.yaml:1"},
		"empty":             {"", "gateway.yaml"},
		"an unknown field":  {strings.Replace(withMore(app.Addr(), "extra"), "endpoints:", "endpoint:", 1), "gateway.yaml:5: backends.app.endpoint"},
		"a dangling name":   {strings.Replace(withMore(app.Addr(), "extra"), "{backend: extra}", "{backend: extras}", 1), "did you mean"},
		"a bound below 0":   {strings.Replace(withMore(app.Addr(), "extra"), "auth: public", "auth: public, maxBodyBytes: -1", 1), "must be at least 0"},
		"half of the file":  {withMore(app.Addr(), "extra")[:90], "gateway.yaml:"},
		"two equal routes":  {withMore(app.Addr(), "extra", "extra"), "extra"},
		"a fault in a text": {"listeners:\n\t- a\n", "gateway.yaml:2"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.stderr.String())
			g.write(c.config)
			eventually(t, "the fault is told", func() error {
				if told := g.stderr.String()[before:]; !strings.Contains(told, c.want) {
					return fmt.Errorf("not in: %s", told)
				}
				return nil
			})
			get(t, g.url("public", "/extra")).ok(t)
		})
	}
	if !strings.Contains(g.metrics(), "\ngatewright_config_last_reload_successful 0\n") {
		t.Error("the metric does not say that the last reload failed")
	}
	g.write(withMore(app.Addr(), "extra", "mended"))
	eventually(t, "the mended file is applied", func() error {
		if r := get(t, g.url("public", "/mended")); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
}

// TestWhatEnvoyRefusesIsSetAside: a listener on a port that is taken. Envoy's own
// words are told, everything else of the change is served, changes after it
// are, too, and Envoy is not asked again and again.
func TestWhatEnvoyRefusesIsSetAside(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr())})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	withSecond := func(more ...string) string {
		return strings.Replace(withMore(app.Addr(), more...), "backends:",
			"  - {name: second, address: \""+taken.Addr().String()+"\"}\nbackends:", 1)
	}
	before, _ := g.xdsAnswers()
	for i := range 4 {
		var more []string
		for k := range i + 1 {
			more = append(more, fmt.Sprintf("extra-%d", k))
		}
		g.write(withSecond(more...))
		eventually(t, "the rest of the change serves", func() error {
			if r := get(t, g.url("public", "/"+more[i])); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
	}
	eventually(t, "the refusal is told", func() error {
		told := g.stderr.String()
		for _, want := range []string{"a part of the config is not served", "name=second", "Address already in use"} {
			if !strings.Contains(told, want) {
				return fmt.Errorf("%q is not", want)
			}
		}
		return nil
	})
	get(t, g.url("public", "/app/1")).ok(t)
	if m := g.metrics(); !strings.Contains(m, `gatewright_xds_nacks_total{type="Listener"} 1`) {
		t.Error("the metric does not count one NACK: was it sent again?")
	}
	// Four changes, each with a cluster, its endpoints and a table; one refusal,
	// and the listener that is taken back.
	if after, _ := g.xdsAnswers(); after-before > 4*3+2*2 {
		n := after - before
		t.Errorf("Envoy has answered %d times", n)
	}
	g.replace(withMore(app.Addr(), "extra-0"))
	eventually(t, "all is well", func() error {
		if r, code := g.status(); code != 0 || r.LastReload.Result != "applied" {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
}

// xdsAnswers is how many responses Envoys have accepted or refused, and beside them those
// with what filters ask for beside listeners, as the version of the config for the log.
func (g *gateway) xdsAnswers() (answers, beside int) {
	g.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^gatewright_xds_(?:acks|nacks)_total\{type="(.*)"\} (\d+)$`).FindAllStringSubmatch(g.metrics(), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			g.t.Fatal(err)
		}
		if m[1] == "TypedExtensionConfig" {
			beside += n
		} else {
			answers += n
		}
	}
	return answers, beside
}

// TestWaysToWriteTheFile: in place in pieces, and by turning a symbolic link, as
// Kubernetes does. (All other stories rename.)
func TestWaysToWriteTheFile(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr())})
	served := func(name string) {
		t.Helper()
		eventually(t, name+" serves", func() error {
			if r := get(t, g.url("public", "/"+name)); r.Status != http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
	}
	f, err := os.OpenFile(g.file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := g.render(withMore(app.Addr(), "in-place"))
	for _, part := range [][]byte{text[:50], text[50:100], text[100:]} {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	served("in-place")

	link := func(name string) {
		t.Helper()
		dir := filepath.Join(g.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), g.render(withMore(app.Addr(), name)), 0o600); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(g.dir, "..next")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(g.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("first-link")
	if err := os.Remove(g.file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", "gateway.yaml"), g.file); err != nil {
		t.Fatal(err)
	}
	served("first-link")
	link("second-link")
	served("second-link")
}

// TestProtectionComesWithItsRoute: a route that becomes protected is never
// served by a mixture of old and new.
func TestProtectionComesWithItsRoute(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	open := withMore(app.Addr())
	closed := strings.Replace(open, "backends:", "auth: {apiKey: {keys: {}}}\nbackends:", 1)
	closed = strings.Replace(closed, "auth: public", "auth: {anyOf: [{apiKey: keys}]}", 1)
	g := start(t, setup{config: open})
	url := g.url("public", "/app/1")
	for range 5 {
		for _, c := range []struct {
			config string
			status int
		}{{closed, 401}, {open, 200}} {
			g.write(c.config)
			eventually(t, fmt.Sprintf("it answers %d", c.status), func() error {
				r := get(t, url)
				if r.Status != 200 && r.Status != 401 {
					t.Errorf("meanwhile: %v", errStatus(r))
				}
				if r.Status != c.status {
					return errStatus(r)
				}
				return nil
			})
		}
	}
}
