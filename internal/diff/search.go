package diff

import (
	"reflect"
	"slices"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// The bounds of a search: how many rivals of a route are looked at, how many
// requests are tried for one route and for all. They are far above what a change
// of a few routes needs, and a search that meets one says so.
const (
	maxRivals   = 200
	maxForRoute = 50_000
	maxForAll   = 2_000_000
	// least is what each changed route has, however many there are.
	least = 8
)

// search tries requests on two gateways.
//
// A request is judged differently only if one of the gateways judges it by a
// route that the other has not, or has in another form: by a changed route. If
// both judged it by unchanged ones, each had both routes and put the same first.
// So requests are tried that changed routes take, and as far as possible no
// route before them: for each, those that nothing else takes, and those that some
// rival, that is a route with which it overlaps, takes as well.
type search struct {
	before, after *side
	rivals        *trie
	found         map[class]Request
	order         []class
	tried         int
	bounded       bool
}

// class is what requests have in common that are reported as one.
type class struct{ was, now *judgement }

func newSearch(before, after *side) *search {
	return &search{before: before, after: after, rivals: &trie{}, found: map[class]Request{}}
}

// open makes the search ready: without a change there is no need to.
func (s *search) open() {
	s.before.open()
	s.after.open()
	for _, r := range s.before.config.Routes {
		s.insert(r)
	}
	for _, r := range s.after.config.Routes {
		if s.before.byName[r.Name] != r {
			s.insert(r)
		}
	}
}

func (s *search) insert(r *config.Route) {
	path, err := config.ParsePath(r.Match.Path)
	if err == nil {
		s.rivals.insert(&candidate{r, path, conditions(r)})
	}
}

// run tries requests for each changed route.
func (s *search) run() {
	same := sameParts(s.before.config, s.after.config)
	changed := append(s.changed(s.before, s.after, same), s.changed(s.after, s.before, same)...)
	if len(changed) == 0 {
		return
	}
	s.open()
	each := min(maxForRoute, max(least, maxForAll/len(changed)))
	for _, r := range changed {
		s.tryRoute(r, each)
	}
}

// sameParts tells whether all is the same that policies are made of beside
// their routes.
func sameParts(a, b *config.Config) bool {
	return reflect.DeepEqual(a.Auth, b.Auth) && reflect.DeepEqual(a.Limits, b.Limits)
}

// changed are the routes of one side that the other has not in the same form.
func (s *search) changed(one, other *side, same bool) []*config.Route {
	var out []*config.Route
	for _, r := range one.config.Routes {
		twin := other.byName[r.Name]
		if twin == r && same {
			continue
		}
		if twin == nil || !sameMatch(twin, r) || !one.judge(r).same(other.judge(twin)) {
			out = append(out, r)
		}
	}
	return out
}

func sameMatch(a, b *config.Route) bool {
	return a.Priority == b.Priority && reflect.DeepEqual(a.Match, b.Match)
}

// tryRoute tries at most that many requests that a route takes.
func (s *search) tryRoute(r *config.Route, most int) {
	path, err := config.ParsePath(r.Match.Path)
	if err != nil {
		return
	}
	v := &candidate{r, path, conditions(r)}
	var rivals []*candidate
	all := s.rivals.overlapping(path.Segments, path.Rest, func(c *candidate) bool {
		if c.route != r && meet(c.route, r) {
			rivals = append(rivals, c)
		}
		return len(rivals) < min(maxRivals, most)
	})
	s.bounded = s.bounded || !all
	until := s.tried + most
	w := newWitnesses(v, rivals)
	for _, rival := range append([]*candidate{v}, rivals...) {
		if !w.each(rival, func(q *Request) bool { s.try(q); return s.tried < until }) {
			s.bounded = true
			return
		}
	}
}

// try asks both gateways about a request.
func (s *search) try(q *Request) {
	s.tried++
	normal, err := routing.NormalizeStrictly(q.Routed())
	if err != nil {
		return // no route ever sees it
	}
	was, now := s.before.judge(s.before.table.Find(normal)), s.after.judge(s.after.table.Find(normal))
	c := class{was, now}
	if _, known := s.found[c]; known || was.same(now) {
		return
	}
	q.Protection, q.Lost = protection(was, now)
	q.Was, q.Now, q.OldRoute, q.NewRoute = was.String(), now.String(), was.route, now.route
	s.found[c] = *q
	s.order = append(s.order, c)
}

// classes are what was found, in the order in which it was.
func (s *search) classes() []Request {
	out := make([]Request, 0, len(s.order))
	for _, c := range s.order {
		out = append(out, s.found[c])
	}
	return out
}

// meet tells whether two routes share a host and a method.
func meet(a, b *config.Route) bool {
	return len(sharedMethods(a, b, "")) > 0 && len(sharedHosts(a, b)) > 0
}

// sharedMethods are the methods that both take; where both take each, GET and
// another one that no route names.
func sharedMethods(a, b *config.Route, unnamed string) []string {
	x, y := a.Match.Methods, b.Match.Methods
	switch {
	case len(x) == 0 && len(y) == 0:
		return slices.Compact([]string{"GET", unnamed})
	case len(x) == 0:
		return y
	case len(y) == 0:
		return x
	}
	var out []string
	for _, m := range x {
		if slices.Contains(y, m) {
			out = append(out, m)
		}
	}
	return out
}
