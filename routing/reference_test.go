package routing

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// reference finds routes as the documents say it, one after the other, with
// nothing of a Table: paths are read by expressions, a query is cut into a map.
type reference struct {
	routes []*config.Route // the most specific first
	paths  []*regexp.Regexp
}

func newReference(c *config.Config) *reference {
	r := &reference{routes: c.RoutesBySpecificity()}
	for _, route := range r.routes {
		r.paths = append(r.paths, pathExpression(route.Match.Path))
	}
	return r
}

var variable = regexp.MustCompile(`\\\{[^/]*\\\}`)

func pathExpression(path string) *regexp.Regexp {
	prefix, rest := strings.CutSuffix(path, "/**")
	expression := variable.ReplaceAllLiteralString(regexp.QuoteMeta(prefix), "[^/]+")
	switch {
	case rest && prefix == "":
		expression = "/.*"
	case rest:
		expression += "(/.*)?"
	}
	return regexp.MustCompile(`(?s)^` + expression + `$`)
}

func (r *reference) find(q Request) *config.Route {
	path, query := splitQuery(q.Path)
	for i, route := range r.routes {
		if r.paths[i].MatchString(path) && takes(&route.Match, q, query) {
			return route
		}
	}
	return nil
}

// matching are all routes that take a request.
func (r *reference) matching(q Request) []*config.Route {
	var all []*config.Route
	path, query := splitQuery(q.Path)
	for i, route := range r.routes {
		if r.paths[i].MatchString(path) && takes(&route.Match, q, query) {
			all = append(all, route)
		}
	}
	return all
}

func splitQuery(path string) (string, map[string]string) {
	path, query, _ := strings.Cut(path, "?")
	first := map[string]string{}
	for _, pair := range slices.Backward(strings.Split(query, "&")) {
		name, value, _ := strings.Cut(pair, "=")
		first[name] = value
	}
	return path, first
}

// takes judges all but the path.
func takes(m *config.Match, q Request, query map[string]string) bool {
	if !takesHost(m, q.Host) || len(m.Methods) > 0 && !slices.Contains(m.Methods, q.Method) {
		return false
	}
	for name, want := range m.Headers {
		if value, ok := q.header(strings.ToLower(name)); !holds(want, value, ok) {
			return false
		}
	}
	for name, want := range m.Query {
		if value, ok := query[name]; !holds(want, value, ok) {
			return false
		}
	}
	return true
}

func takesHost(m *config.Match, host string) bool {
	host = strings.Map(func(r rune) rune { // ASCII only
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, host)
	return len(m.Hosts) == 0 || slices.ContainsFunc(m.Hosts, func(pattern string) bool {
		suffix, wild := strings.CutPrefix(pattern, "*")
		if wild {
			return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
		}
		return host == pattern
	})
}

func holds(want config.ValueMatch, value string, ok bool) bool {
	switch {
	case want.Absent:
		return !ok
	case !ok:
		return false
	case want.Present:
		return true
	case want.Prefix != "":
		return strings.HasPrefix(value, want.Prefix)
	case want.Regex == "1[0-9]": // the only one there is
		return len(value) == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '9'
	default:
		return value == want.Exact
	}
}

// headers is a request's Header. It fails where a name is not in lower case.
func headers(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name != strings.ToLower(name) {
			panic(fmt.Sprintf("the header %s was asked for, not in lower case", name))
		}
		value, ok := values[name]
		return value, ok
	}
}

func nameOf(r *config.Route) string {
	if r == nil {
		return "no route"
	}
	return r.Name
}
