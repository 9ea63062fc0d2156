package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// quickstart are the blocks that docs/quickstart.md has people paste: of the small set,
// and what the full one has beyond it.
func quickstart(t *testing.T) (small, full string) {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(document(t, "docs/quickstart.md"), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/quickstart.md shows %d blocks", len(blocks))
	}
	return blocks[0][1], blocks[1][1]
}

// TestSmallSet is the life of the small set: up for the first time, the quickstart's
// lines, a crash of each part, down and up again with what it has kept, and an end in
// good order.
func TestSmallSet(t *testing.T) {
	startEngine(t)
	buildImages(t)
	block, _ := quickstart(t)
	s := startStack(t)
	checkContainers(t, s)
	checkNetworks(t, s)
	// The first start is not waited for by its probes alone: the issuer's keys come then.
	s.awaitKeys()
	checkTour(t, s.paste(block))
	s.isLogged()
	s.reloads()

	key := s.newKey()
	s.admits(key)
	s.crash("gatewright")
	s.admits(key)
	s.crash("envoy")
	s.admits(key)
	s.crash("redis")
	s.admits(key)

	s.stopped()
	s.down()
	s.start() // volumes are there still, and with them the secrets and the key
	s.admits(key)
}

// TestFullSet: the same lines, and those about etcd and Prometheus.
func TestFullSet(t *testing.T) {
	startEngine(t)
	buildImages(t)
	small, full := quickstart(t)
	s := startStack(t, "--env-file", "deploy/compose/full.env")
	checkContainers(t, s)
	s.awaitKeys()
	checkTour(t, s.paste(small))
	eventually(t, upWithin, "Prometheus has seen the gateway", func() error {
		if out := s.paste(full[strings.Index(full, "curl"):]); !strings.Contains(out, `"job":"gatewright"},"value":[`) || !strings.Contains(out, `,"1"]`) {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	s.tellsSecrets(document(t, "docs/quickstart.md"))
	if os.Getenv(grafanaVariable) != "" {
		s.showsDashboard(document(t, "docs/quickstart.md"))
	}
	if out := s.paste(full); !strings.Contains(out, "compose") || !strings.Contains(out, "docker compose up") {
		t.Errorf("the history is %s", out)
	}
	s.tracesArrive(s.newKey())
	for service, c := range s.mustContainers() {
		if c.RestartCount > 0 {
			t.Errorf("%s has been started %d times again", service, c.RestartCount)
		}
	}
	s.stopped()
}

// awaitKeys waits until Gatewright has the keys of the demo's issuer.
func (s *stack) awaitKeys() {
	s.t.Helper()
	eventually(s.t, upWithin, "the keys of the issuer are there", func() error {
		out, err := s.docker("exec", "-T", "gatewright", "gatewright", "status").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "in use") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// checkTour is what the quickstart's lines come to.
func checkTour(t *testing.T, out string) {
	t.Helper()
	for _, want := range []string{"401 Unauthorized", `"reason":"credential-missing"`, "200 OK", `"X-User-Id":["alice"]`, `"X-User-Role":["buyer"]`,
		`"X-Trace-Id":["`, `"Traceparent":["00-`, `"X-Tenant-Id":["acme"]`, "200\n200\n200\n", "429 Too Many Requests", "retry-after: ",
		`"reason":"rate-limited"`, "envoy"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	total := 0
	for _, m := range regexp.MustCompile(`(\d+) "backend":"(users-v\d)"`).FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != 200 {
		t.Errorf("the canary's backends have answered %d of 200: %s", total, out)
	}
}

// newKey makes an API key as the quickstart does.
func (s *stack) newKey() string {
	s.t.Helper()
	out := s.exec("gatewright", "gatewright", "keys", "create", "--name", "kept", "--tenant", "acme", "--permission", "users:read", "-o", "json")
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		s.t.Fatalf("no key: %v: %s", err, out)
	}
	return made.Key
}

// admits waits until a request with a key comes to a backend.
func (s *stack) admits(key string) {
	s.t.Helper()
	eventually(s.t, upWithin, "a request with a key made before comes through", func() error {
		status, body, err := ask("http://127.0.0.1:8080/users/1", "X-API-Key", key)
		if err != nil || status != 200 {
			return fmt.Errorf("%d %s: %w", status, body, err)
		}
		return nil
	})
}

// isLogged: the access log is what Envoy's container writes, a JSON object a line.
func (s *stack) isLogged() {
	s.t.Helper()
	eventually(s.t, time.Minute, "the log has the request that was one too many", func() error {
		for line := range strings.Lines(s.run("logs", "--no-log-prefix", "envoy")) {
			var l struct {
				Path, Reason string
				Status       int
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Path == "/limited" && l.Status == 429 && l.Reason == "rate-limited" {
				return nil
			}
		}
		return fmt.Errorf("there is no such line")
	})
}

// checkNetworks: Redis is seen by the network of the stores, asks for its password there,
// and is not seen by the backends' network.
func checkNetworks(t *testing.T, s *stack) {
	t.Helper()
	ping := func(network string) string {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		out, _ := dockerContext(ctx, "run", "--rm", "--network", "gatewright_"+network, "redis:8.2-alpine", "redis-cli", "-h", "redis", "ping").CombinedOutput()
		return string(out) // an error is what it says
	}
	if out := ping("state"); !strings.Contains(out, "NOAUTH") {
		t.Errorf("Redis answers one without a password with %s", out)
	}
	if out := ping("edge"); strings.Contains(out, "NOAUTH") || strings.Contains(out, "PONG") {
		t.Errorf("Redis answers on the backends' network: %s", out)
	}
}

// tracesArrive: a request's spans come through the collector to where Jaeger stands:
// Envoy's, Gatewright's and the backend's are of one trace.
func (s *stack) tracesArrive(key string) {
	s.t.Helper()
	eventually(s.t, upWithin, "spans of all three come to Jaeger, in one trace", func() error {
		if _, _, err := ask("http://127.0.0.1:8080/users/1", "X-API-Key", key); err != nil { // an Envoy waits for five spans
			return err
		}
		scopes := map[string]string{} // by trace
		for line := range strings.Lines(s.run("logs", "--no-log-prefix", "jaeger")) {
			var span struct{ Trace, Scope string }
			if json.Unmarshal([]byte(line), &span) != nil {
				continue
			}
			all := scopes[span.Trace] + " " + span.Scope
			scopes[span.Trace] = all
			if strings.Contains(all, "envoy") && strings.Contains(all, "gatewright") && strings.Contains(all, "demo") {
				return nil
			}
		}
		return fmt.Errorf("there are %d traces: %s", len(scopes), tail(fmt.Sprint(scopes)))
	})
}

// reloads: an edit of the config, in the way of editors that replace a file, takes effect
// through the mount.
func (s *stack) reloads() {
	s.t.Helper()
	file := filepath.Join(s.dir, "deploy/compose/gateway.yaml")
	old := content(s.t, file)
	edited := strings.Replace(old, `body: "hello\n"`, `body: "good day\n"`, 1)
	if edited == old {
		s.t.Fatal("the config does not say hello")
	}
	if err := os.WriteFile(file+".new", []byte(edited), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, upWithin, "the edited config is served", func() error {
		status, body, err := ask("http://127.0.0.1:8080/hello", "", "")
		if err != nil || body != "good day\n" {
			return fmt.Errorf("%d %s: %w", status, body, err)
		}
		return nil
	})
}

// tellsSecrets: the lines that are in the text of a document show a secret each.
func (s *stack) tellsSecrets(page string) {
	s.t.Helper()
	lines := regexp.MustCompile("`(docker compose --env-file \\S+ exec \\w+ cat /run/secrets/\\w+)`").FindAllStringSubmatch(page, -1)
	if len(lines) != 2 {
		s.t.Errorf("docs/quickstart.md shows %d secrets", len(lines))
	}
	for _, line := range lines {
		if out := strings.TrimSpace(s.paste(line[1])); len(out) < 20 {
			s.t.Errorf("%s shows %q", line[1], out)
		}
	}
}
