package outcome

import (
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// known names one route and one backend.
type known struct{}

func (known) HasRoute(name string) bool   { return name == "get-users" }
func (known) HasBackend(name string) bool { return name == "users" }

// FuzzAccessLog: whatever a stream of the access log says, with the names and texts
// that clients have put into it, makes no series that the config does not name.
func FuzzAccessLog(f *testing.F) {
	for _, route := range []string{"get-users", "\xff", "other", ""} {
		entry := &accesslogdatav3.HTTPAccessLogEntry{
			CommonProperties: &accesslogdatav3.AccessLogCommon{RouteName: "get-users", UpstreamCluster: "users", TimeToLastDownstreamTxByte: durationpb.New(time.Second)},
			Request:          &accesslogdatav3.HTTPRequestProperties{Path: "/a?b", Authority: "a"},
			Response:         &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
		}
		data, err := proto.Marshal(&accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{entry, {}}},
		}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, route, uint32(200), int64(1), int32(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, name string, status uint32, seconds int64, nanos int32) {
		m := &accesslogv3.StreamAccessLogsMessage{}
		if proto.Unmarshal(data, m) != nil {
			m = &accesslogv3.StreamAccessLogsMessage{}
		}
		entries := append(m.GetHttpLogs().GetLogEntry(), nil, &accesslogdatav3.HTTPAccessLogEntry{
			CommonProperties: &accesslogdatav3.AccessLogCommon{RouteName: name, UpstreamCluster: name, TimeToLastDownstreamTxByte: &durationpb.Duration{Seconds: seconds, Nanos: nanos}},
			Response:         &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(status)},
		})
		registry := prometheus.NewRegistry()
		metrics := NewMetrics(registry, known{})
		for _, e := range entries {
			if o, ended := fromEntry(e); ended {
				metrics.Observe(o)
			}
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, series := range family.GetMetric() {
				for _, label := range series.GetLabel() {
					value := label.GetValue()
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
						if len(value) != 3 && value != "0" {
							t.Errorf("a series of the code %q", value)
						}
					}
				}
			}
		}
	})
}
