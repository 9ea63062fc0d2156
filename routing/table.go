package routing

import (
	"strings"

	"github.com/gatewright/gatewright/config"
)

// Table finds the route of a request among many in a time that hardly depends
// on how many there are. It does not change, so it may be used by many at once.
//
// There is one trie of paths for each host, for each *.suffix, and for every
// host. A route with several hosts stands in several of them.
type Table struct {
	entries []*entry // by rank
	hosts   map[string]*node
	// suffixes are by what follows the star, .example.com; longest is the
	// length of the longest.
	suffixes map[string]*node
	longest  int
	every    *node
}

// NewTable is the table of a valid config. It keeps the config's routes, which
// must not change any more.
func NewTable(c *config.Config) *Table {
	t := &Table{hosts: map[string]*node{}, suffixes: map[string]*node{}, every: &node{}}
	t.entries = make([]*entry, 0, len(c.Routes))
	for rank, route := range c.RoutesBySpecificity() {
		path, err := config.ParsePath(route.Match.Path)
		if err != nil {
			continue // not valid: no path is matched by it
		}
		e := &entry{route: route, rank: rank, path: path, conditions: conditions(&route.Match)}
		t.entries = append(t.entries, e)
		for _, root := range t.roots(route.Match.Hosts, rank) {
			root.insert(e)
		}
	}
	return t
}

// roots are the tries of hosts, made if need be.
func (t *Table) roots(hosts []string, rank int) []*node {
	if len(hosts) == 0 {
		return []*node{t.every}
	}
	var roots []*node
	for _, host := range hosts {
		key, tries := lower(host), t.hosts
		if suffix, wild := strings.CutPrefix(key, "*"); wild {
			key, tries = suffix, t.suffixes
			t.longest = max(t.longest, len(suffix))
		}
		if tries[key] == nil {
			tries[key] = &node{best: rank}
		}
		roots = append(roots, tries[key])
	}
	return roots
}

// Find is the route that takes a normalized request, as Envoy with our settings
// would match it: of all routes whose host, method, path, headers and query fit,
// the most specific. Nil is no route.
func (t *Table) Find(r Request) *config.Route {
	q := newInquiry(r)
	if e := t.find(&q); e != nil {
		return e.route
	}
	return nil
}

func newInquiry(r Request) inquiry {
	path, query, _ := strings.Cut(r.Path, "?")
	return inquiry{Request: r, host: lower(r.Host), path: path, query: query}
}

func (t *Table) find(q *inquiry) *entry {
	path, absolute := strings.CutPrefix(q.path, "/")
	if !absolute {
		return nil
	}
	best := t.hosts[q.host].find(q, path, true, nil)
	// A star is at least one character, so the suffix begins after the first.
	for i := max(1, len(q.host)-t.longest); i < len(q.host); i++ {
		if q.host[i] == '.' {
			best = t.suffixes[q.host[i:]].find(q, path, true, best)
		}
	}
	return t.every.find(q, path, true, best)
}
