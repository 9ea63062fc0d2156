package config

// tracing are the headers by which a client would say how it is traced, in W3C's
// way and those of others. With one of them a client could have backends record its
// requests, as many as it likes and under ids that it chooses, or have some 60 KiB
// carried through all of them; and with a traceparent that is none, Envoy begins no
// trace at all, and hands on what came.
var tracing = headers("traceparent tracestate traceresponse baggage b3 grpc-trace-bin jaeger-baggage jaeger-debug-id newrelic sentry-trace " +
	"elastic-apm-traceparent ot-tracer-traceid ot-tracer-spanid ot-tracer-sampled sw8 sw8-correlation sw8-x uber-trace-id " +
	"x-amzn-trace-id x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-b3-flags x-client-trace-id x-cloud-trace-context " +
	"x-datadog-trace-id x-datadog-parent-id x-datadog-sampling-priority x-datadog-origin x-datadog-tags " +
	"x-instana-t x-instana-s x-instana-l x-ot-span-context")

// TracingHeaders are the headers, in lower case, sorted, by which a client would
// say how it is traced. They are taken out of every request, on every route,
// before it is matched: the gateway begins each trace. TraceContextHeaders stay
// where Config.Tracing trusts who sends them. A config may set them for backends, but
// for those of Envoy's own trace.
func TracingHeaders() []string { return sorted(tracing.names) }
