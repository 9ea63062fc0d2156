package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// TestEnvoyMatchesAsTheReference: made-up route tables, and for each made-up
// requests; a real Envoy, and the table in Go, must choose the route that a
// plain reading of the rules chooses, more than 10 000 times. The tables are the
// same in every run. Half of them are part of a config so large that routes are
// served host by host.
func TestEnvoyMatchesAsTheReference(t *testing.T) {
	t.Parallel()
	const tables, routes, requests = 12, 60, 900
	random := rand.New(rand.NewPCG(1, 2))
	g := start(t, setup{config: hello})
	filler := manyRoutes(100, 10)
	for table := range tables {
		text, c := drawTable(t, random, g.listeners["public"], table, routes)
		if table >= tables/2 {
			text += filler // from here on there is a table for each host
		}
		before, _ := g.status()
		g.replace(text)
		// Tables reach an Envoy one after the other, and its workers a moment
		// later: what is judged here is what it does when it has them all.
		eventually(t, "every Envoy has the table", func() error {
			if now, _ := g.status(); now.Config.Version == before.Config.Version {
				return errors.New("still serves version " + now.Config.Version)
			}
			return nil
		})
		for _, host := range append(askedHosts, "127.0.0.1") {
			eventually(t, "the table is served to "+host, func() error {
				if r := get(t, g.url("public", fmt.Sprintf("/table-%d", table)), header{"Host", host}); r.Body != "marker" {
					return errStatus(r)
				}
				return nil
			})
		}
		drawn := make([]request, requests)
		for i := range drawn {
			drawn[i] = drawRequest(random)
		}
		sorted, inGo := c.RoutesBySpecificity(), routing.NewTable(c)
		if matched := slices.IndexFunc(drawn, func(r request) bool { return choose(sorted, r) != "" }); matched < 0 {
			t.Fatalf("table %d takes none of the requests: it proves nothing", table)
		}
		var wg sync.WaitGroup
		for part := range slices.Chunk(drawn, requests/4) {
			wg.Go(func() {
				for _, r := range part {
					if got, want := r.find(inGo), choose(sorted, r); got != want {
						t.Errorf("table %d: %+v: routing takes %q, the rules say %q", table, r, got, want)
					}
					if got, want := r.ask(t, g), choose(sorted, r); got != want {
						t.Errorf("table %d: %+v: Envoy takes %q, the rules say %q", table, r, got, want)
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.Fatalf("the table:\n%s", strings.TrimSuffix(text, filler))
		}
	}
}

// manyRoutes are routes of many hosts that nobody asks for.
func manyRoutes(hosts, each int) string {
	var b strings.Builder
	for h := range hosts {
		for r := range each {
			fmt.Fprintf(&b, "  - {name: fill-%d-%d, match: {hosts: [h%d.fill.org], path: /r%d}, auth: public, respond: {status: 200}}\n", h, r, h, r)
		}
	}
	return b.String()
}

// request is what routes look at.
type request struct {
	host, method, path, header, query string
}

// The worlds that tables and requests are drawn from are so small that routes
// often compete.
var (
	worldHosts    = []string{"", "", "a.x.com", "b.x.com", "*.x.com", "*.b.x.com", "x.com", "*.com"}
	worldMethods  = []string{"", "", "", "[GET]", "[POST]", "[GET, POST]", "[PUT]"}
	worldSegments = []string{"a", "b", "a.b", "{x}", "{y}"}
	worldValues   = []string{"", "", "", `"1"`, `{prefix: "1"}`, `{regex: "1[0-9]"}`, "{present: true}", "{absent: true}"}

	askedHosts    = []string{"a.x.com", "b.x.com", "c.x.com", "a.b.x.com", "x.com", "y.com", "z.org", "A.X.COM"}
	askedMethods  = []string{"GET", "GET", "POST", "PUT", "DELETE"}
	askedSegments = []string{"a", "b", "a.b", "aXb", "c", "ab"}
	askedValues   = []string{"", "", "1", "12", "1x", "2"}
)

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// drawTable is a valid config of routes that answer with their names. A route
// that the loader refuses beside those before it is drawn again.
func drawTable(t *testing.T, random *rand.Rand, addr string, table, routes int) (string, *config.Config) {
	t.Helper()
	text := fmt.Sprintf("listeners: [{name: public, address: %q}]\nroutes:\n"+
		"  - {name: marker, priority: 100, match: {path: /table-%d}, auth: public, respond: {status: 200, body: marker}}\n", addr, table)
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < routes; {
		longer := text + drawRoute(random, fmt.Sprintf("r%d", n))
		if next, err := config.Parse("gateway.yaml", []byte(longer)); err == nil {
			text, c = longer, next
			n++
		}
	}
	return text, c
}

func drawRoute(random *rand.Rand, name string) string {
	var segments []string
	for range random.IntN(4) {
		segments = append(segments, pick(random, worldSegments))
	}
	path := "/" + strings.Join(segments, "/")
	if random.IntN(3) == 0 {
		path = strings.TrimSuffix(path, "/") + "/**"
	}
	match := []string{fmt.Sprintf("path: %q", path)}
	if h := pick(random, worldHosts); h != "" {
		match = append(match, fmt.Sprintf("hosts: [%q]", h))
	}
	if m := pick(random, worldMethods); m != "" {
		match = append(match, "methods: "+m)
	}
	if v := pick(random, worldValues); v != "" {
		match = append(match, "headers: {X-A: "+v+"}")
	}
	if v := pick(random, worldValues); v != "" {
		match = append(match, "query: {q: "+v+"}")
	}
	return fmt.Sprintf("  - {name: %s, priority: %d, match: {%s}, auth: public, respond: {status: 200, body: %s}}\n",
		name, random.IntN(8)/7, strings.Join(match, ", "), name)
}

func drawRequest(random *rand.Rand) request {
	var segments []string
	for range random.IntN(5) {
		segments = append(segments, pick(random, askedSegments))
	}
	r := request{
		host: pick(random, askedHosts), method: pick(random, askedMethods), path: "/" + strings.Join(segments, "/"),
		header: pick(random, askedValues), query: pick(random, askedValues),
	}
	if random.IntN(8) == 0 && r.path != "/" {
		r.path += "/"
	}
	return r
}

// ask has Envoy choose. Nothing is no route.
func (r request) ask(t *testing.T, g *gateway) string {
	target := g.url("public", r.path)
	if r.query != "" {
		target += "?p=0&q=" + url.QueryEscape(r.query)
	}
	headers := []header{{"Host", r.host}}
	if r.header != "" {
		headers = append(headers, header{"X-A", r.header})
	}
	got, err := try(r.method, target, headers...)
	switch {
	case err != nil:
		t.Errorf("%+v: %v", r, err)
		return "error"
	case got.Status == http.StatusNotFound:
		return ""
	default:
		return got.Body
	}
}

// find has the table in Go choose. Nothing is no route.
func (r request) find(table *routing.Table) string {
	target := r.path
	if r.query != "" {
		target += "?p=0&q=" + url.QueryEscape(r.query)
	}
	normal, err := routing.Normalize(routing.Request{
		Host: r.host, Method: r.method, Path: target,
		Header: func(name string) (string, bool) { return r.header, name == "x-a" && r.header != "" },
	})
	if err != nil {
		return err.Error()
	}
	if route := table.Find(normal); route != nil {
		return route.Name
	}
	return ""
}

// choose is the first of the routes, the most specific first, that takes the
// request: the rules as the documents say them, and nothing of Envoy.
func choose(sorted []*config.Route, r request) string {
	for _, route := range sorted {
		if takes(&route.Match, r) {
			return route.Name
		}
	}
	return ""
}

func takes(m *config.Match, r request) bool {
	pattern, err := config.ParsePath(m.Path)
	return err == nil && pattern.Matches(r.path) &&
		(len(m.Hosts) == 0 || slices.ContainsFunc(m.Hosts, func(h string) bool { return coversHost(h, strings.ToLower(r.host)) })) &&
		(len(m.Methods) == 0 || slices.Contains(m.Methods, r.method)) &&
		holds(m.Headers, "X-A", r.header) && holds(m.Query, "q", r.query)
}

func coversHost(pattern, host string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// holds judges the only header and the only parameter there are; an empty value
// is one that was not sent.
func holds(want map[string]config.ValueMatch, name, value string) bool {
	m, asked := want[name]
	switch {
	case !asked:
		return true
	case m.Absent:
		return value == ""
	case value == "":
		return false
	case m.Present:
		return true
	case m.Prefix != "":
		return strings.HasPrefix(value, m.Prefix)
	case m.Regex != "": // there is one: 1[0-9]
		return len(value) == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '9'
	default:
		return value == m.Exact
	}
}
