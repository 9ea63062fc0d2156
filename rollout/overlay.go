package rollout

import (
	"github.com/gatewright/gatewright/config"
)

// Overlay is a config with the weights that its rollouts have now. Routes without a
// rollout are the very same, and so is the config where no route has one. A canary
// whose state is not known gets nothing.
func (c *Controller) Overlay(cfg *config.Config) *config.Config {
	specs := Specs(cfg)
	if len(specs) == 0 {
		return cfg
	}
	out := *cfg
	out.Routes = make([]*config.Route, len(cfg.Routes))
	for i, r := range cfg.Routes {
		if spec, ok := specs[r.Name]; ok {
			r = weighed(r, spec, c.shareOf(spec))
		}
		out.Routes[i] = r
	}
	return &out
}

// shareOf is what the canary of a spec gets, which may be one that Apply has not
// told of yet.
func (c *Controller) shareOf(spec Spec) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.state(spec.Route)
	if !ok {
		return 0
	}
	if before, ok := c.specs[spec.Route]; !ok || !before.equal(spec) {
		s, _ := Reconcile(spec, known, known.At)
		// What begins anew is begun when it is applied.
		return min(s.Share, known.Share)
	}
	return known.Share
}

// weighed is a route whose canary gets a share in percent, and the others the rest
// as their weights say.
func weighed(r *config.Route, spec Spec, share int) *config.Route {
	next := *r
	if spec.Dark {
		return mirrored(&next, spec.Backend, share)
	}
	total := 0
	for _, d := range r.To {
		if d.Backend != spec.Backend {
			total += weightOf(d)
		}
	}
	divisor := 0
	weights := make([]int, len(r.To))
	for i, d := range r.To {
		weights[i] = weightOf(d) * (100 - share)
		if d.Backend == spec.Backend {
			weights[i] = total * share
		}
		divisor = gcd(divisor, weights[i])
	}
	next.To = make([]*config.Destination, len(r.To))
	for i, d := range r.To {
		side, weight := *d, weights[i]/divisor
		side.Weight = &weight
		next.To[i] = &side
	}
	return &next
}

// mirrored gives a copy of a route another percentage for one of its mirrors.
func mirrored(r *config.Route, backend string, share int) *config.Route {
	change := func(m *config.Mirror) *config.Mirror {
		if m == nil || m.Backend != backend {
			return m
		}
		next, of := *m, float64(share)
		next.Percent = &of
		return &next
	}
	r.Mirror = change(r.Mirror)
	mirrors := r.Mirrors
	r.Mirrors = nil
	for _, m := range mirrors {
		r.Mirrors = append(r.Mirrors, change(m))
	}
	return r
}

// weightOf is the weight of a side; the only one of a route may say none.
func weightOf(d *config.Destination) int {
	if d.Weight == nil {
		return 1
	}
	return *d.Weight
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
