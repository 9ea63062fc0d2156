package config

// Metrics is what is measured of requests.
type Metrics struct {
	// Requests is whether Envoys tell Gatewright how each request has ended. If not,
	// gatewright_requests_total and gatewright_request_duration_seconds know of none, and
	// what is let pass inside Envoy is not counted among the verdicts. What goes by the end
	// of requests (breakers, rollouts, limits of requests in flight, spans of failures)
	// needs it. Left out, it is true.
	Requests *bool `yaml:"requests"`
}

// TellsOutcomes tells whether Envoys tell how each request has ended.
func (c *Config) TellsOutcomes() bool { return c.Metrics == nil || trueUnlessSaid(c.Metrics.Requests) }
