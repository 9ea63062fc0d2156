package config

// PathIndex finds patterns that share a path with another. It is a trie of their
// segments, so that a search meets only patterns that begin alike. The zero
// value is empty.
type PathIndex struct {
	root pathNode
}

type pathNode struct {
	literals map[string]*pathNode
	variable *pathNode
	// exact are the patterns that end here, rest those whose /** begins here.
	exact, rest []int
}

// Add adds a pattern, to be found by a number.
func (x *PathIndex) Add(p PathPattern, number int) {
	n := &x.root
	for _, s := range p.Segments {
		n = n.child(s)
	}
	if p.Rest {
		n.rest = append(n.rest, number)
	} else {
		n.exact = append(n.exact, number)
	}
}

// Overlapping are the numbers of the patterns that take some path which p takes,
// in no order.
func (x *PathIndex) Overlapping(p PathPattern) []int {
	var found []int
	x.root.overlapping(p.Segments, p.Rest, &found)
	return found
}

func (n *pathNode) child(s Segment) *pathNode {
	if s.Variable != "" {
		if n.variable == nil {
			n.variable = &pathNode{}
		}
		return n.variable
	}
	if n.literals == nil {
		n.literals = map[string]*pathNode{}
	}
	if n.literals[s.Literal] == nil {
		n.literals[s.Literal] = &pathNode{}
	}
	return n.literals[s.Literal]
}

// overlapping collects the patterns under n that share a path with these
// segments, followed by anything if rest.
func (n *pathNode) overlapping(segments []Segment, rest bool, found *[]int) {
	*found = append(*found, n.rest...) // whatever follows
	if len(segments) == 0 {
		*found = append(*found, n.exact...)
		if rest {
			n.each(func(child *pathNode) { child.overlapping(nil, true, found) })
		}
		return
	}
	s, behind := segments[0], segments[1:]
	switch {
	case s.Variable == "":
		if child := n.literals[s.Literal]; child != nil {
			child.overlapping(behind, rest, found)
		}
		if n.variable != nil && s.Literal != "" { // a variable takes no empty segment
			n.variable.overlapping(behind, rest, found)
		}
	default:
		n.each(func(child *pathNode) {
			if child != n.literals[""] {
				child.overlapping(behind, rest, found)
			}
		})
	}
}

func (n *pathNode) each(visit func(*pathNode)) {
	for _, child := range n.literals {
		visit(child)
	}
	if n.variable != nil {
		visit(n.variable)
	}
}
