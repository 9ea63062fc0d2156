package config

import "math"

func (c *checker) tracing(at *place, t *Tracing) {
	if t == nil {
		return
	}
	if t.Off {
		c.must(*t == Tracing{Off: true}, at.key("off"), "must stand alone: what is not traced is neither recorded nor sent")
		return
	}
	others := 0
	for _, other := range []*SpanSink{t.Zipkin, t.Datadog} {
		if other != nil {
			others++
		}
	}
	c.must(t.OTLP != nil || others > 0, at, "must have one of otlp, zipkin and datadog: where spans are sent")
	c.must(others < 2, at.key("datadog"), "must not stand beside zipkin: an Envoy sends its spans one way")
	c.spanSink(at.key("otlp"), t.OTLP)
	c.spanSink(at.key("zipkin"), t.Zipkin)
	c.spanSink(at.key("datadog"), t.Datadog)
	c.ownSpans(at.key("otlp").key("backend"), t.OTLP)
	if t.Datadog != nil {
		c.must(t.Datadog.Path == "", at.key("datadog").key("path"), "must be left out: the agent's paths are its own")
	}
	if t.Service != "" {
		c.obey(at.key("service"), nameOfServiceRule(t.Service))
	}
	c.recorded(at.key("percent"), t.Percent)
	if t.Errors != nil && *t.Errors {
		c.must(t.OTLP != nil, at.key("errors"), "needs otlp: the spans are Gatewright's own")
	}
	oneOf(c, at.key("trust"), t.Trust, TrustNobody, TrustProxies, TrustEverybody)
	oneOf(c, at.key("exemplars"), t.Exemplars, ExemplarsNone, ExemplarsTrace, ExemplarsUser)
	if t.Trust == TrustProxies || t.Trust == TrustEverybody {
		c.must(others == 0, at.key("trust"), "needs otlp alone: Envoy's other tracers take the trace of a context, and not its word on what is recorded")
	}
	if t.Trust == TrustProxies {
		c.must(c.cfg.TrustsProxies(), at.key("trust"), "needs trustedHops or trustedProxies: no proxy is believed")
	}
}

// nameOfServiceRule judges a name that tracers show.
func nameOfServiceRule(name string) string {
	if !nameForm.MatchString(name) {
		return "a service has a name of 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit"
	}
	return ""
}

func (c *checker) spanSink(at *place, s *SpanSink) {
	if s == nil {
		return
	}
	exists(c, at.key("backend"), "backend", s.Backend, c.cfg.Backends, new(place).key("backends"))
	if s.Path == "" {
		return
	}
	c.obey(at.key("path"), requestPathRule(s.Path))
	if b := c.cfg.Backends[s.Backend]; b != nil {
		c.must(b.Protocol != ProtocolGRPC, at.key("path"), "must be left out: the backend takes OTLP by gRPC")
	}
}

// ownSpans holds the backend that Gatewright itself connects to to be one that it can
// find: what is discovered is known to Envoys alone.
func (c *checker) ownSpans(at *place, s *SpanSink) {
	if s == nil {
		return
	}
	if b := c.cfg.Backends[s.Backend]; b != nil {
		c.must(b.Discovery == nil, at, "must be a backend with endpoints: Gatewright itself connects to it, too")
	}
}

// recorded holds a percentage to what Envoy can do.
func (c *checker) recorded(at *place, percent *float64) {
	if percent == nil {
		return
	}
	steps := *percent * 100
	c.must(*percent >= 0 && *percent <= 100, at, "must be 0 to 100")
	c.must(math.Abs(steps-math.Round(steps)) < 1e-6, at, "must be in steps of 0.01")
}

// routeTracing holds what a route says of its traces to be of a config that has any.
func (c *checker) routeTracing(at *place, t *RouteTracing) {
	if t == nil {
		return
	}
	c.must(c.cfg.Tracing != nil && c.cfg.Traces(), at, "needs tracing at the top of the file: where spans are sent")
	c.must(c.cfg.Tracing == nil || c.cfg.Tracing.Trust == "" || c.cfg.Tracing.Trust == TrustNobody, at,
		"must not stand beside tracing.trust: who is trusted says what is recorded, and of the rest Envoy knows one percentage")
	c.recorded(at.key("percent"), t.Percent)
}
