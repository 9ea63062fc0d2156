package routing

import (
	"maps"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// condition is what a header or a query parameter must be.
type condition struct {
	field
	written    string // its name, as the config writes it
	want       config.ValueMatch
	expression config.Expression // of want.Regex
}

// field is a place in a request: a header by its name in lower case, or a query
// parameter by its name.
type field struct {
	query bool
	name  string
}

// conditions are those of a route, each in its order by name. An expression
// that does not compile, which a valid config has none of, fits nothing.
func conditions(m *config.Match) []condition {
	var all []condition
	add := func(query bool, wants map[string]config.ValueMatch) {
		for _, name := range slices.Sorted(maps.Keys(wants)) {
			c := condition{field: field{query, name}, written: name, want: wants[name]}
			if !query {
				c.name = strings.ToLower(name)
			}
			if c.want.Regex != "" {
				c.expression, _ = config.CompileExpression(c.want.Regex)
			}
			all = append(all, c)
		}
	}
	add(false, m.Headers)
	add(true, m.Query)
	return all
}

// holds tells whether a value, or that there is none, is what is wanted.
func (c *condition) holds(value string, ok bool) bool {
	switch {
	case c.want.Absent:
		return !ok
	case !ok:
		return false
	case c.want.Present:
		return true
	case c.want.Prefix != "":
		return strings.HasPrefix(value, c.want.Prefix)
	case c.want.Regex != "":
		return c.expression.Fits(value)
	default:
		return value == c.want.Exact
	}
}

// Holds tells whether the value of a header or of a parameter, or that there is
// none (not ok), is what a match wants.
func Holds(want config.ValueMatch, value string, ok bool) bool {
	c := condition{want: want}
	if want.Regex != "" {
		c.expression, _ = config.CompileExpression(want.Regex)
	}
	return c.holds(value, ok)
}
