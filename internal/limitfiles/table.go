package limitfiles

import "strings"

// Table is what the files of a folder say. It does not change. The nil Table has no
// domains.
type Table struct {
	domains map[string]*node
	rules   []*Rule
	files   int
}

// Summary is how much a Table holds.
type Summary struct {
	Files   int `json:"files"`
	Domains int `json:"domains"`
	Rules   int `json:"rules"`
}

// Summary is how much the table holds.
func (t *Table) Summary() Summary {
	if t == nil {
		return Summary{}
	}
	return Summary{Files: t.files, Domains: len(t.domains), Rules: len(t.rules)}
}

// Rules are all of the table, in the order of the files.
func (t *Table) Rules() []*Rule {
	if t == nil {
		return nil
	}
	return t.rules
}

// Knows tells whether a file has the domain.
func (t *Table) Knows(domain string) bool { return t != nil && t.domains[domain] != nil }

// node is one level of descriptors, and what they may do that end here.
type node struct {
	rule  *Rule
	exact map[pair]*node
	wild  map[string][]wildcard // by key, in the order of the files
	any   map[string]*node      // by key: whatever the value
}

// pair is the key and the value of one entry.
type pair struct{ key, value string }

// wildcard is a value with "*" in it, each of which stands for any text or none.
type wildcard struct {
	parts []string // what stands between them
	next  *node
}

// Find is the rule for a descriptor in a domain, or nil: there is no limit. Every entry
// must match, each at its level.
func Find[E Entry](t *Table, domain string, entries []E) *Rule {
	if t == nil || t.domains[domain] == nil {
		return nil
	}
	at := t.domains[domain]
	for _, e := range entries {
		if at = at.step(e.GetKey(), e.GetValue()); at == nil {
			return nil
		}
	}
	return at.rule
}

// step is the level below for an entry, or nil.
func (n *node) step(key, value string) *node {
	if next := n.exact[pair{key, value}]; next != nil {
		return next
	}
	for _, w := range n.wild[key] {
		if w.matches(value) {
			return w.next
		}
	}
	return n.any[key]
}

// matches reads the value from the left: each part as early as it can be, and the last
// one at the end.
func (w wildcard) matches(value string) bool {
	first, last := w.parts[0], w.parts[len(w.parts)-1]
	rest, ok := strings.CutPrefix(value, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, part := range w.parts[1 : len(w.parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return true
}
