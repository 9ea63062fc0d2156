package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
)

// The lines that begin with + are those of the first templates and edits of a gateway.
const firstFilters = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  weak: {endpoints: ["{{.weak}}"]}
auth:
` + jwtMain + `
routes:
  - {name: other, match: {path: /other}, auth: public, to: [{backend: app}] COMPRESS}
  - name: both
    match: {path: /both}
    auth: public
    to: [{backend: app}]
+   response: {set: {X-New: "1"}}
+   body:
+     request: {template: '{"z": "${body.z}", "by": "${request.method} ${request.path}"}', maxBytes: 1048576}
+     response: {template: "${merge(without(body, ['secret']), {'status': response.status})}", status: [2xx], maxBytes: 1048576}
  - name: told
    match: {path: /told}
    auth: {anyOf: [{jwt: main}]}
    to: [{backend: app}]
+   request: {set: {Answer-Tenant: "${claims.tenant}", Answer-Query: "${query.q}"}, rename: {Answer-Old: Answer-Renamed}}
+   response: {set: {X-New: "${claims.tenant}"}}
+   rewrite: {query: {set: {tenant: "${claims.tenant}"}}}
  - name: again
    match: {path: /again}
    auth: public
    retry: {attempts: 2, on: [5xx]}
    to: [{backend: weak}]
+   request: {add: {Answer-Also: "${query.q}"}, rename: {Answer-Old: Answer-Renamed}}
+   body: {request: {template: '["${body}"]'}, response: {template: '{"got": "${body}"}', status: [200]}}
  - name: moved
    match: {path: "/moved/{id}"}
    auth: public
    rewrite: {path: "/{id}"}
    to: [{backend: app}]
