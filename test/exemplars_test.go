package test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const exemplary = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
  collector: {endpoints: ["{{.collector}}"], protocol: grpc}
tracing: {otlp: {backend: collector}, percent: 100, exemplars: {{.exemplars}}}
auth:
` + jwtMain + `routes:
  - name: users
    match: {path: /users/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read]}]}
    to: [{backend: users}]
  - name: asked
    match: {path: /asked/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read]}]}
    placement: service
    to: [{backend: users}]
  - {name: watched, match: {path: /watched/**}, auth: public, to: [{backend: users}]}
  - {name: unwatched, match: {path: /unwatched/**}, auth: public, to: [{backend: users}], tracing: {percent: 0}}
`

// openMetrics are the metrics for who asks for exemplars.
func (g *gateway) openMetrics() string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.admin+"/metrics", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
	resp, err := http.DefaultClient.Do(req)
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

// exemplar waits for that of a route and status, and returns its labels.
func (g *gateway) exemplar(route string, status int) string {
	g.t.Helper()
	series := regexp.MustCompile(fmt.Sprintf(`(?m)^gatewright_requests_total\{backend="users",code="%d",route="%s"\} 1\.0 # \{(.*)\} 1\.0 `, status, route))
	var found string
	eventually(g.t, "the request is named by the metrics", func() error {
		text := g.openMetrics()
		m := series.FindStringSubmatch(text)
		if m == nil {
			return fmt.Errorf("there is\n%s", only(text, "gatewright_requests_total"))
		}
		found = m[1]
		return nil
	})
	return found
}

// TestExemplars: metric, log and trace say the same of a request, whoever has judged it;
// and what nobody records, metrics do not name.
func TestExemplars(t *testing.T) {
	t.Parallel()
	p, users, collector := idp(t), backend(t, "users"), testenv.StartCollector(t)
	g := start(t, setup{config: exemplary, values: map[string]string{
		"issuer": p.Issuer(), "users": users.Addr(), "collector": collector.GRPC, "exemplars": "user",
	}})
	ann := bearer(token(t, p, "sub=ann@example.org", "scope=users:read"))
	g.letsPass(func() reply { return get(t, g.url("public", "/users/0"), ann) })
	asked := g.hops()
	inside := get(t, g.url("public", "/users/1?status=418"), ann)
	if n := g.hops(); n != asked {
		t.Fatal("the gateway was asked about it")
	}
	byCall := get(t, g.url("public", "/asked/1?status=418"), ann)
	get(t, g.url("public", "/unwatched/1?status=418"))
	public := get(t, g.url("public", "/watched/1?status=418"))
	for _, c := range []struct {
		route, path string
		got         reply
		user        any
	}{{"users", "/users/1", inside, "ann@example.org"}, {"asked", "/asked/1", byCall, "ann@example.org"}, {"watched", "/watched/1", public, nil}} {
		id := c.got.Header.Get("X-Trace-ID")
		if c.got.Status != http.StatusTeapot || id == "" {
			t.Fatalf("%s is answered with %d, in trace %q", c.path, c.got.Status, id)
		}
		line := g.logged(c.path)
		if line["trace_id"] != id || line["route"] != c.route || line["status"] != 418.0 || line["user"] != c.user {
			t.Errorf("%s: the log says %v", c.path, line)
		}
		named := g.exemplar(c.route, http.StatusTeapot)
		if !strings.Contains(named, `trace_id="`+id+`"`) || strings.Contains(named, `user="ann@example.org"`) != (c.user != nil) {
			t.Errorf("%s: the metric names %s, want trace %s of %v", c.path, named, id, c.user)
		}
		awaited(t, g, collector, id, "the span of the edge is there", func(spans []testenv.Span) error {
			edge, err := spanOf(spans, "envoy", "Server", "GET "+c.route, "")
			if err == nil && (edge.Attributes["user"] != c.user || fmt.Sprint(edge.Attributes["http.status_code"]) != "418") {
				t.Fatalf("%s: the span says %v", c.path, edge.Attributes)
			}
			return err
		})
	}
	if text := g.openMetrics(); !regexp.MustCompile(`(?m)^gatewright_requests_total\{backend="users",code="418",route="unwatched"\} 1\.0$`).MatchString(text) {
		t.Errorf("what nobody records is named:\n%s", only(text, "gatewright_requests_total"))
	}
	if text := g.metrics(); strings.Contains(text, "trace_id") || strings.Contains(text, "ann@") {
		t.Error("the format of before has exemplars")
	}
	g.replace(strings.Replace(exemplary, "{{.exemplars}}", "trace", 1))
	eventually(t, "users are forgotten", func() error {
		if text := g.openMetrics(); strings.Contains(text, "ann@") {
			return fmt.Errorf("there is\n%s", only(text, "gatewright_requests_total"))
		}
		return nil
	})
}
