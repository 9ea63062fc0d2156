package xds

import (
	"cmp"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	samplersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// sendSpans bounds how long an Envoy waits for who takes its spans. It has some
// thousand on their way then, and drops what is more.
const sendSpans = 5 * time.Second

// tracing makes every request part of a W3C trace: Envoy begins one, and sends its
// traceparent to the backend. Nothing of a client's goes on (earlyHeaderMutations
// take it away), unless the config trusts it: of a traceparent that is malformed
// Envoy would make no trace, and send it to the backend as it is. Whatever a client
// asks for in Envoy's own headers, it has no say in what is recorded.
func (b builder) tracing(p peerKind) *hcmv3.HttpConnectionManager_Tracing {
	if !b.config.Traces() {
		return nil
	}
	t := &hcmv3.HttpConnectionManager_Tracing{
		ClientSampling:  &typev3.Percent{Value: 0},
		RandomSampling:  &typev3.Percent{Value: 0},
		OverallSampling: &typev3.Percent{Value: 100},
	}
	if b.config.Tracing == nil {
		t.Provider = untold()
		return t
	}
	// A span of its own for each try at a backend. Envoy makes and fills it recorded or
	// not: where nothing ever is, a request does without.
	t.SpawnUpstreamSpan = wrapperspb.Bool(true)
	trusts := b.config.TrustsTraces(p.believed())
	if t.RandomSampling.Value = b.config.Tracing.Share(); trusts {
		t.RandomSampling.Value = 100 // the sampler decides, of what this lets through
	}
	t.Provider = b.tracer(trusts)
	t.Operation = "%REQ(:METHOD)% %ROUTE_NAME%"
	t.UpstreamOperation = "%REQ(:METHOD)% %UPSTREAM_CLUSTER%"
	t.CustomTags = b.spanTags()
	return t
}

// asContextsSay records what the context of a request says, and a share of the requests
// without one. Without a sampler Envoy's tracer takes the trace of a context, but not its
// word on whether to record it. What Envoy itself decides, by route, counts beside the
// sampler: both must agree. So a route has no share of its own where contexts are
// trusted.
func asContextsSay(percent float64) *corev3.TypedExtensionConfig {
	return sampler("parent_based", &samplersv3.ParentBasedSamplerConfig{WrappedSampler: byShare(percent)})
}

// byShare records a share of the traces.
func byShare(percent float64) *corev3.TypedExtensionConfig {
	return sampler("trace_id_ratio_based", &samplersv3.TraceIdRatioBasedSamplerConfig{SamplingPercentage: share(&percent)})
}

func sampler(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: "envoy.tracers.opentelemetry.samplers." + name, TypedConfig: mustAny(m)}
}

// untold is a tracer for where nobody is told of traces: no span is ever sampled, so
// none is sent to the service that it must name.
func untold() *tracev3.Tracing_Http {
	return tracer("opentelemetry", &tracev3.OpenTelemetryConfig{
		ServiceName: "gatewright",
		GrpcService: controlService(),
		Sampler: &corev3.TypedExtensionConfig{
			Name:        "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
			TypedConfig: mustAny(&samplersv3.TraceIdRatioBasedSamplerConfig{SamplingPercentage: &typev3.FractionalPercent{Numerator: 0}}),
		},
	})
}

func tracer(name string, m proto.Message) *tracev3.Tracing_Http {
	return &tracev3.Tracing_Http{
		Name:       "envoy.tracers." + name,
		ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: mustAny(m)},
	}
}

// tracer is that of the config. What is recorded is what Envoy decides, for which a
// route can have another percentage; or, where a context is trusted, what that says.
func (b builder) tracer(trusts bool) *tracev3.Tracing_Http {
	t := b.config.Tracing
	switch {
	case t.Zipkin != nil:
		return tracer("zipkin", &tracev3.ZipkinConfig{
			CollectorCluster:         t.Zipkin.Backend,
			CollectorEndpoint:        cmp.Or(t.Zipkin.Path, "/api/v2/spans"),
			CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON,
			CollectorHostname:        b.hostOf(t.Zipkin.Backend),
			TraceId_128Bit:           true,
			SharedSpanContext:        wrapperspb.Bool(false),
			TraceContextOption:       tracev3.ZipkinConfig_USE_B3_WITH_W3C_PROPAGATION,
		})
	case t.Datadog != nil:
		return tracer("datadog", &tracev3.DatadogConfig{CollectorCluster: t.Datadog.Backend, CollectorHostname: b.hostOf(t.Datadog.Backend), ServiceName: t.ServiceName()})
	}
	c := &tracev3.OpenTelemetryConfig{ServiceName: t.ServiceName()}
	if trusts {
		c.Sampler = asContextsSay(t.Share())
	}
	if b.config.Backends[t.OTLP.Backend].Protocol == config.ProtocolGRPC {
		c.GrpcService = serviceAt(t.OTLP.Backend)
		c.GrpcService.Timeout = durationpb.New(sendSpans)
		return tracer("opentelemetry", c)
	}
	c.HttpService = b.otlpOver(t.OTLP.Backend, cmp.Or(t.OTLP.Path, "/v1/traces"))
	return tracer("opentelemetry", c)
}

