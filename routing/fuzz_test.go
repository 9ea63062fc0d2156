package routing

import (
	"testing"

	"github.com/gatewright/gatewright/config"
)

// FuzzNormalize: whatever is asked for is refused, or has a normal form.
func FuzzNormalize(f *testing.F) {
	for path := range normalPaths {
		f.Add("a.com", path)
	}
	for host := range normalHosts {
		f.Add(host, "/")
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		checkNormal(t, path)
		r, err := NormalizeStrictly(Request{Host: host, Path: path})
		if err == nil && r.Path != path {
			t.Fatalf("%q was changed to %q", path, r.Path)
		}
	})
}

// FuzzFind: whatever is asked for, the table takes the route that the rules
// say, normalized or not, and its explanation holds.
func FuzzFind(f *testing.F) {
	match := func(path string) config.Match { return config.Match{Path: path} }
	c := &config.Config{Routes: []*config.Route{
		{Name: "all", Match: match("/**")},
		{Name: "a", Match: match("/a/**")},
		{Name: "ax", Match: match("/a/{x}")},
		{Name: "axb", Match: match("/a/{x}/b")},
		{Name: "slash", Match: match("/a/")},
		{Name: "xb", Match: match("/{x}/b/**")},
		{Name: "host", Match: config.Match{Path: "/a/b", Hosts: []string{"a.x.com", "*.y.com"}}},
		{Name: "get", Match: config.Match{Path: "/a/b", Methods: []string{"GET"}}},
		{Name: "header", Match: config.Match{Path: "/a/b", Headers: map[string]config.ValueMatch{"X-A": {Prefix: "1"}}}},
		{Name: "ten", Priority: 1, Match: config.Match{Path: "/a/b", Headers: map[string]config.ValueMatch{"X-A": {Regex: "1[0-9]"}}}},
		{Name: "query", Match: config.Match{Path: "/a/b", Query: map[string]config.ValueMatch{"q": {Exact: "1"}, "p": {Absent: true}}}},
	}}
	table, ref := NewTable(c), newReference(c)
	f.Add("a.x.com", "GET", "/a/b?q=1", "12")
	f.Add("Z.y.com", "POST", "/a//b/?p&q=1", "")
	f.Add(".y.com", "", "a", "\xff")
	f.Add("", "GET", "/é/b/\n?q=%31&q=1", "1\xff")
	f.Fuzz(func(t *testing.T, host, method, path, header string) {
		raw := Request{Host: host, Method: method, Path: path, Header: headers(map[string]string{"x-a": header})}
		requests := []Request{raw}
		if r, err := Normalize(raw); err == nil {
			requests = append(requests, r)
		}
		for _, r := range requests {
			if got, want := table.Find(r), ref.find(r); got != want {
				t.Fatalf("%s takes %s, the rules say %s", showRequest(r), nameOf(got), nameOf(want))
			}
			checkExplanation(t, table, ref, r)
		}
	})
}
