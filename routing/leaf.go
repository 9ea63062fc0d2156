package routing

import "slices"

const (
	// scanned is how many routes of one path and host are asked one after the
	// other. Of those that follow, the ones with an exact header or query
	// parameter are looked up by it.
	scanned = 8
	// maxLookups bounds the fields that a leaf looks up, since each costs.
	maxLookups = 16
)

// leaf holds the entries of one path and one host. Entries are added, and so
// stand in each of its lists, in the order of their ranks.
type leaf struct {
	best    int // rank of the first entry
	entries []*entry
	lookups []*lookup
}

// lookup holds entries that want an exact value of one field, by that value.
type lookup struct {
	field
	entries map[string][]*entry
}

func (l *leaf) add(e *entry) {
	if len(l.entries) >= scanned {
		if by, value := l.lookupFor(e); by != nil {
			by.entries[value] = append(by.entries[value], e)
			return
		}
	}
	l.entries = append(l.entries, e)
}

// lookupFor is where an entry is looked up, and by which value. It is nil for
// an entry without exact values.
func (l *leaf) lookupFor(e *entry) (*lookup, string) {
	exact := func(c condition) bool { return c.want.IsExact() }
	for _, by := range l.lookups {
		if i := slices.IndexFunc(e.conditions, func(c condition) bool { return exact(c) && c.field == by.field }); i >= 0 {
			return by, e.conditions[i].want.Exact
		}
	}
	i := slices.IndexFunc(e.conditions, exact)
	if i < 0 || len(l.lookups) == maxLookups {
		return nil, ""
	}
	by := &lookup{e.conditions[i].field, map[string][]*entry{}}
	l.lookups = append(l.lookups, by)
	return by, e.conditions[i].want.Exact
}

// find is the first of the leaf's entries that takes the request and goes
// before best; otherwise best itself. Of a nil leaf it is best.
func (l *leaf) find(q *inquiry, best *entry) *entry {
	if l == nil || !before(l.best, best) {
		return best
	}
	best = first(l.entries, q, best)
	for _, by := range l.lookups {
		if value, ok := q.value(by.field); ok {
			best = first(by.entries[value], q, best)
		}
	}
	return best
}

func first(entries []*entry, q *inquiry, best *entry) *entry {
	for _, e := range entries {
		if !before(e.rank, best) {
			return best
		}
		if e.takes(q) {
			return e
		}
	}
	return best
}

// before tells whether a rank goes before an entry. Anything goes before nil.
func before(rank int, e *entry) bool { return e == nil || rank < e.rank }