// otlpOver is a backend that takes OTLP by HTTP.
func (b builder) otlpOver(backend, path string) *corev3.HttpService {
	return &corev3.HttpService{HttpUri: &corev3.HttpUri{
		Uri:              "http://" + b.hostOf(backend) + path,
		HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: backend},
		Timeout:          durationpb.New(sendSpans),
	}}
}

// hostOf is by which name a backend that takes spans or logs is asked.
func (b builder) hostOf(name string) string {
	backend := b.config.Backends[name]
	if backend.TLS != nil && backend.TLS.ServerName != "" {
		return backend.TLS.ServerName
	}
	if len(backend.Endpoints) > 0 {
		return backend.Endpoints[0].Address
	}
	return name
}

// clusterOfSpans is where spans are sent: without it a listener is refused.
func (b builder) clusterOfSpans() []id {
	if s := b.config.Tracing.EnvoysSink(); s != nil {
		return []id{{resource.ClusterType, s.Backend}}
	}
	return nil
}

// spanTags are what a span says beside what Envoy's do: what the line of the log says,
// by the same names. The URL is in the place of Envoy's own, which has the query, and
// so whatever secret is in that.
func (b builder) spanTags() []*tracingv3.CustomTag {
	verdict := func(key string) string { return "%DYNAMIC_METADATA(" + extAuthzFilter + ":" + key + ")%" }
	return []*tracingv3.CustomTag{
		spanTag("http.url", "%REQ(:SCHEME)%://%REQ(:AUTHORITY)"+maxLoggedText+"%"+b.loggedPath()),
		spanTag("route", "%ROUTE_NAME%"),
		spanTag("backend", "%UPSTREAM_CLUSTER%"),
		spanTag("reason", firstOf(reasons...)),
		spanTag("user", b.loggedUser()),
		spanTag("tenant", b.loggedTenant()),
		spanTag("key_id", verdict("key_id")),
	}
}

// loggedUser and loggedTenant are who a request is of, whoever has judged it.
func (b builder) loggedUser() string   { return b.toldCaller("user", callerUserState) }
func (b builder) loggedTenant() string { return b.toldCaller("tenant", callerTenantState) }

// toldCaller is what the verdict tells of the caller, or what was kept where filters
// inside Envoy have let the request pass.
func (b builder) toldCaller(key, kept string) string {
	if !b.placesSomewhere() || len(b.jwtFilters()) == 0 {
		return "%DYNAMIC_METADATA(" + extAuthzFilter + ":" + key + ")%"
	}
	return firstOf("DYNAMIC_METADATA", extAuthzFilter+":"+key, "FILTER_STATE", kept+":PLAIN")
}

func spanTag(name, format string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: name, Type: &tracingv3.CustomTag_Value{Value: format}}
}

// routeTracing is the share of a route's requests that are recorded; nil is everybody's.
func routeTracing(t *config.RouteTracing) *routev3.Tracing {
	if t == nil {
		return nil
	}
	return &routev3.Tracing{
		ClientSampling:  &typev3.FractionalPercent{Numerator: 0},
		RandomSampling:  share(t.Percent),
		OverallSampling: &typev3.FractionalPercent{Numerator: 100},
	}
}

// traceTag is the tag of an outcome that says which trace the request is a part of
// (outcome.TraceTag): the ids of the trace and of Envoy's span; the context that goes on
// to a backend, or has come, which says whether Envoy records the request; the request's
// id, into which it packs that, too, for where there is no context; and when it began.
// Where contexts are trusted a sampler has decided, of which the id says nothing: then
// some of the failures that no backend was asked about are recorded twice.
func (b builder) traceTag() *tracingv3.CustomTag {
	request := "%REQ(X-REQUEST-ID):36%"
	if t := b.config.Tracing.Trust; t != "" && t != config.TrustNobody {
		request = ""
	}
	return spanTag("trace", "%TRACE_ID% %SPAN_ID% %REQ(TRACEPARENT):55% "+request+" %START_TIME(%s.%6f)%")
}
