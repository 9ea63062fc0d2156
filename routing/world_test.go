package routing

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// The world of the tests is so small that routes often compete, and that each
// of its requests can be asked of each table.
var (
	worldHosts    = []string{"a.x.com", "b.x.com", "a.b.x.com", "*.b.x.com", "*.x.com", "*.com", "x.com"}
	worldMethods  = []string{"GET", "POST"}
	worldSegments = []string{"a", "b", "{x}"}
	worldValues   = []config.ValueMatch{{Exact: "1"}, {Exact: "2"}, {Exact: "12"}, {Prefix: "1"}, {Regex: "1[0-9]"}, {Present: true}, {Absent: true}}

	askedHosts   = []string{"a.x.com", "z.x.com", "A.b.x.com", "x.com", "z.org", ""}
	askedMethods = []string{"GET", "POST", "PUT"}
	askedValues  = []string{"absent", "", "1", "12", "2"}
)

// drawConfig is a config of low to high routes, with paths of path.
func drawConfig(t *rapid.T, low, high int, path *rapid.Generator[string]) *config.Config {
	routes := make([]*config.Route, rapid.IntRange(low, high).Draw(t, "routes"))
	for i := range routes {
		routes[i] = &config.Route{
			Name:     fmt.Sprintf("r%d", i),
			Priority: rapid.IntRange(0, 5).Draw(t, "priority") / 4,
			Match: config.Match{
				Hosts:   drawSome(t, "hosts", worldHosts),
				Methods: drawSome(t, "methods", worldMethods),
				Path:    path.Draw(t, "path"),
				Headers: drawValues(t, "X-A", "X-B"),
				Query:   drawValues(t, "q", "p"),
			},
		}
	}
	return &config.Config{Routes: routes}
}

func drawSome(t *rapid.T, label string, from []string) []string {
	if rapid.Bool().Draw(t, "any "+label) {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID[string]).Draw(t, label)
}

func drawValues(t *rapid.T, usual, other string) map[string]config.ValueMatch {
	names := rapid.SampledFrom([][]string{nil, nil, nil, {usual}, {usual}, {other}, {usual, other}}).Draw(t, "names")
	values := map[string]config.ValueMatch{}
	for _, name := range names {
		values[name] = rapid.SampledFrom(worldValues).Draw(t, name)
	}
	return values
}

// anyPath is a path of the world.
var anyPath = rapid.Custom(func(t *rapid.T) string {
	var b strings.Builder
	segments := rapid.SliceOfN(rapid.SampledFrom(worldSegments), 0, 3).Draw(t, "segments")
	for i, s := range segments {
		b.WriteString("/" + strings.ReplaceAll(s, "x", fmt.Sprintf("x%d", i)))
	}
	end := rapid.SampledFrom([]string{"", "/", "/**"}).Draw(t, "end")
	if end == "" && len(segments) == 0 {
		end = "/"
	}
	return b.String() + end
})

// askedPaths are all of up to three segments, and the one that merged slashes
// may leave.
var askedPaths = func() []string {
	all, level := []string{"//"}, []string{""}
	for range 3 {
		var next []string
		for _, path := range level {
			for _, s := range []string{"a", "b", "c"} {
				next = append(next, path+"/"+s)
			}
			all = append(all, path+"/")
		}
		all, level = append(all, next...), next
	}
	return append(all, "/a/b/c/d", "/a/a/a/a/")
}()

// askedRequests are all requests of the world. The header X-B and the parameter
// p have a value in some of them.
var askedRequests = func() []Request {
	var all []Request
	for i, path := range askedPaths {
		for _, host := range askedHosts {
			for _, method := range askedMethods {
				for _, header := range askedValues {
					for _, query := range askedValues {
						all = append(all, ask(host, method, path, header, query, (len(all)+i)%3 == 0))
					}
				}
			}
		}
	}
	return all
}()

func ask(host, method, path, header, query string, more bool) Request {
	values := map[string]string{}
	if header != "absent" {
		values["x-a"] = header
	}
	var pairs []string
	if query != "absent" {
		pairs = append(pairs, "q="+query, "q=1")
	}
	if more {
		values["x-b"] = "1"
		pairs = append(pairs, "p", "p=2")
	}
	if len(pairs) > 0 {
		path += "?" + strings.Join(pairs, "&")
	}
	return Request{Host: host, Method: method, Path: path, Header: headers(values)}
}

// show is a config as a failing test shows it.
func show(c *config.Config) string {
	var b strings.Builder
	for _, r := range c.RoutesBySpecificity() {
		fmt.Fprintf(&b, "  %s: priority %d, %+v\n", r.Name, r.Priority, r.Match)
	}
	return b.String()
}

// showRequest is a request without its function.
func showRequest(r Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %q", r.Method, r.Host, r.Path)
	for _, name := range slices.Sorted(slices.Values([]string{"x-a", "x-b"})) {
		if value, ok := r.header(name); ok {
			fmt.Fprintf(&b, " %s=%q", name, value)
		}
	}
	return b.String()
}
