package routing

import (
	"cmp"
	"slices"

	"github.com/gatewright/gatewright/config"
)

// MaxCandidates is how many routes that were not chosen an Explanation has.
const MaxCandidates = 10

// Explanation is which route takes a request, and why no other does.
type Explanation struct {
	// Chosen is the route, and nil where there is none.
	Chosen *config.Route `json:"-"`
	// Route is its name.
	Route string `json:"route,omitempty"`
	// Candidates are the routes that came closest: first those that match, too,
	// in their order, then those with the fewest reasons against them. A route
	// without anything in common with the request is none: neither its path
	// fits, nor a host that it names, nor the beginning of its path.
	Candidates []Candidate `json:"candidates"`
	// Omitted is how many more of them there are.
	Omitted int `json:"omitted"`
}

// Candidate is a route that was not chosen.
type Candidate struct {
	Route *config.Route `json:"-"`
	Name  string        `json:"route"`
	// Matches tells that the route would take the request, were it not for the
	// chosen one. Then its one reason is that it comes after it.
	Matches bool `json:"matches"`
	// Reasons are all that speak against the route. At least one.
	Reasons []Reason `json:"reasons"`
}

// Explain is Find with its reasons. It looks at each route: it is for people,
// not for each request.
func (t *Table) Explain(r Request) Explanation {
	q := newInquiry(r)
	chosen := t.find(&q)
	losers := t.losers(&q, chosen)
	slices.SortStableFunc(losers, closer)
	x := Explanation{Candidates: []Candidate{}, Omitted: max(0, len(losers)-MaxCandidates)}
	if chosen != nil {
		x.Chosen, x.Route = chosen.route, chosen.route.Name
	}
	for _, l := range losers[:len(losers)-x.Omitted] {
		c := Candidate{Route: l.route, Name: l.route.Name, Matches: l.matches(), Reasons: l.reasons}
		if c.Matches {
			c.Reasons = []Reason{comesAfter(chosen.route, l.route)}
		}
		for i := range c.Reasons {
			c.Reasons[i].Text = text(c.Reasons[i], l.entry, &q, chosen)
		}
		x.Candidates = append(x.Candidates, c)
	}
	return x
}

// loser is a route that was not chosen.
type loser struct {
	*entry
	reasons []Reason // why it does not match, without their texts
	shared  int      // how many segments of its path fit, from the left
}

func (l loser) matches() bool { return len(l.reasons) == 0 }

// losers are those that have something in common with the request, by rank.
func (t *Table) losers(q *inquiry, chosen *entry) []loser {
	var all []loser
	for _, e := range t.entries {
		if e == chosen {
			continue
		}
		l := loser{e, e.mismatches(q), e.sharedSegments(q.path)}
		hostFits := len(e.route.Match.Hosts) > 0 && e.takesHost(q.host)
		if hostFits || l.shared > 0 || e.path.Matches(q.path) {
			all = append(all, l)
		}
	}
	return all
}

// closer orders what has fewer reasons against it first, and then what shares
// more of the path. Those that match stay in their order.
func closer(a, b loser) int {
	if a.matches() && b.matches() {
		return 0
	}
	return cmp.Or(
		cmp.Compare(len(a.reasons), len(b.reasons)),
		cmp.Compare(b.shared, a.shared),
	)
}
