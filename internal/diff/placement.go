package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Moved are routes that both configs have, whose policies run elsewhere than before: it
// changes no answer, but what a request costs, and what becomes of it while Gatewright is
// away.
type Moved struct {
	// IntoEnvoy tells that requests that surely pass are not asked about any more; else
	// every request is, which was not so before.
	IntoEnvoy bool `json:"intoEnvoy"`
	// Why is why they are asked about, in words: before where they are not any more.
	Why []string `json:"why"`
	// Routes are their names, sorted, and Listeners those on which it is so.
	Routes    []string `json:"routes"`
	Listeners []string `json:"listeners"`
}

// moved are the routes whose policies move, those that leave Envoy first, and those that
// do so for the same reasons together.
func moved(before, after *config.Config) []Moved {
	old := map[string]*config.Route{}
	for _, r := range before.Routes {
		old[r.Name] = r
	}
	oldPlacer, newPlacer := before.Placer(), after.Placer()
	byReason := map[string]*Moved{}
	for _, l := range after.Listeners {
		was := listenerNamed(before, l.Name)
		if was == nil || l.RedirectToHTTPS != nil || was.RedirectToHTTPS != nil {
			continue
		}
		for _, r := range after.Routes {
			if o := old[r.Name]; o != nil {
				addMove(byReason, l.Name, placeOf(before, oldPlacer, was, o), placeOf(after, newPlacer, l, r))
			}
		}
	}
	var out []Moved
	for _, m := range byReason {
		slices.Sort(m.Routes)
		out = append(out, *m)
	}
	out = mergeListeners(out)
	slices.SortFunc(out, func(a, b Moved) int {
		return cmp.Or(cmp.Compare(rank(a.IntoEnvoy), rank(b.IntoEnvoy)), cmp.Compare(len(b.Routes), len(a.Routes)),
			slices.Compare(a.Why, b.Why), slices.Compare(a.Routes, b.Routes))
	})
	return out
}

func rank(intoEnvoy bool) int {
	if intoEnvoy {
		return 1
	}
	return 0
}

// place is a route on a listener, and why its requests are asked about there; none where
// its policy runs inside Envoy.
type place struct {
	config *config.Config
	route  *config.Route
	asked  []string
}

func (w place) inEnvoy() bool { return len(w.asked) == 0 }

// judged tells whether the route has a policy at all. It makes that, and so is asked of
// those alone that may have moved.
func (w place) judged() bool { return authz.NewPolicy(w.config, w.route, false).Needed() }

// placeOf is where a route's policy runs on a listener.
func placeOf(c *config.Config, placer *config.Placer, l *config.Listener, r *config.Route) place {
	return place{c, r, placer.WhyAskedOn(l, r)}
}

func addMove(all map[string]*Moved, listener string, from, to place) {
	if from.inEnvoy() == to.inEnvoy() || !from.judged() || !to.judged() {
		return
	}
	m := Moved{IntoEnvoy: to.inEnvoy(), Why: to.asked, Listeners: []string{listener}}
	if m.IntoEnvoy {
		m.Why = from.asked
	}
	key := fmt.Sprintf("%q %v %q", listener, m.IntoEnvoy, m.Why)
	if all[key] == nil {
		all[key] = &m
	}
	all[key].Routes = append(all[key].Routes, to.route.Name)
}

// mergeListeners joins moves that are the same on several listeners.
func mergeListeners(all []Moved) []Moved {
	slices.SortFunc(all, func(a, b Moved) int { return slices.Compare(a.Listeners, b.Listeners) })
	var out []Moved
	for _, m := range all {
		i := slices.IndexFunc(out, func(o Moved) bool {
			return o.IntoEnvoy == m.IntoEnvoy && slices.Equal(o.Why, m.Why) && slices.Equal(o.Routes, m.Routes)
		})
		if i < 0 {
			out = append(out, m)
			continue
		}
		out[i].Listeners = append(out[i].Listeners, m.Listeners...)
	}
	return out
}

func listenerNamed(c *config.Config, name string) *config.Listener {
	for _, l := range c.Listeners {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// someRoutes is how many routes of a move are written, unless all are.
const someRoutes = 5

// writeMoved writes the moves for people.
func writeMoved(b *strings.Builder, all []Moved, wholly bool) {
	if len(all) > 0 {
		b.WriteString("policies that run elsewhere than before:\n")
	}
	for _, m := range all {
		routes, more := m.Routes, ""
		if n := len(routes) - someRoutes; n > 0 && !wholly {
			routes, more = routes[:someRoutes], fmt.Sprintf(" and %d more (--all)", n)
		}
		direction := "by Gatewright now, which is asked about every request: "
		if m.IntoEnvoy {
			direction = "inside Envoy now; every request was asked about: "
		}
		fmt.Fprintf(b, "  %s%s, on %s: %s%s\n", strings.Join(routes, ", "), more, strings.Join(m.Listeners, ", "), direction, strings.Join(m.Why, "; "))
	}
}
