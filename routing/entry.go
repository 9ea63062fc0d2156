package routing

import (
	"slices"

	"github.com/gatewright/gatewright/config"
)

// entry is a route of a table.
type entry struct {
	route *config.Route
	// rank is its place among all: the lower one wins.
	rank       int
	path       config.PathPattern
	conditions []condition
}

// inquiry is a request while a route is looked for: what it is asked for, cut
// once.
type inquiry struct {
	Request
	host, path, query string
}

func (q *inquiry) value(f field) (string, bool) {
	if f.query {
		return parameter(q.query, f.name)
	}
	return q.header(f.name)
}

// takes tells whether the entry takes a request whose host and path fit.
func (e *entry) takes(q *inquiry) bool {
	if !e.takesMethod(q.Method) {
		return false
	}
	for i := range e.conditions {
		c := &e.conditions[i]
		if value, ok := q.value(c.field); !c.holds(value, ok) {
			return false
		}
	}
	return true
}

func (e *entry) takesMethod(method string) bool {
	return len(e.route.Match.Methods) == 0 || slices.Contains(e.route.Match.Methods, method)
}
