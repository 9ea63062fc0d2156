package config

import "slices"

// Told is what the judge has to tell of the caller for the part, as for
// TemplatePart.Told; "" where it has nothing to tell.
func (p HashPart) Told() string {
	if name, ok := p.Claim(); ok {
		return TemplatePart{Variable: "claims", Name: name}.Told()
	}
	return TemplatePart{Variable: string(p)}.Told()
}

// HashedByCaller is what of the caller the endpoints are picked by at the backends that
// requests of a route can go to, in the words of Told: sorted, each once. It is known to
// the judge alone, who tells Envoy.
func (c *Config) HashedByCaller(r *Route) []string {
	if r.Auth == nil || r.Auth.Public {
		return nil // of its callers nobody knows who they are
	}
	var all []string
	for _, d := range r.To {
		for _, name := range []string{d.Backend, c.Backends[d.Backend].Fallback()} {
			b := c.Backends[name]
			if b == nil || b.LoadBalancing == nil {
				continue
			}
			for _, part := range b.LoadBalancing.Hash {
				if told := part.Told(); told != "" {
					all = append(all, told)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Told is what the judge has to tell Envoy of the callers of a route: sorted, each
// once.
func (c *Config) Told(r *Route) []string {
	all := slices.Concat(r.Told(), c.HashedByCaller(r))
	slices.Sort(all)
	return slices.Compact(all)
}
