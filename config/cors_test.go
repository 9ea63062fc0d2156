package config

import "testing"

// TestClosedWithin: which routes a policy for /a/** must not speak for.
func TestClosedWithin(t *testing.T) {
	wide := func() *Route {
		return &Route{Name: "wide", Match: Match{Hosts: []string{"*.example.com"}, Methods: []string{"GET", "PUT"}, Path: "/a/**"}, CORS: &CORS{}}
	}
	for name, c := range map[string]struct {
		route Route
		want  string
	}{
		"narrower":              {Route{Match: Match{Methods: []string{"PUT", "POST"}, Path: "/a/{x}"}}, "PUT"},
		"on a host of its":      {Route{Match: Match{Methods: []string{"GET"}, Path: "/a/b", Hosts: []string{"x.y.example.com"}}}, "GET"},
		"above":                 {Route{Match: Match{Methods: []string{"GET"}, Path: "/**"}, Priority: 1}, "GET"},
		"on another host":       {Route{Match: Match{Methods: []string{"GET"}, Path: "/a/b", Hosts: []string{"example.com"}}}, ""},
		"wider":                 {Route{Match: Match{Methods: []string{"GET"}, Path: "/**"}}, ""},
		"of another method":     {Route{Match: Match{Methods: []string{"POST"}, Path: "/a/b"}}, ""},
		"elsewhere":             {Route{Match: Match{Methods: []string{"GET"}, Path: "/b"}}, ""},
		"taking OPTIONS":        {Route{Match: Match{Methods: []string{"GET", "OPTIONS"}, Path: "/a/b"}}, ""},
		"of every method":       {Route{Match: Match{Path: "/a/b"}}, ""},
		"with a policy":         {Route{Match: Match{Methods: []string{"GET"}, Path: "/a/b"}, CORS: &CORS{}}, ""},
		"told apart by headers": {Route{Match: Match{Methods: []string{"GET"}, Path: "/a/**", Headers: map[string]ValueMatch{"X": {Exact: "1"}}}}, ""},
	} {
		r := wide()
		c.route.Name = "other"
		got := ""
		for _, closed := range ClosedWithin([]*Route{r, &c.route})[r] {
			for _, m := range closed.Methods {
				got += m
			}
		}
		if got != c.want {
			t.Errorf("a route %s: closed are the methods %q, want %q", name, got, c.want)
		}
	}
}
