// Package test runs the built gateway against a real Envoy, a real Redis and
// small backends, and says in stories what a user may rely on. One file a
// feature.
package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// binaries is the folder of the built programs.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatewright-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", "../cmd/gatewright", "../examples/quickstart", "../examples/demo", "../deploy/compose/firststart")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	// Pebble waits some seconds before it asks for a proof, unless it is told so.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer testenv.RemoveCollector()
	if err := runMoreAtOnce(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// runMoreAtOnce has more tests run at once than there are processors, unless -parallel
// says how many: what they do is mostly to wait, for an Envoy that starts, a config that
// arrives, a time that is over.
func runMoreAtOnce() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
}

// setup is what a gateway is started with.
type setup struct {
	config string
	values map[string]string
	env    []string
	serve  bool
	// module has Envoy remember verdicts by Gatewright's dynamic module.
	module bool
	// location is where the config is kept. Empty: in a file.
	location string
}

// gateway is a running `gatewright run` (or serve), with its Envoy.
type gateway struct {
	t         testing.TB
	dir       string
	file      string
	admin     string
	env       []string
	listeners map[string]string
	values    map[string]string
	cmd       *exec.Cmd
	stdout    *testenv.Output // Envoy's access log
	stderr    *testenv.Output
	exited    chan struct{} // closed when the process has ended
	exitErr   error         // why; read it after exited
}

// start runs a gateway, and returns when it is ready. The config is a template
// in which {{listen "name"}} is a free address and {{.name}} one of the values.
// When the test ends the gateway is stopped, and must end cleanly.
func start(t testing.TB, s setup) *gateway {
	t.Helper()
	g := launch(t, s)
	g.waitReady()
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("standard error of the gateway:\n%s", g.stderr)
		}
	})
	return g
}

// launch starts a gateway without waiting for anything.
func launch(t testing.TB, s setup) *gateway {
	t.Helper()
	g := prepared(t, s)
	if s.serve {
		g.launch("serve")
	} else {
		g.launch("run")
	}
	return g
}

// prepared is a gateway that is not started, with its config in its file.
func prepared(t testing.TB, s setup) *gateway {
	t.Helper()
	g := &gateway{
		t: t, dir: t.TempDir(), admin: testenv.Addr(t),
		listeners: map[string]string{}, values: s.values,
		stdout: &testenv.Output{}, stderr: &testenv.Output{},
	}
	g.file = filepath.Join(g.dir, "gateway.yaml")
	if s.module {
		s.config += moduleLine(t)
	}
	g.write(s.config)
	g.env = append(cleanEnvironment(),
		"GATEWRIGHT_GRPC_ADDR=unix:"+filepath.Join(testenv.ShortDir(t), "grpc"),
		"GATEWRIGHT_ADMIN_ADDR="+g.admin,
		"GATEWRIGHT_STATE_DIR="+filepath.Join(g.dir, "state"),
		"GATEWRIGHT_DATABASE_URL=sqlite:"+filepath.Join(g.dir, "keys.db"),
		"GATEWRIGHT_ENVOY_CONCURRENCY=1",
		"GATEWRIGHT_DRAIN_DELAY=0s",
		"GATEWRIGHT_DRAIN_TIMEOUT=5s",
		// On a machine as busy as this one a Redis that is well may take
		// longer than the 20 ms that production allows it.
		"GATEWRIGHT_REDIS_TIMEOUT=2s",
		"GATEWRIGHT_ENVOY="+testenv.Envoy(t))
	g.env = append(g.env, s.env...)
	if location := s.location; location != "" {
		g.env = append(g.env, "GATEWRIGHT_CONFIG="+location)
	} else {
		g.env = append(g.env, "GATEWRIGHT_CONFIG="+g.file)
	}
	return g
}

// launch starts the process, and may do so again when it has ended.
func (g *gateway) launch(command string) {
	g.t.Helper()
	g.launchAs(g.command(command))
}

// launchAs is launch of what may be another command that becomes a gateway.
func (g *gateway) launchAs(process *exec.Cmd) {
	g.t.Helper()
	g.cmd, g.exited = process, make(chan struct{})
	g.cmd.Stdout, g.cmd.Stderr = g.stdout, g.stderr
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	cmd, exited := g.cmd, g.exited
	go func() {
		g.exitErr = cmd.Wait()
		close(exited)
	}()
	g.t.Cleanup(g.kill)
}

// command is a gatewright command in the environment of this gateway.
func (g *gateway) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, "gatewright"), args...)
	cmd.Env = g.env
	cmd.Dir = g.dir
	return testenv.NoOrphan(cmd)
}