+   request: {set: {Answer-Id: "${path.id}"}}
`

func firstFiltersConfig(after bool, compress string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Replace(firstFilters, "COMPRESS", compress, 1)) {
		rest, isNew := strings.CutPrefix(line, "+")
		switch {
		case !isNew:
			b.WriteString(line)
		case after:
			b.WriteString(" " + rest)
		}
	}
	return b.String()
}

// keptClients are clients that have a connection each, and tell how many they have opened.
func keptClients(t *testing.T, url string) (clients map[string]*http.Client, opened *atomic.Int64) {
	t.Helper()
	opened = &atomic.Int64{}
	clients = bothClients(t)
	for name, c := range clients {
		c.Transport = counted{c.Transport, opened}
		if r := sendBody(t, c, url, []byte(`{"z":1}`), true, asJSON); r.Status != http.StatusOK {
			t.Fatal(name, r.Status, r.Body)
		}
	}
	return clients, opened
}

type counted struct {
	http.RoundTripper
	opened *atomic.Int64
}

func (c counted) RoundTrip(rq *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			c.opened.Add(1)
		}
	}}
	return c.RoundTripper.RoundTrip(rq.WithContext(httptrace.WithClientTrace(rq.Context(), trace)))
}

// weakBackend fails at the first of every two requests, and answers as mirrorOfJSON does.
func weakBackend(t *testing.T, strong http.Handler) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		strong.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestFirstTemplatesOnOldConnections: the first templates and edits of a gateway hold from
// the first request that has their routes, on connections that were open before, too.
// Where they could not be what they are meant to be, such a request is refused.
func TestFirstTemplatesOnOldConnections(t *testing.T) {
	t.Parallel()
	for name, compress := range map[string]string{"no filters before": "", "filters of routes before": ", compress: true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			firstTemplates(t, compress)
		})
	}
}

func firstTemplates(t *testing.T, compress string) {
	id := idp(t)
	g := start(t, setup{
		config: firstFiltersConfig(false, compress), env: []string{"GATEWRIGHT_LISTENER_DRAIN=24h"},
		values: map[string]string{"app": mirrorOfJSON(t), "weak": weakBackend(t, jsonMirror()), "issuer": id.Issuer()},
	})
	clients, opened := keptClients(t, g.url("public", "/both"))
	var toRefuse []map[string]*http.Client // of HTTP/1.1 a refusal may end a connection
	for range notRewritten {
		more, _ := keptClients(t, g.url("public", "/both"))
		toRefuse = append(toRefuse, more)
	}
	g.write(firstFiltersConfig(true, compress))
	body := []byte(`{"z":1.10,"secret":"s"}`)
	for name, c := range clients {
		eventually(t, "the new route is there", func() error {
			r := sendBody(t, c, g.url("public", "/both"), body, true, asJSON, header{"Body", `{"secret":1}`})
			if r.Status != http.StatusOK {
				t.Fatalf("%s: %d %s", name, r.Status, r.Body)
			}
			if r.Header.Get("X-New") == "" {
				return fmt.Errorf("not yet: %v", r.Header)
			}
			if got := r.Header.Get("Got"); got != `{"z":1.10,"by":"POST /both"}` || r.Body != `{"status":200}` {
				t.Fatalf("%s: the first request on the new route became %s, and its answer %s", name, got, r.Body)
			}
			return nil
		})
	}
	g.applied(1)
	bearing := bearer(token(t, id, "tenant=blue"))
	clients["new"] = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: client.Timeout}
	for name, c := range clients {
		moved := sendBody(t, c, g.url("public", "/moved/7"), nil, true)
		if name == "new" || compress != "" { // there the edits of all routes are
			moved.ok(t).wantHeaders(t, map[string]string{"Id": "7"})
		} else {
			moved.denied(t, 503, "connection-outdated")
		}
		onNewRoutes(t, g, name, c, bearing)
	}
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections were opened for the clients of two protocols", n)
	}
	for i, refused := range notRewritten {
		toRefuse[i]["new"] = clients["new"]
		for name, c := range toRefuse[i] {
			r := sendBody(t, c, g.url("public", "/both"), []byte(refused.body), false, refused.headers...)
			if r.Status != refused.status || strings.Contains(r.Body, "secret") || r.Header.Get("Got") != "" {
				t.Errorf("%s: a body that is not rewritten: %d, want %d: %.200s", name, r.Status, refused.status, r.Body)
			}
		}
	}
}

// notRewritten are bodies, and bodies of answers, that go no further.
var notRewritten = []struct {
	body    string
	status  int
	headers []header
}{
	{`{"z":`, 400, []header{asJSON}},
	{`{}`, 400, []header{asJSON}},
	{`{"z":1}`, 415, []header{{"Content-Type", "text/plain"}}},
	{strings.Repeat(" ", 1<<20+1), 413, []header{asJSON}},
	{`{"z":1}`, 502, []header{asJSON, {"Body", `{"secret":`}}},
}

// onNewRoutes tries what the new routes do, on connections whichever.
func onNewRoutes(t *testing.T, g *gateway, name string, c *http.Client, bearing header) {
	t.Helper()
	long := `{"z":"` + strings.Repeat("é", 200_000) + `"}`
	for _, said := range []bool{true, false} {
		r := sendBody(t, c, g.url("public", "/both"), []byte(long), said, asJSON, chunked, header{"Long", "200000"})
		if r.Status != http.StatusOK || !strings.HasSuffix(r.Body, `x","status":200}`) || len(r.Body) < 200_000 || r.Header.Get("Got-Length") != fmt.Sprint(len(long)+len(`,"by":"POST /both"`)) {
			t.Errorf("%s: a long body: %d %.100s, %s bytes", name, r.Status, r.Body, r.Header.Get("Got-Length"))
		}
	}
	r := sendBody(t, c, g.url("public", "/told?q=x&tenant=red"), nil, true, bearing, header{"Answer-Tenant", "red"}, header{"Answer-Old", "o"}, header{"Answer-Renamed", "forged"}).ok(t)
	r.wantHeaders(t, map[string]string{"Tenant": "blue", "Query": "x", "Renamed": "o", "Old": "", "X-New": "blue", "Got-Query": "q=x&tenant=blue"})
	r = sendBody(t, c, g.url("public", "/again?q=x"), []byte(`1`), true, asJSON, header{"Answer-Old", "o"}).ok(t)
	if got := r.Header.Values("Also"); r.Header.Get("Got") != "[1]" || r.Body != `{"got":[1]}` || len(got) != 1 || r.Header.Get("Renamed") != "o" {
		t.Errorf("%s: repeated: %v %s", name, r.Header, r.Body)
	}
}
