package config

// metrics holds a config of which no request's end is told to have nothing that goes by it.
func (c *checker) metrics(at *place, m *Metrics) {
	if m == nil || c.cfg.TellsOutcomes() {
		return
	}
	const needs = "must be left out, or true: "
	at = at.key("requests")
	for _, name := range sorted(c.cfg.Backends) {
		c.must(c.cfg.Backends[name].Breaker == nil, at, needs+"the breaker of backend "+name+" goes by how requests end")
	}
	for _, name := range sorted(c.cfg.Limits) {
		c.must(c.cfg.Limits[name].Concurrency == nil, at, needs+"limit "+name+" has to hear of the end of requests")
	}
	for _, r := range c.cfg.Routes {
		c.must(r.Rollout == nil, at, needs+"the rollout of route "+r.Name+" goes by how requests end")
	}
	c.must(!c.cfg.Tracing.RecordsErrors(), at, needs+"tracing.errors makes spans of requests that have failed; set it to false")
}