// run runs a gatewright command and returns its output. It must succeed.
func (g *gateway) run(args ...string) []byte {
	g.t.Helper()
	cmd := g.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gatewright %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// cleanEnvironment is the test's own without any setting of a gateway.
func cleanEnvironment() []string {
	var out []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GATEWRIGHT_") {
			out = append(out, pair)
		}
	}
	return out
}

// render fills a config template in.
func (g *gateway) render(config string) []byte {
	g.t.Helper()
	tmpl, err := template.New("gateway.yaml").Option("missingkey=error").Funcs(template.FuncMap{
		"listen": func(name string) string {
			if g.listeners[name] == "" {
				g.listeners[name] = testenv.Addr(g.t)
			}
			return g.listeners[name]
		},
	}).Parse(config)
	if err != nil {
		g.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, g.values); err != nil {
		g.t.Fatal(err)
	}
	return out.Bytes()
}

// write replaces the config file in one step, as `mv` does.
func (g *gateway) write(config string) {
	g.t.Helper()
	next := g.file + ".next"
	if err := os.WriteFile(next, g.render(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(next, g.file); err != nil {
		g.t.Fatal(err)
	}
}

// replace changes the config file though most routes go: as an operator does
// who means it.
func (g *gateway) replace(config string) {
	g.t.Helper()
	next := g.file + ".next"
	if err := os.WriteFile(next, g.render(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.run("apply", next, "-c", g.file, "--force")
}

// waitReady waits until /readyz says so.
func (g *gateway) waitReady() {
	g.t.Helper()
	eventually(g.t, "the gateway is ready", func() error {
		select {
		case <-g.exited:
			g.t.Fatalf("the gateway ended before it was ready: %v\n%s", g.exitErr, g.stderr)
		default:
		}
		resp, err := http.Get("http://" + g.admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, body)
		}
		return nil
	})
}

// stop asks the gateway to end, as a service manager does, and waits. A second
// call does nothing.
func (g *gateway) stop() {
	g.t.Helper()
	select {
	case <-g.exited:
		return
	default:
	}
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Errorf("stopping the gateway: %v", err)
	}
	select {
	case <-g.exited:
		if g.exitErr != nil {
			g.t.Errorf("the gateway, asked to stop, ended with %v\n%s", g.exitErr, g.stderr)
		}
	case <-time.After(20 * time.Second):
		g.t.Errorf("the gateway does not stop\n%s", g.stderr)
	}
}

// kill ends the gateway whatever state it is in.
func (g *gateway) kill() {
	select {
	case <-g.exited:
	default:
		_ = g.cmd.Process.Kill() // it may have ended meanwhile
		<-g.exited
	}
}

// wait returns the exit code of a gateway that ends by itself.
func (g *gateway) wait() int {
	g.t.Helper()
	select {
	case <-g.exited:
		return g.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		g.t.Fatalf("the gateway does not end by itself\n%s", g.stderr)
		return -1
	}
}

// url is a URL on a listener.
func (g *gateway) url(listener, path string) string {
	g.t.Helper()
	addr := g.listeners[listener]
	if addr == "" {
		g.t.Fatalf("no listener %q", listener)
	}
	return "http://" + addr + path
}

// eventually waits for a condition.
var eventually = testenv.Eventually

// logLine is one line of the access log.
type logLine map[string]any

// accessLog returns the lines so far. Each must be one JSON object.
func (g *gateway) accessLog() []logLine {
	g.t.Helper()
	var out []logLine
	text := g.stdout.String()
	whole := text[:strings.LastIndexByte(text, '\n')+1] // a line may be on its way
	scanner := bufio.NewScanner(strings.NewReader(whole))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line logLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			g.t.Fatalf("access log: %v: %s", err, scanner.Text())
		}
		out = append(out, line)
	}
	return out
}

// logged waits for the access log line of a request, by its path.
func (g *gateway) logged(path string) logLine {
	g.t.Helper()
	var found logLine
	eventually(g.t, "the request "+path+" is logged", func() error {
		for _, line := range g.accessLog() {
			if line["path"] == path {
				found = line
				return nil
			}
		}
		return fmt.Errorf("not in the %d lines so far", len(g.accessLog()))
	})
	return found
}

// metrics returns the text of /metrics.
func (g *gateway) metrics() string {
	g.t.Helper()
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.t.Fatalf("/metrics: %s %v", resp.Status, err)
	}
	return string(body)
}
