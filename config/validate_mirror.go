package config

func (c *checker) mirrors(at *place, r *Route) {
	if r.Mirror != nil {
		c.mirror(at.key("mirror"), r, r.Mirror)
		c.must(len(r.Mirrors) == 0, at.key("mirrors"), "must not stand beside mirror: say all of them here")
	}
	seen := map[string]bool{}
	for i, m := range r.Mirrors {
		at := at.key("mirrors").index(i)
		c.mirror(at, r, m)
		c.must(m.Backend == "" || !seen[m.Backend], at.key("backend"), "is listed twice: give it one percentage")
		seen[m.Backend] = true
	}
}

func (c *checker) mirror(at *place, r *Route, m *Mirror) {
	exists(c, at.key("backend"), "backend", m.Backend, c.cfg.Backends, new(place).key("backends"))
	c.must(m.Percent == nil || *m.Percent >= 0 && *m.Percent <= 100, at.key("percent"), "must be 0 to 100")
	c.grpcBackend(at.key("backend"), r, m.Backend)
}
