package xds

import (
	"cmp"
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	otlplogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// lines are the logs that people read: on Envoy's standard output, and at a collector.
func (b builder) lines(l *config.Listener) []*accesslogv3.AccessLog {
	line := b.logLine(l)
	if !b.places(l) {
		return b.sinks(line)
	}
	// Of what was let pass inside Envoy no verdict says anything.
	var out []*accesslogv3.AccessLog
	write := func(line map[string]string, of *accesslogv3.AccessLogFilter) {
		for _, log := range b.sinks(line) {
			log.Filter = both(of, log.Filter)
			out = append(out, log)
		}
	}
	passed, asked := wasLetPass(true), wasLetPass(false)
	if len(b.limitFilters(l)) > 0 {
		// A limit behind the judge has the last word, whoever was asked before.
		line = b.countedLine(line)
		write(limited(b.letPass(line)), both(passed, wasLimited(true)))
		write(limited(line), both(asked, wasLimited(true)))
		passed, asked = both(passed, wasLimited(false)), both(asked, wasLimited(false))
	}
	write(b.letPass(line), passed)
	write(line, asked)
	return out
}

// sinks are the logs of such lines.
func (b builder) sinks(line map[string]string) (out []*accesslogv3.AccessLog) {
	a := b.config.AccessLog
	if a.OnStdout() {
		out = append(out, accessLog("envoy.access_loggers.stdout", &streamlogv3.StdoutAccessLog{
			AccessLogFormat: &streamlogv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: stringStruct(line)},
			}},
		}))
	}
	if sink := a.Collector(); sink != nil {
		out = append(out, accessLog("envoy.access_loggers.open_telemetry", b.otlpLog(sink, line)))
	}
	if percent := a.LoggedSuccesses(); percent < 100 {
		for _, log := range out {
			log.Filter = worthALine(percent)
		}
	}
	return out
}

// otlpBuffer is how much of the log each thread of an Envoy keeps for a collector that does not take it.
// What is more is dropped, and Envoy counts it (logs_dropped).
const otlpBuffer = 64 << 10

// otlpLog sends lines to a collector, each field an attribute of a record.
func (b builder) otlpLog(sink *config.LogSink, line map[string]string) *otlplogv3.OpenTelemetryAccessLogConfig {
	log := &otlplogv3.OpenTelemetryAccessLogConfig{
		LogName:             "gatewright",
		Body:                textValue("%REQ(:METHOD)% %ROUTE_NAME% %RESPONSE_CODE%"),
		Attributes:          &commonv1.KeyValueList{},
		ResourceAttributes:  &commonv1.KeyValueList{Values: []*commonv1.KeyValue{{Key: "service.name", Value: textValue(b.config.Tracing.ServiceName())}}},
		BufferFlushInterval: durationpb.New(outcomeFlush),
		BufferSizeBytes:     wrapperspb.UInt32(otlpBuffer),
	}
	for _, name := range sortedKeys(line) {
		log.Attributes.Values = append(log.Attributes.Values, &commonv1.KeyValue{Key: name, Value: textValue(line[name])})
	}
	if b.config.Backends[sink.Backend].Protocol == config.ProtocolGRPC {
		log.GrpcService = serviceAt(sink.Backend)
		log.GrpcService.Timeout = durationpb.New(sendSpans)
	} else {
		log.HttpService = b.otlpOver(sink.Backend, cmp.Or(sink.Path, "/v1/logs"))
	}
	return log
}

func textValue(s string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
}

// clusterOfLogs is where lines are sent.
func (b builder) clusterOfLogs() []id {
	if s := b.config.AccessLog.Collector(); s != nil {
		return []id{{resource.ClusterType, s.Backend}}
	}
	return nil
}

// worthALine is a filter of logs: what has failed or was refused, whatever Envoy has
// flagged, calls of gRPC that have not ended with OK, and a share of all else. Chance
// alone picks those: by default the id of the request would, which a proxy before us may
// have from its client.
func worthALine(percent float64) *accesslogv3.AccessLogFilter {
	return whereAny(
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
			Comparison: &accesslogv3.ComparisonFilter{Op: accesslogv3.ComparisonFilter_GE, Value: constant(400)},
		}}},
		// No answer at all is a status of 0.
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
			Comparison: &accesslogv3.ComparisonFilter{Op: accesslogv3.ComparisonFilter_EQ, Value: constant(0)},
		}}},
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{}}},
		failedCalls(),
		&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_RuntimeFilter{RuntimeFilter: &accesslogv3.RuntimeFilter{
			RuntimeKey: "gatewright.access_log.successes", PercentSampled: share(&percent), UseIndependentRandomness: true,
		}}},
	)
}

// failedCalls are those of gRPC that have another status than OK. Of requests that are
// no calls Envoy would make one of their HTTP status.
func failedCalls() *accesslogv3.AccessLogFilter {
	calls := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{Name: "content-type", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
			StringMatch: &typematcherv3.StringMatcher{MatchPattern: &typematcherv3.StringMatcher_Prefix{Prefix: "application/grpc"}},
		}},
	}}}
	failed := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_GrpcStatusFilter{GrpcStatusFilter: &accesslogv3.GrpcStatusFilter{
		Statuses: []accesslogv3.GrpcStatusFilter_Status{accesslogv3.GrpcStatusFilter_OK}, Exclude: true,
	}}}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{
		Filters: []*accesslogv3.AccessLogFilter{calls, failed},
	}}}
}

func whereAny(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: slices.Clip(filters)}}}
}

// constant is a number that Envoy's runtime could change, under a name that it must have.
func constant(n uint32) *corev3.RuntimeUInt32 {
	return &corev3.RuntimeUInt32{DefaultValue: n, RuntimeKey: "gatewright.access_log.status"}
}
