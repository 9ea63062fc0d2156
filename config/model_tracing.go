package config

// Tracing is where the spans of requests go, and of which requests there are any.
// The trace that a request is a part of is told to its backend whether it is
// recorded or not (traceparent), and to backend and client by its id (X-Trace-ID),
// unless it is Off.
//
// Exactly one of OTLP, Zipkin and Datadog is where Envoy sends its spans; OTLP may
// stand beside one of the others, and is then for Gatewright's own alone.
type Tracing struct {
	// Off has requests be a part of no trace: no backend is told of one, neither is the
	// client, and trace_id in the log is null. What clients say of traces is taken away all
	// the same. All else is left out beside it.
	Off bool `yaml:"off"`
	// OTLP is a collector of OpenTelemetry. Gatewright's own spans (of Check and of
	// what that waits for) and those of Errors go there, and without it there are none.
	OTLP *SpanSink `yaml:"otlp"`
	// Zipkin takes Envoy's spans by Zipkin's API, version 2, in JSON. The context goes
	// on in B3's headers, too.
	Zipkin *SpanSink `yaml:"zipkin"`
	// Datadog takes Envoy's spans as Datadog's agent does. The context goes on in
	// Datadog's headers, too.
	Datadog *SpanSink `yaml:"datadog"`
	// Service is the name of the service whose spans they are. Empty means gatewright.
	// Zipkin has that of the Envoy's own bootstrap.
	Service string `yaml:"service"`
	// Percent is how many requests are recorded, 0 to 100, in steps of 0.01. Left out,
	// it is 1. A context that is trusted says so itself.
	Percent *float64 `yaml:"percent"`
	// Errors has those requests recorded, too, that were not to be, and have ended with
	// a 5xx or broken off: as one span, which says how. Left out, it is true. It needs
	// OTLP.
	Errors *bool `yaml:"errors"`
	// Trust is whose trace context goes on. The empty string means nobody. Others only
	// where Envoy's spans go by OTLP.
	Trust TraceTrust `yaml:"trust"`
	// Exemplars is by what the metrics of requests name some of them, so that a latency
	// leads to a trace. The empty string means none.
	Exemplars Exemplars `yaml:"exemplars"`
}

// Exemplars is by what a metric names a request of whose trace there are spans. They are
// read with the metrics, and kept as long as those are.
type Exemplars string

// What a request is named by: nothing; the id of its trace; or that and who has sent it,
// which says of people what they do, to all who may read metrics.
const (
	ExemplarsNone  Exemplars = "none"
	ExemplarsTrace Exemplars = "trace"
	ExemplarsUser  Exemplars = "user"
)

// SpanSink is where spans are sent.
type SpanSink struct {
	// Backend is the backend that takes them. One that speaks grpc takes OTLP by gRPC,
	// and all others by HTTP.
	Backend string `yaml:"backend" required:"true"`
	// Path is where it takes them by HTTP. Empty means /v1/traces of OTLP, and
	// /api/v2/spans of Zipkin. Datadog's is its own.
	Path string `yaml:"path"`
}

// TraceTrust says whose trace context (traceparent, tracestate and baggage) goes on.
// Whoever is trusted decides which of its requests are recorded, and in which traces.
type TraceTrust string

// Those who may be trusted: nobody, so that each trace begins at the gateway; the
// proxies that TrustedHops or TrustedProxies believe, who must take the context of
// their own clients away or else be traced themselves; or everybody that connects,
// for a gateway whose clients are all one's own.
const (
	TrustNobody    TraceTrust = "nobody"
	TrustProxies   TraceTrust = "proxies"
	TrustEverybody TraceTrust = "everybody"
)

// RouteTracing is how the requests of a route are recorded. There is none where
// Tracing.Trust trusts anybody.
type RouteTracing struct {
	// Percent is how many of them are, in the place of Tracing.Percent.
	Percent *float64 `yaml:"percent" required:"true"`
}
