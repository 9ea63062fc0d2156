package outcome

import (
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// known names one route and one backend.
type known struct{}

func (known) HasRoute(name string) bool   { return name == "get-users" }
func (known) HasBackend(name string) bool { return name == "users" }

// httpLogs is a message with entries, and encoded that message on the wire.
func httpLogs(entries ...*accesslogdatav3.HTTPAccessLogEntry) *accesslogv3.StreamAccessLogsMessage {
	return &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// someEntry is one of a request that has failed after a retry.
func someEntry() *accesslogdatav3.HTTPAccessLogEntry {
	return &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			RouteName: "get-users", UpstreamCluster: "users", UpstreamRequestAttemptCount: 2,
			UpstreamRemoteAddress:      &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "10.0.0.1"}}},
			TimeToLastDownstreamTxByte: durationpb.New(1500 * time.Millisecond), TimeToFirstUpstreamRxByte: durationpb.New(time.Millisecond),
			Duration:      durationpb.New(2 * time.Second),
			ResponseFlags: &accesslogdatav3.ResponseFlags{UpstreamRemoteReset: true, StreamIdleTimeout: true, UnauthorizedDetails: &accesslogdatav3.ResponseFlags_Unauthorized{Reason: 1}},
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
				"envoy.filters.http.ext_authz": {Fields: map[string]*structpb.Value{
					"in_flight": structpb.NewStringValue("a b"), "probe": structpb.NewStringValue("p"), "broken": structpb.NewStringValue("users"), "charged": structpb.NewStringValue("per-user"), "user": structpb.NewStringValue("alice"), "n": structpb.NewNumberValue(1),
				}},
				"another": {Fields: map[string]*structpb.Value{"in_flight": structpb.NewStringValue("no")}},
			}},
			AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd,
		},
		Request: &accesslogdatav3.HTTPRequestProperties{Path: "/a?b", Authority: "a", UserAgent: "x/1"},
		Response: &accesslogdatav3.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(504), ResponseHeaders: map[string]string{"grpc-status": "7", "x": "y"}, ResponseTrailers: map[string]string{"grpc-status": "14"},
		},
	}
}

// letPassEntry is of a request of which the filters inside Envoy have said this.
func letPassEntry(result string) *accesslogdatav3.HTTPAccessLogEntry {
	e := someEntry()
	e.CommonProperties.Metadata.FilterMetadata[placements] = &structpb.Struct{Fields: map[string]*structpb.Value{
		placeResult: structpb.NewStringValue(result), placedBy: structpb.NewStringValue("a1.2"),
	}}
	return e
}

// FuzzAccessLog: of a message that the generated code takes, the same outcomes are
// read; and whatever comes, it ends, and is counted in no series that the config does
// not name.
func FuzzAccessLog(f *testing.F) {
	letPass := letPassEntry("allowed")
	periodic, numbers := someEntry(), someEntry()
	periodic.CommonProperties.AccessLogType = accesslogdatav3.AccessLogType_DownstreamPeriodic
	numbers.CommonProperties.Metadata.FilterMetadata["envoy.filters.http.ext_authz"].Fields["probe"] = structpb.NewNumberValue(1)
	others := someEntry()
	others.CommonProperties.RouteName, others.CommonProperties.UpstreamCluster = "theirs", "theirs"
	for name, value := range map[string]string{"route": "get-users", "backend": "users"} {
		others.CommonProperties.Metadata.FilterMetadata["envoy.filters.http.ext_authz"].Fields[name] = structpb.NewStringValue(value)
	}
	nobody := someEntry()
	nobody.CommonProperties.UpstreamCluster, nobody.CommonProperties.CustomTags = "", map[string]string{BackendTag: "users", "x": "y"}
	nobody.CommonProperties.ResponseFlags.NoHealthyUpstream = true
	plain := encoded(f, httpLogs(someEntry(), letPass, periodic, numbers, nobody, others, &accesslogdatav3.HTTPAccessLogEntry{}))
	f.Add(plain)
	f.Add(append(plain, plain...))
	f.Add(plain[:len(plain)-1])
	whole := encoded(f, someEntry())
	f.Add(logsOf(append(whole, whole...))) // all parts twice, to be merged
	f.Add(logsOf(whole[:len(whole)-3]))
	named := httpLogs(someEntry())
	named.Identifier = &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "edge"}, LogName: "public"}
	f.Add(encoded(f, named))
	f.Add([]byte("#$")) // an empty group
	f.Fuzz(func(t *testing.T, data []byte) {
		registry := prometheus.NewRegistry()
		metrics := NewMetrics(registry, known{})
		var got []Outcome
		err := new(Reader).Read(string(data), func(o Outcome) {
			got = append(got, o)
			metrics.Observe(o)
		})
		boundedSeries(t, registry)
		m := &accesslogv3.StreamAccessLogsMessage{}
		if proto.Unmarshal(data, m) != nil || m.GetTcpLogs() != nil {
			return // it may read more of it, and of a log of connections nothing
		}
		if hasGroup(m.ProtoReflect().GetUnknown()) || hasGroup(m.GetHttpLogs().ProtoReflect().GetUnknown()) {
			return // which nobody sends, see package wire
		}
		if err != nil {
			t.Errorf("the generated code takes it: %v", err)
		}
		var want []Outcome
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			if o, ended := fromEntry(e); ended {
				want = append(want, o)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// hasGroup tells whether there is a group among fields.
func hasGroup(fields []byte) bool {
	for len(fields) > 0 {
		_, kind, n := protowire.ConsumeField(fields)
		if n < 0 {
			return false
		}
		if kind == protowire.StartGroupType {
			return true
		}
		fields = fields[n:]
	}
	return false
}

// logsOf is a message with one entry, which need not be one.
func logsOf(entry []byte) []byte {
	return appendField(nil, 2, appendField(nil, 1, entry))
}

// boundedSeries checks that what is not in the config has no series of its own.
func boundedSeries(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				value := label.GetValue()
				if !utf8.ValidString(value) {
					t.Errorf("the label %s is %q", label.GetName(), value)
				}
				switch label.GetName() {
				case "route":
					if value != "get-users" && value != Other {
						t.Errorf("a series of the route %q", value)
					}
				case "backend":
					if value != "users" && value != Other && value != "" {
						t.Errorf("a series of the backend %q", value)
					}
				case "code":
					if len(value) != 3 && value != noStatus {
						t.Errorf("a series of the code %q", value)
					}
				}
			}
		}
	}
}
