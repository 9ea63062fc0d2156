package explain

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Placement is where a route's policy runs on a listener, by the config. What has its
// requests asked about for a while, as a breaker that is open, only the running gateway
// knows.
type Placement struct {
	Listener string `json:"listener"`
	// InEnvoy tells that requests that surely pass are let pass inside Envoy, and all
	// others are asked about. Else all are.
	InEnvoy bool `json:"inEnvoy"`
	// Remembered tells that Envoy's dynamic module remembers whom a token names: of those that
	// surely pass, the first request with each token is asked about.
	Remembered bool `json:"remembered,omitempty"`
	// WhyAsked is why all are, in words.
	WhyAsked []string `json:"whyAsked,omitempty"`
	// ThisToo is why this request is asked about where others are let pass; empty where it
	// may be let pass, too, as far as it can be told.
	ThisToo string `json:"thisToo,omitempty"`
	// Limit is the limit that is counted inside Envoy, too; nil for none.
	Limit *PlacedLimit `json:"limit,omitempty"`
}

// PlacedLimit is a limit that is counted inside Envoy as far as the config says. Whether it
// is depends on who there is to count, too: only the running gateway knows.
type PlacedLimit struct {
	Name string `json:"name"`
	// MostEnvoys is by how many Envoys at most.
	MostEnvoys int64 `json:"mostEnvoys"`
}

// placements are those of a route, by listener in the order of the config. There are none
// where nobody is asked about its requests.
func placements(c *config.Config, r *config.Route, p *authz.Policy, a *Auth, asked Asked) []Placement {
	if !p.Needed() {
		return nil
	}
	placer := c.Placer()
	var out []Placement
	for _, l := range c.Listeners {
		if l.RedirectToHTTPS != nil {
			continue // no route sees its requests
		}
		why := placer.WhyAskedOn(l, r)
		on := Placement{Listener: l.Name, InEnvoy: len(why) == 0, WhyAsked: why}
		if on.InEnvoy {
			on.ThisToo = surelyAsked(p, a, asked)
			on.Remembered = c.Experiments.EnvoyModule != "" && p.Rememberable()
			on.Limit = placedLimit(p.Limits)
		}
		out = append(out, on)
	}
	return out
}

// placedLimit is what is said of a policy's limits: where it runs inside Envoy there is one
// at most.
func placedLimit(limits []*config.Limit) *PlacedLimit {
	if len(limits) == 0 {
		return nil
	}
	l := limits[0]
	return &PlacedLimit{Name: l.Name, MostEnvoys: l.TokenBucket.Capacity / l.Cost.Usual()}
}

// surelyAsked is why a request is asked about though its policy runs inside Envoy, or "".
// What is let pass there is a part of what passes here: so a request whose tokens and
// certificates are all refused is asked about, and so is one that shows another credential.
// Of a certificate that nothing is wrong with each thread of an Envoy asks once.
func surelyAsked(p *authz.Policy, a *Auth, asked Asked) string {
	judged := a.AnyOf
	if a.Public && a.Shadow != nil {
		judged = a.Shadow.AnyOf
	} else if a.Public {
		return ""
	}
	tokens, certificates := ofKind(judged, "jwt"), ofKind(judged, "clientCertificate")
	may := slices.IndexFunc(judged, func(q Requirement) bool {
		return q.Verdict != Denied && (q.Kind == "jwt" || q.Kind == "clientCertificate")
	})
	switch _, token := asked.header("Authorization"); {
	case may < 0 && tokens && certificates:
		return "neither a token nor a certificate of it passes"
	case may < 0 && certificates:
		return "no certificate of it passes"
	case may < 0:
		return "no token of it passes"
	case judged[may].Kind == "clientCertificate" && tokens && token:
		return "it shows a token beside its certificate"
	}
	for q := range p.Reads().Requirements() {
		if q.APIKey == nil {
			continue
		}
		if _, shown := asked.header(q.APIKey.KeyHeader()); shown {
			return "it shows an API key"
		}
	}
	return ""
}

// ofKind tells whether some requirement is of a kind.
func ofKind(all []Requirement, kind string) bool {
	return slices.ContainsFunc(all, func(q Requirement) bool { return q.Kind == kind })
}

// writePlacements writes where a policy runs: once, where it is the same on all listeners.
func writePlacements(b *page, all []Placement) {
	if len(all) == 0 {
		return
	}
	alike := !slices.ContainsFunc(all, func(p Placement) bool { return !slices.Equal(p.WhyAsked, all[0].WhyAsked) })
	if alike {
		all[0].write(b, "")
		return
	}
	for _, p := range all {
		p.write(b, " on listener "+p.Listener)
	}
}

func (p Placement) write(b *page, where string) {
	if p.InEnvoy {
		b.line(0, "judged%s: inside Envoy, which asks Gatewright about requests that do not surely pass", where)
		if p.Remembered {
			b.line(1, "and about the first with each token, whose verdict the dynamic module remembers")
		}
		if p.ThisToo != "" {
			b.line(1, "and about this one: %s", p.ThisToo)
		}
		if l := p.Limit; l != nil {
			b.line(1, "limit %s too, while there are at most %d Envoys, all with a bootstrap of this version,", l.Name, l.MostEnvoys)
			b.line(1, "and no tenant has another size of it; gatewright status says whether that is so")
		}
		return
	}
	b.line(0, "judged%s: by Gatewright, which is asked about every request, since", where)
	b.line(1, "%s", strings.Join(p.WhyAsked, "; "))
}
