package test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestWhatIsNotToldOfRequests: a config may have no trace made of its requests, no line
// written of those that go well, and none of their ends told to the gateway. What clients
// say of traces is taken away all the same, failures are logged, and all of it comes back
// with the config, on connections that are open, too.
func TestWhatIsNotToldOfRequests(t *testing.T) {
	t.Parallel()
	const text = `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {app: {endpoints: ["{{.app}}"]}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}]}
accessLog: {successes: 0}
`
	const off = "tracing: {off: true}\nmetrics: {requests: false}\n"
	g := start(t, setup{config: text + off, values: map[string]string{"app": backend(t, "app").Addr()}})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ask := func(path string) reply {
		return get(t, g.url("public", path), header{"traceparent", parent}, header{"X-Trace-ID", "mine"}, header{"b3", "1"}).ok(t)
	}
	r := ask("/app/well")
	e := r.echo(t)
	for _, name := range []string{"traceparent", "tracestate", "X-Trace-ID", "b3"} {
		if v := e.header(name); v != "" {
			t.Errorf("the backend sees %s %q", name, v)
		}
	}
	if v := r.Header.Get("X-Trace-ID"); v != "" {
		t.Errorf("the client is told of trace %q", v)
	}
	get(t, g.url("public", "/nowhere")).denied(t, http.StatusNotFound, "route-not-found")
	if line := g.logged("/nowhere"); line["trace_id"] != nil || line["reason"] != "route-not-found" {
		t.Errorf("the log says of a failure: %v", line)
	}

	g.write(text)
	g.applied(1)
	eventually(t, "requests have a trace again", func() error {
		if r := ask("/app/traced"); len(r.Header.Get("X-Trace-ID")) != 32 || r.Header.Get("X-Trace-ID") != r.echo(t).header("X-Trace-ID") {
			return errStatus(r)
		}
		return nil
	})
	eventually(t, "requests are counted again", func() error {
		ask("/app/counted")
		if metrics := g.metrics(); !strings.Contains(metrics, `gatewright_requests_total{backend="app"`) {
			return errors.New("none is")
		}
		return nil
	})
	if metrics := g.metrics(); strings.Contains(metrics, `code="404"`) {
		t.Error("the first failure was counted: its end was told")
	}
	for _, line := range g.accessLog() {
		if path, _ := line["path"].(string); strings.HasPrefix(path, "/app/") {
			t.Errorf("a request that went well is logged: %v", line)
		}
	}
}
