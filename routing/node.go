package routing

import (
	"strings"

	"github.com/gatewright/gatewright/config"
)

// node is a place in a trie of paths, cut into segments as config.PathPattern
// says. The root stands before the first segment.
type node struct {
	best     int // the lowest rank at or below the node
	literals children
	variable *node
	end      *leaf // of paths that end here
	rest     *leaf // of paths that end here in /**
}

// insert adds an entry below the root. Entries are inserted in the order of
// their ranks.
func (n *node) insert(e *entry) {
	for _, s := range e.path.Segments {
		n = n.child(s, e.rank)
	}
	l := &n.end
	if e.path.Rest {
		l = &n.rest
	}
	if *l == nil {
		*l = &leaf{best: e.rank}
	}
	(*l).add(e)
}

// child is the node of a segment, made if need be.
func (n *node) child(s config.Segment, rank int) *node {
	if s.Variable != "" {
		if n.variable == nil {
			n.variable = &node{best: rank}
		}
		return n.variable
	}
	next := n.literals.get(s.Literal)
	if next == nil {
		next = &node{best: rank}
		n.literals.add(s.Literal, next)
	}
	return next
}

// find is the first of all entries below the node that takes the request and
// goes before best; otherwise best itself. What is left of the path is rest,
// where more is true; else nothing is left. Branches in which nothing goes
// before what is found already are left out; the narrower ones come first, so
// that these are most.
func (n *node) find(q *inquiry, rest string, more bool, best *entry) *entry {
	if n == nil || !before(n.best, best) {
		return best
	}
	if !more {
		best = n.end.find(q, best)
		return n.rest.find(q, best)
	}
	segment, tail, more := strings.Cut(rest, "/")
	best = n.literals.get(segment).find(q, tail, more, best)
	if segment != "" {
		best = n.variable.find(q, tail, more, best)
	}
	return n.rest.find(q, best)
}

// fewChildren is up to how many children a list is faster, and far smaller,
// than a map.
const fewChildren = 8

// children are the nodes of literal segments. The zero value has none.
type children struct {
	few  []child
	many map[string]*node // instead of few, where they are more
}

type child struct {
	literal string
	node    *node
}

// get is nil where there is no such child.
func (c *children) get(literal string) *node {
	if c.many != nil {
		return c.many[literal]
	}
	for i := range c.few {
		if c.few[i].literal == literal {
			return c.few[i].node
		}
	}
	return nil
}

func (c *children) add(literal string, n *node) {
	switch {
	case c.many != nil:
		c.many[literal] = n
	case len(c.few) < fewChildren:
		c.few = append(c.few, child{literal, n})
	default:
		c.many = map[string]*node{literal: n}
		for _, old := range c.few {
			c.many[old.literal] = old.node
		}
		c.few = nil
	}
}
