package diff

import (
	"maps"
	"slices"

	"github.com/gatewright/gatewright/config"
)

// candidate is a route of one of the gateways, with its match read.
type candidate struct {
	route *config.Route
	path  config.PathPattern
	asks  map[field]config.ValueMatch
}

// trie holds routes by their paths, so that those whose paths overlap with one
// are found without looking at all.
type trie struct {
	literals  map[string]*trie
	variable  *trie
	end, rest []*candidate
}

func (n *trie) insert(c *candidate) {
	for _, s := range c.path.Segments {
		next := n.variable
		if s.Variable == "" {
			next = n.literals[s.Literal]
		}
		if next == nil {
			next = &trie{}
			switch {
			case s.Variable != "":
				n.variable = next
			case n.literals == nil:
				n.literals = map[string]*trie{s.Literal: next}
			default:
				n.literals[s.Literal] = next
			}
		}
		n = next
	}
	if c.path.Rest {
		n.rest = append(n.rest, c)
	} else {
		n.end = append(n.end, c)
	}
}

// overlapping gives routes whose paths overlap with a pattern, of which the
// segments are left, to take, until take wants no more. It tells whether that
// was not so. The order is always the same.
func (n *trie) overlapping(segments []config.Segment, rest bool, take func(*candidate) bool) bool {
	if n == nil {
		return true
	}
	if !all(n.rest, take) {
		return false
	}
	if len(segments) == 0 {
		return all(n.end, take) && (!rest || n.below(rest, func(next *trie) bool { return next.overlapping(nil, true, take) }))
	}
	further := func(next *trie) bool { return next.overlapping(segments[1:], rest, take) }
	s := segments[0]
	if s.Variable == "" {
		return further(n.literals[s.Literal]) && (s.Literal == "" || further(n.variable))
	}
	return n.below(false, further)
}

// below goes to each node that follows, to that of the empty segment only where
// that may be.
func (n *trie) below(empty bool, visit func(*trie) bool) bool {
	for _, literal := range slices.Sorted(maps.Keys(n.literals)) {
		if (literal != "" || empty) && !visit(n.literals[literal]) {
			return false
		}
	}
	return n.variable == nil || visit(n.variable)
}

func all(list []*candidate, take func(*candidate) bool) bool {
	return !slices.ContainsFunc(list, func(c *candidate) bool { return !take(c) })
}
