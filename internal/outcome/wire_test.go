package outcome

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatewright/gatewright/internal/wire"
)

// appendField appends a field of bytes.
func appendField(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// TestScannerReadsWhatEnvoysSend: such entries are never left to the generated code,
// and read as that does.
func TestScannerReadsWhatEnvoysSend(t *testing.T) {
	nobody := someEntry()
	nobody.CommonProperties.UpstreamCluster, nobody.CommonProperties.CustomTags = "", map[string]string{BackendTag: "users", TraceTag: "1 2 3", UserTag: "ann"}
	nobody.CommonProperties.ResponseFlags.NoHealthyUpstream = true
	for name, e := range map[string]*accesslogdatav3.HTTPAccessLogEntry{"full": someEntry(), "nobody to ask": nobody, "empty": {}} {
		scanned := scannedEntry{}
		text := string(encoded(t, e))
		if allocated := testing.AllocsPerRun(10, func() {
			scanned = scannedEntry{}
			if !scanned.scan(wire.Scan(text)) {
				t.Errorf("%s: it is left to the generated code", name)
			}
		}); allocated != 0 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
		got, _ := scanned.outcome()
		if want, _ := fromEntry(e); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if name != "empty" && got.Backend != "users" {
			t.Errorf("%s: the backend is %q", name, got.Backend)
		}
	}
}

// TestOneBadEntryCostsNoOther: what is around it is read, and the fault is told.
func TestOneBadEntryCostsNoOther(t *testing.T) {
	good := encoded(t, someEntry())
	logs := appendField(nil, 1, good)
	logs = appendField(logs, 1, []byte("\x0a\xff"))
	logs = appendField(logs, 1, good)
	n := 0
	err := new(Reader).Read(string(appendField(nil, 2, logs)), func(Outcome) { n++ })
	if n != 2 || err == nil || !strings.Contains(err.Error(), "1 entries") {
		t.Errorf("%d outcomes, %v", n, err)
	}
}

// TestForeignBytesCostNothing: a client has put bytes into its path that are no text.
// The generated code refuses the whole message for it.
func TestForeignBytesCostNothing(t *testing.T) {
	e := encoded(t, someEntry())
	e = bytes.Replace(e, []byte("/a?b"), []byte("/\xff?b"), 1)
	n := 0
	if err := new(Reader).Read(string(logsOf(e)), func(Outcome) { n++ }); n != 1 || err != nil {
		t.Errorf("%d outcomes, %v", n, err)
	}
}

// TestOutcomesKeepNoMessage: what a sink keeps is not a part of the message, and a
// name is in memory once; names that an Envoy makes up are bounded.
func TestOutcomesKeepNoMessage(t *testing.T) {
	r := &Reader{}
	text := string(encoded(t, httpLogs(someEntry(), someEntry())))
	var all []Outcome
	if err := r.Read(text, func(o Outcome) { all = append(all, o) }); err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	if len(r.names.all) != 2 {
		t.Errorf("%d names are kept, want 2", len(r.names.all))
	}
	// The next message is written over the one before.
	left := &accesslogdatav3.HTTPAccessLogEntry{CommonProperties: &accesslogdatav3.AccessLogCommon{
		RouteName: "get-users", UpstreamCluster: "users", Metadata: someEntry().GetCommonProperties().GetMetadata(),
	}}
	all = nil
	m := &message{}
	for _, e := range []*accesslogdatav3.HTTPAccessLogEntry{someEntry(), left} {
		data := encoded(t, httpLogs(e))
		copy(m.Room(len(data)), data)
		if err := r.Read(m.text(), func(o Outcome) { all = append(all, o) }); err != nil {
			t.Fatal(err)
		}
		clear(m.Room(len(data)))
	}
	for i, o := range all {
		if o.Route != "get-users" || o.Backend != "users" || o.InFlight != "a b" || o.Breaker != "p" || o.Broken != "users" {
			t.Errorf("when another message has come, outcome %d is %+v", i, o)
		}
	}
	if big := m.Room(mostKept + 1); len(big) != mostKept+1 {
		t.Errorf("room for %d", len(big))
	}
	if small := m.Room(10); cap(small) > mostKept {
		t.Errorf("room for %d is kept", cap(small))
	}
	for i := range 3 * maxNames {
		r.names.same(strings.Repeat("x", i))
	}
	if len(r.names.all) > maxNames {
		t.Errorf("%d names are kept", len(r.names.all))
	}
}

// TestNodeOfAMessage: the door asks who it is from.
func TestNodeOfAMessage(t *testing.T) {
	first := httpLogs(someEntry())
	first.Identifier = &accesslogv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "edge-7"}}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"first":          {encoded(t, first), "edge-7"},
		"after others":   {append(encoded(t, httpLogs(someEntry())), encoded(t, &accesslogv3.StreamAccessLogsMessage{Identifier: first.GetIdentifier()})...), "edge-7"},
		"a later one":    {encoded(t, httpLogs(someEntry())), ""},
		"not to be read": {appendField(nil, 1, []byte("\xff")), ""},
		"none":           {nil, ""},
	} {
		m := &message{}
		copy(m.Room(len(c.data)), c.data)
		if got := m.GetNode().GetId(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSinkThatPanics: it is told and counted, and the stream goes on.
func TestSinkThatPanics(t *testing.T) {
	var log bytes.Buffer
	n := 0
	s := NewServer(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry(), func(Outcome) {
		if n++; n == 1 {
			panic("a fault of ours")
		}
	})
	for range 2 {
		s.take(&Reader{}, string(encoded(t, httpLogs(someEntry()))))
	}
	if n != 2 || testutil.ToFloat64(s.unread) != 1 || !strings.Contains(log.String(), "a fault of ours") {
		t.Errorf("%d outcomes, %v unread, log: %s", n, testutil.ToFloat64(s.unread), &log)
	}
}

func BenchmarkRead(b *testing.B) {
	entries := make([]*accesslogdatav3.HTTPAccessLogEntry, 20)
	for i := range entries {
		entries[i] = someEntry()
	}
	text := string(encoded(b, httpLogs(entries...)))
	metrics := NewMetrics(prometheus.NewRegistry(), known{})
	r := &Reader{}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(text, metrics.Observe); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/outcome")
}
