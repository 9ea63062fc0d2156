package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const logged = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], breaker: {minRequests: 1000}}
  failing: {endpoints: ["{{.app}}"], breaker: {minRequests: 2, openFor: 1h}}
  gone: {endpoints: ["{{.gone}}"]}
  collector: {endpoints: ["{{.collector}}"], protocol: {{.protocol}}}
accessLog: {{.log}}
auth: {apiKey: {keys: {}}}
limits:
  few: {key: [apiKey], tokenBucket: {capacity: 20, refill: 1/h}}
  one: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - {name: orders, match: {path: /orders/**}, auth: {anyOf: [{apiKey: keys}]}, limits: [few], to: [{backend: app}]}
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [one], to: [{backend: app}]}
  - {name: failing, match: {path: /failing/**}, auth: public, to: [{backend: failing}]}
  - {name: lost, match: {path: /lost/**}, auth: public, to: [{backend: gone}]}
`

func startLogged(t *testing.T, log, protocol string) (*gateway, *testenv.Collector) {
	t.Helper()
	c := testenv.StartCollector(t)
	at := c.GRPC
	if protocol != "grpc" {
		at = c.HTTP
	}
	g := start(t, setup{config: logged, values: map[string]string{
		"app": backend(t, "app").Addr(), "gone": testenv.Addr(t), "collector": at, "protocol": protocol, "log": log,
	}})
	return g, c
}

// TestAccessLogFields: a line has the fields that docs/access-log.md tells of, and no
// other, with what they are to have.
func TestAccessLogFields(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/access-log.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		told = append(told, string(m[1]))
	}
	g, _ := startLogged(t, "{}", "grpc")
	key := g.createKey("--tenant", "acme", "--owner", "ann")
	r := get(t, g.url("public", "/orders/1?token=hidden"), key.header(), header{"User-Agent", "a test"}).ok(t)
	line := g.logged("/orders/1")
	var has []string
	for name := range line {
		has = append(has, name)
	}
	slices.Sort(told)
	slices.Sort(has)
	if !slices.Equal(told, has) {
		t.Errorf("docs/access-log.md tells of %v, and a line has %v", told, has)
	}
	for name, want := range map[string]string{
		"listener": "public", "method": "GET", "host": g.listeners["public"][:strings.LastIndex(g.listeners["public"], ":")], "path": "/orders/1", "protocol": "HTTP/1.1",
		"status": "200", "flags": "<nil>", "reason": "allowed", "route": "orders", "backend": "app", "client_ip": "127.0.0.1", "tenant": "acme", "key_id": key.ID,
		"limit": "few", "remaining": "19", "breaker": "<nil>", "trace_id": r.Header.Get("X-Trace-ID"), "user_agent": "a test", "bytes_in": "0", "shadow": "<nil>", "plan": "<nil>",
	} {
		if got := fmt.Sprint(line[name]); got != want && !(want == "<nil>" && got == "-") {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"time", "upstream", "duration_ms", "upstream_ms", "bytes_out", "user", "policy", "config", "request_id"} {
		if got := fmt.Sprint(line[name]); got == "<nil>" || got == "-" || got == "" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if !strings.Contains(string(g.run("status")), fmt.Sprint("config ", line["config"])) {
		t.Errorf("the line says config %v, and the status %s", line["config"], g.run("status"))
	}
	eventually(t, "a breaker has opened", func() error {
		r, err := try("GET", g.url("public", "/failing/1?status=500"))
		if err == nil && r.Status != 503 {
			err = errStatus(r)
		}
		return err
	})
	get(t, g.url("public", "/failing/2"))
	if line := g.logged("/failing/2"); line["breaker"] != "open" || line["reason"] != "circuit-open" {
		t.Errorf("while the breaker is open a line says %v", line)
	}
}

// TestAccessLogOfFailures: where no success is logged everything else is, and the metrics
// know of all.
func TestAccessLogOfFailures(t *testing.T) {
	t.Parallel()
	g, _ := startLogged(t, "{successes: 0}", "grpc")
	for range 20 {
		get(t, g.url("public", "/open/good")).ok(t)
	}
	get(t, g.url("public", "/once/1")).ok(t)
	for path, status := range map[string]int{
		"/once/2": 429, "/orders/2": 401, "/open/3?status=404": 404, "/open/4?status=500": 500, "/lost/5": 503, "/nowhere/6": 404,
	} {
		if r := get(t, g.url("public", path)); r.Status != status {
			t.Errorf("%s is answered with %d, want %d", path, r.Status, status)
		}
		path, _, _ := strings.Cut(path, "?")
		if line := g.logged(path); fmt.Sprint(line["status"]) != fmt.Sprint(status) {
			t.Errorf("%s is logged as %v", path, line)
		}
	}
	for _, line := range g.accessLog() {
		if fmt.Sprint(line["status"]) == "200" && line["route"] != nil {
			t.Errorf("a success is logged: %v", line)
		}
	}
	eventually(t, "all are counted", func() error {
		if !strings.Contains(g.metrics(), `gatewright_requests_total{backend="app",code="200",route="open"} 20`) {
			return fmt.Errorf("not 20")
		}
		return nil
	})
}

// TestAccessLogByOTLP: a collector gets the lines as records, in the trace of the
// request; one that stands still or is gone holds up nobody.
func TestAccessLogByOTLP(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			g, c := startLogged(t, "{otlp: {backend: collector}, stdout: false}", protocol)
			key := g.createKey("--tenant", "acme")
			id := get(t, g.url("public", "/orders/1?token=hidden"), key.header()).ok(t).Header.Get("X-Trace-ID")
			eventually(t, "the record is there", func() error {
				for _, r := range c.Records(t) {
					if r.Attributes["path"] != "/orders/1" {
						continue
					}
					if r.Trace != id || r.Service != "gatewright" || fmt.Sprint(r.Attributes["status"]) != "200" || r.Attributes["tenant"] != "acme" ||
						r.Attributes["trace_id"] != id || r.Attributes["route"] != "orders" || r.Log != "GET orders 200" {
						t.Errorf("the record of trace %s is %+v", id, r)
					}
					return nil
				}
				return fmt.Errorf("not among %d", len(c.Records(t)))
			})
			if lines := g.accessLog(); len(lines) > 0 {
				t.Errorf("standard output has %v", lines)
			}
			if strings.Contains(c.Text(), "hidden") {
				t.Errorf("the query is in a record: %s", c.Text())
			}
			if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Process.Signal(syscall.SIGCONT) }()
			for range 200 {
				get(t, g.url("public", "/open/1")).ok(t)
			}
			_ = c.Process.Kill()
			for range 200 {
				get(t, g.url("public", "/open/1")).ok(t)
			}
		})
	}
}

// TestAccessLogThatNobodyReads: whoever reads standard output stands still, and is gone
// then; requests go on.
func TestAccessLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	g := prepared(t, setup{config: hello})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	g.cmd, g.exited = g.command("run"), make(chan struct{})
	g.cmd.Stdout, g.cmd.Stderr = write, g.stderr
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go func() {
		g.exitErr = g.cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(g.kill)
	g.waitReady()
	const lines = 1000 // of some 600 bytes: several times what a pipe holds
	hammer(t, lines, func() (reply, error) { return try("GET", g.url("public", "/hello")) })
	read.Close()
	hammer(t, lines, func() (reply, error) { return try("GET", g.url("public", "/hello")) })
	g.stop()
}

// TestLogPipelines: the index template has the fields of the access log and no other, of
// types that take what they have. (What the shippers send is judged in TestShippers.)
func TestLogPipelines(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/access-log.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{"@timestamp": true}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		told[string(m[1])] = true
	}
	delete(told, "time") // which is the timestamp
	var template struct {
		IndexPatterns []string `json:"index_patterns"`
		Template      struct {
			Mappings struct {
				Dynamic    any
				Properties map[string]struct{ Type string }
			}
		}
	}
	text, err := os.ReadFile("../deploy/logs/index-template.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	for name, field := range template.Template.Mappings.Properties {
		if !told[name] || !slices.Contains([]string{"date", "keyword", "short", "long", "ip"}, field.Type) {
			t.Errorf("the template has %s, a %s", name, field.Type)
		}
		delete(told, name)
	}
	if len(told) > 0 || template.Template.Mappings.Dynamic != false {
		t.Errorf("the template lacks %v, dynamic is %v", told, template.Template.Mappings.Dynamic)
	}
	if ok, err := path.Match(template.IndexPatterns[0], dataStream); err != nil || !ok {
		t.Errorf("%s is not of the template's %v", dataStream, template.IndexPatterns)
	}
}
