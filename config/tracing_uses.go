package config

import "cmp"

// EnvoysSink is where Envoys send their spans, and by which of the protocols. It is nil
// where nothing is traced.
func (t *Tracing) EnvoysSink() *SpanSink {
	if t == nil {
		return nil
	}
	return cmp.Or(t.Zipkin, t.Datadog, t.OTLP)
}

// Traces tells whether requests are a part of a trace, recorded or not.
func (c *Config) Traces() bool { return c.Tracing == nil || !c.Tracing.Off }

// ServiceName is the name of the service whose spans they are.
func (t *Tracing) ServiceName() string {
	if t == nil || t.Service == "" {
		return "gatewright"
	}
	return t.Service
}

// DefaultTracePercent is how many requests are recorded where a config does not say.
const DefaultTracePercent = 1

// Share is the percentage of the requests that are recorded.
func (t *Tracing) Share() float64 {
	if t.Percent == nil {
		return DefaultTracePercent
	}
	return *t.Percent
}

// RecordsErrors tells whether requests that fail are recorded in any case.
func (t *Tracing) RecordsErrors() bool {
	return t != nil && t.OTLP != nil && trueUnlessSaid(t.Errors)
}

// Names tells whether metrics name requests by at least that.
func (t *Tracing) Names(by Exemplars) bool {
	return t != nil && (t.Exemplars == by || t.Exemplars == ExemplarsUser && by == ExemplarsTrace)
}

// TrustsTraces tells whether the trace context of a peer goes on, where it is one of
// the proxies that are believed, or is not.
func (c *Config) TrustsTraces(believed bool) bool {
	if c.Tracing == nil {
		return false
	}
	return c.Tracing.Trust == TrustEverybody || c.Tracing.Trust == TrustProxies && believed
}

// TraceContextHeaders are those of the trace contexts that may be trusted (W3C Trace
// Context and Baggage), in lower case.
var TraceContextHeaders = []string{"baggage", "traceparent", "tracestate"}
