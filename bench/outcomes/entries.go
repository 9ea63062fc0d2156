package main

import (
	_ "embed"
	"fmt"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

//go:embed entry.textproto
var captured []byte

// entriesPerMessage is how many entries of such a size an Envoy under load sends at
// once: as many as the buffer takes that it is given, 64 KiB.
const entriesPerMessage = 105

// messagesInRotation are so many that no two are sent shortly after each other.
const messagesInRotation = 50

// change makes the i-th entry of a row of the captured one.
type change func(e *accesslogdatav3.HTTPAccessLogEntry, i int)

// messages are those of a row, with n entries each.
func messages(n int, c change) ([][]byte, error) {
	one := &accesslogdatav3.HTTPAccessLogEntry{}
	if err := prototext.Unmarshal(captured, one); err != nil {
		return nil, fmt.Errorf("reading entry.textproto: %w", err)
	}
	var out [][]byte
	for i := range messagesInRotation {
		logs := &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{}
		for j := range n {
			e := proto.CloneOf(one)
			c(e, i*n+j)
			logs.LogEntry = append(logs.LogEntry, e)
		}
		data, err := proto.Marshal(&accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: logs}})
		if err != nil {
			return nil, fmt.Errorf("encoding a message: %w", err)
		}
		out = append(out, data)
	}
	return out, nil
}

// goesTo has a request take a route, and its backend.
func goesTo(e *accesslogdatav3.HTTPAccessLogEntry, i int) {
	e.CommonProperties.RouteName = routeName(i % routes)
	e.CommonProperties.UpstreamCluster = backendName(i % backends)
}

// judged is a request that was judged, and has passed.
func judged(e *accesslogdatav3.HTTPAccessLogEntry, i int) { goesTo(e, i) }

// unjudged is one of a route that needs no verdict.
func unjudged(e *accesslogdatav3.HTTPAccessLogEntry, i int) {
	goesTo(e, i)
	e.CommonProperties.Metadata = nil
}

// failing are requests of which each tenth has failed, in one of three ways.
func failing(e *accesslogdatav3.HTTPAccessLogEntry, i int) {
	goesTo(e, i)
	if i%10 != 0 {
		return
	}
	e.Response.ResponseCode = wrapperspb.UInt32([]uint32{500, 503, 504}[i/10%3])
	e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{
		UpstreamConnectionFailure: i/10%3 == 1, UpstreamRequestTimeout: i/10%3 == 2,
	}
}

// inFlight are requests that two limits have counted as in flight.
func inFlight(e *accesslogdatav3.HTTPAccessLogEntry, i int) {
	goesTo(e, i)
	handle := fmt.Sprintf("m.%d.1.100.60000000.in-flight|user=%d m.%d.1.1000.60000000.in-flight-of-all|", 2*i, i%200, 2*i+1)
	metadataOf(e).Fields["in_flight"] = structpb.NewStringValue(handle)
}

// metadataOf is what the verdict has left in an entry.
func metadataOf(e *accesslogdatav3.HTTPAccessLogEntry) *structpb.Struct {
	if e.CommonProperties.Metadata == nil {
		e.CommonProperties.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	}
	return e.CommonProperties.Metadata.FilterMetadata["envoy.filters.http.ext_authz"]
}

// traced are requests of which each has spans and a user that metrics may name.
func traced(e *accesslogdatav3.HTTPAccessLogEntry, i int) {
	goesTo(e, i)
	if e.CommonProperties.CustomTags == nil {
		e.CommonProperties.CustomTags = map[string]string{}
	}
	trace, span := fmt.Sprintf("0af7651916cd43dd8448eb21%08x", i), fmt.Sprintf("b7ad6b71%08x", i)
	e.CommonProperties.CustomTags["trace"] = fmt.Sprintf("%s %s 00-%s-%s-01 80f198ee-5634-9ba8-84fe-8b2a57d3eff7 1764352800.123456", trace, span, trace, span)
	e.CommonProperties.CustomTags["user"] = fmt.Sprint("user-", i%200)
}
