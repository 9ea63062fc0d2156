package test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// hello is the smallest gateway that answers something.
const hello = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
routes:
  - {name: hello, match: {path: /hello}, auth: public, respond: {status: 200, body: "hello\n"}}
`

// TestBadStarts: what cannot go on ends at once, with a code that is not zero
// and one line that says where and what.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	directory := t.TempDir()
	for name, c := range map[string]struct {
		setup setup
		want  []string // in the last line of standard error
	}{
		"the listener's port is taken": {
			setup{config: strings.ReplaceAll(hello, `{{listen "public"}}`, taken.Addr().String())},
			[]string{`listener "public"`, taken.Addr().String(), "address already in use"},
		},
		"the port for operators is taken": {
			setup{config: hello, env: []string{"GATEWRIGHT_ADMIN_ADDR=" + taken.Addr().String()}},
			[]string{"GATEWRIGHT_ADMIN_ADDR=" + taken.Addr().String(), "address already in use"},
		},
		"the port for Envoys is taken": {
			setup{config: hello, env: []string{"GATEWRIGHT_GRPC_ADDR=" + taken.Addr().String()}},
			[]string{"GATEWRIGHT_GRPC_ADDR=" + taken.Addr().String(), "address already in use"},
		},
		"the port for Envoys could be reached by others": {
			setup{config: hello, env: []string{"GATEWRIGHT_GRPC_ADDR=0.0.0.0:0"}},
			[]string{"GATEWRIGHT_GRPC_ADDR=0.0.0.0:0", "loopback", "GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC"},
		},
		"TLS for Envoys is set by half": {
			setup{config: hello, env: []string{"GATEWRIGHT_GRPC_ADDR=127.0.0.1:0", "GATEWRIGHT_GRPC_CERT=tls.crt"}},
			[]string{"GATEWRIGHT_GRPC_KEY, GATEWRIGHT_GRPC_CA: not set", "GATEWRIGHT_GRPC_CERT is"},
		},
		"no Envoy": {
			setup{config: hello, env: []string{"GATEWRIGHT_ENVOY=/no/such/envoy"}},
			[]string{"no Envoy found", "/no/such/envoy"},
		},
		"an Envoy that does not run": {
			setup{config: hello, env: []string{"GATEWRIGHT_ENVOY=/bin/false"}},
			[]string{"envoy does not stay up", "exit status 1"},
		},
		"the config has a fault": {
			setup{config: strings.ReplaceAll(hello, "auth: public", "auth: publc")},
			[]string{"gateway.yaml:5", "routes[0].auth", "public"},
		},
		"the database is a directory": {
			setup{config: hello, env: []string{"GATEWRIGHT_DATABASE_URL=sqlite:" + directory}},
			[]string{directory},
		},
		"keys in PostgreSQL without a secret": {
			setup{config: hello, env: []string{"GATEWRIGHT_DATABASE_URL=postgres://localhost/keys"}},
			[]string{"GATEWRIGHT_KEY_SECRET is not set", "openssl rand"},
		},
		"keys in PostgreSQL on another machine, in the clear": {
			setup{config: hello, env: []string{"GATEWRIGHT_DATABASE_URL=postgres://gw:hunter2@db/keys"}},
			[]string{"sslmode=verify-full"},
		},
		"a secret of keys that is short": {
			setup{config: hello, env: []string{"GATEWRIGHT_KEY_SECRET=hunter2"}},
			[]string{"GATEWRIGHT_KEY_SECRET", "has 7 bytes", "at least 32"},
		},
		"a Redis URL that is none": {
			setup{config: hello, env: []string{"GATEWRIGHT_REDIS_URL=localhost:6379"}},
			[]string{"Redis"},
		},
		"a setting that is no duration": {
			setup{config: hello, env: []string{"GATEWRIGHT_DRAIN_TIMEOUT=soon"}},
			[]string{"GATEWRIGHT_DRAIN_TIMEOUT=soon", "time.Duration"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := launch(t, c.setup)
			if code := g.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			last := lastLine(g.stderr.String())
			for _, want := range c.want {
				if !strings.Contains(last, want) {
					t.Errorf("the last line does not say %q: %s", want, last)
				}
			}
		})
	}
}

func TestUnreadableConfig(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: hello})
	g.kill()
	out, err := g.command("run", "-c", filepath.Join(g.dir, "nothing.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nothing.yaml: there is no config: the file is not there") {
		t.Errorf("%v: %s", err, out)
	}
	if n := strings.Count(strings.TrimSpace(lastLine(string(out))), "\n"); n != 0 {
		t.Errorf("more than one line: %s", out)
	}
}

// TestCheckTellsAllFaultsAtOnce: one run, one line for each, exit code 1.
func TestCheckTellsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(`
listeners:
  - {name: public, adress: 127.0.0.1:8080}
backends:
  app: {endpoints: ["127.0.0.1:9101"]}
routes:
  - {name: a, match: {path: /a}, auth: public, to: [{backend: ap}]}
  - {name: b, match: {path: a}, auth: public, to: [{backend: app}], timeout: 5}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(binaries, "gatewright"), "check", file).CombinedOutput()
	if err == nil {
		t.Fatalf("it was accepted: %s", out)
	}
	for _, want := range []string{
		file + ":3: listeners[0].adress:", `did you mean "address"`,
		file + ":7: routes[0].to[0].backend:", `"app"`,
		file + ":8: routes[1].match.path:",
		file + ":8: routes[1].timeout:", "unit",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("not told: %q in\n%s", want, out)
		}
	}
}

// TestUnreachableRedisAtStart: it starts, says what it does meanwhile, and
// counts in its own memory.
func TestUnreachableRedisAtStart(t *testing.T) {
	t.Parallel()
	g := start(t, setup{
		config: limitedHello,
		env:    []string{"GATEWRIGHT_REDIS_URL=redis://" + testenv.Addr(t)},
	})
	url := g.url("public", "/limited")
	for range 2 {
		get(t, url).ok(t)
	}
	get(t, url).denied(t, 429, "rate-limited")
	if told := g.stderr.String(); !strings.Contains(told, "Redis") || !strings.Contains(told, "local") {
		t.Errorf("nothing was said of what is done without Redis:\n%s", told)
	}
}

// limitedHello lets two requests a day through for each client address.
const limitedHello = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
limits:
  two: {key: [clientIP], tokenBucket: {capacity: 2, refill: 1/d}}
routes:
  - {name: limited, match: {path: /limited}, auth: public, limits: [two], respond: {status: 200, body: "hello\n"}}
`

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
