package outcome

import (
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// wantFlags says of each flag of Envoy's, by its letters, whose fault it is.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags
var wantFlags = map[string]Flags{
	"failed_local_healthcheck":             0,               // LH
	"no_healthy_upstream":                  NoHealthy,       // UH
	"upstream_request_timeout":             Timeout,         // UT
	"local_reset":                          Reset,           // LR
	"upstream_remote_reset":                Reset,           // UR
	"upstream_connection_failure":          ConnectFailure,  // UF
	"upstream_connection_termination":      Reset,           // UC
	"upstream_overflow":                    Overflow,        // UO
	"no_route_found":                       Unrouted,        // NR
	"delay_injected":                       0,               // DI
	"fault_injected":                       0,               // FI
	"rate_limited":                         Denied,          // RL
	"unauthorized_details":                 Denied,          // UAEX
	"rate_limit_service_error":             Denied,          // RLSE
	"downstream_connection_termination":    ClientGone,      // DC
	"upstream_retry_limit_exceeded":        RetriesExceeded, // URX
	"stream_idle_timeout":                  ClientGone,      // SI, other than with 504
	"invalid_envoy_request_headers":        Unrouted,        // IH
	"downstream_protocol_error":            ClientGone,      // DPE
	"upstream_max_stream_duration_reached": Timeout,         // UMSDR
	"response_from_cache_filter":           0,               // RFCF
	"no_filter_config_found":               0,               // NFCF
	"duration_timeout":                     ClientGone,      // DT
	"upstream_protocol_error":              Reset,           // UPE
	"no_cluster_found":                     NoHealthy,       // NC
	"overload_manager":                     Denied,          // OM
	"dns_resolution_failure":               ConnectFailure,  // DF
	"downstream_remote_reset":              ClientGone,      // DR
}

// TestFlags: every flag that Envoy can send is known, and in the right group.
func TestFlags(t *testing.T) {
	fields := (&accesslogdatav3.ResponseFlags{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		want, known := wantFlags[name]
		if !known {
			t.Errorf("%s: a flag that nobody has thought of", name)
		}
		if got := flags(only(field)).settle(0); got != want {
			t.Errorf("%s: %b, want %b", name, got, want)
		}
	}
	if len(wantFlags) != fields.Len() {
		t.Errorf("%d flags are thought of, there are %d", len(wantFlags), fields.Len())
	}
}

// only is the message in which one flag is set.
func only(field protoreflect.FieldDescriptor) *accesslogdatav3.ResponseFlags {
	set := &accesslogdatav3.ResponseFlags{}
	if field.Kind() == protoreflect.BoolKind {
		set.ProtoReflect().Set(field, protoreflect.ValueOfBool(true))
	} else {
		set.UnauthorizedDetails = &accesslogdatav3.ResponseFlags_Unauthorized{Reason: accesslogdatav3.ResponseFlags_Unauthorized_EXTERNAL_SERVICE}
	}
	return set
}

// TestIdleTimeouts: who was waited for is in the status.
func TestIdleTimeouts(t *testing.T) {
	set := &accesslogdatav3.ResponseFlags{StreamIdleTimeout: true}
	for status, want := range map[int]Flags{504: Timeout, 408: ClientGone, 200: ClientGone, 0: ClientGone} {
		if got := flags(set).settle(status); got != want {
			t.Errorf("with status %d: %b, want %b", status, got, want)
		}
	}
	both := &accesslogdatav3.ResponseFlags{StreamIdleTimeout: true, UpstreamRemoteReset: true}
	if got := flags(both).settle(504); got != Timeout|Reset {
		t.Errorf("beside another flag: %b", got)
	}
}

func TestGRPCStatus(t *testing.T) {
	type headers = map[string]string
	for name, c := range map[string]struct {
		headers, trailers headers
		want              int
	}{
		"none":               {nil, nil, GRPCUnknown},
		"trailers":           {headers{"grpc-status": "0"}, headers{"grpc-status": "13"}, 13},
		"trailers only":      {headers{"grpc-status": "16"}, nil, 16},
		"beyond the last":    {nil, headers{"grpc-status": "17"}, 2},
		"beyond eight bits":  {nil, headers{"grpc-status": "256"}, 2},
		"no number":          {nil, headers{"grpc-status": ""}, 2},
		"a sign":             {nil, headers{"grpc-status": "+1"}, 2},
		"another is no such": {headers{"grpc-message": "1"}, nil, GRPCUnknown},
	} {
		got := grpcStatusOf(&accesslogdatav3.HTTPResponseProperties{ResponseHeaders: c.headers, ResponseTrailers: c.trailers})
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestDurationOfWhatBrokeOff: where no last byte has gone, the time until the end
// counts.
func TestDurationOfWhatBrokeOff(t *testing.T) {
	common := &accesslogdatav3.AccessLogCommon{Duration: durationpb.New(3 * time.Second)}
	if o, _ := fromEntry(&accesslogdatav3.HTTPAccessLogEntry{CommonProperties: common}); o.Duration != 3*time.Second {
		t.Errorf("took %v, want 3s", o.Duration)
	}
	common.TimeToLastDownstreamTxByte = durationpb.New(time.Second)
	if o, _ := fromEntry(&accesslogdatav3.HTTPAccessLogEntry{CommonProperties: common}); o.Duration != time.Second {
		t.Errorf("took %v, want 1s", o.Duration)
	}
}

// TestBackendAnswers: what the gateway or the client has done is not the backend's.
func TestBackendAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		o    Outcome
		want bool
	}{
		"answered":                        {Outcome{Upstream: true, Status: 200, FirstByte: 1}, true},
		"failed":                          {Outcome{Upstream: true, Status: 503, Flags: ConnectFailure}, true},
		"nobody to ask":                   {Outcome{Status: 503, Flags: NoHealthy}, true},
		"our own answer":                  {Outcome{Status: 404}, false},
		"denied":                          {Outcome{Status: 403, Flags: Denied}, false},
		"denied after an attempt":         {Outcome{Upstream: true, Status: 403, Flags: Denied}, false},
		"over our bounds":                 {Outcome{Upstream: true, Status: 503, Flags: Overflow}, false},
		"a repeat over our bounds":        {Outcome{Upstream: true, Status: 500, Flags: Overflow, FirstByte: 1}, true},
		"the same of what has no answer":  {Outcome{Upstream: true, Status: 503, Flags: Overflow | ConnectFailure}, true},
		"client left before an answer":    {Outcome{Upstream: true, Flags: ClientGone}, false},
		"client left during the answer":   {Outcome{Upstream: true, Status: 500, Flags: ClientGone, FirstByte: 1}, true},
		"client left before it was asked": {Outcome{Flags: ClientGone}, false},
	} {
		if got := c.o.BackendAnswers(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestWhatIsAnOutcome: what is logged before the end, or of an attempt, is none.
func TestWhatIsAnOutcome(t *testing.T) {
	for number, name := range accesslogdatav3.AccessLogType_name {
		_, ended := fromEntry(&accesslogdatav3.HTTPAccessLogEntry{
			CommonProperties: &accesslogdatav3.AccessLogCommon{AccessLogType: accesslogdatav3.AccessLogType(number)},
		})
		if want := name == "NotSet" || name == "DownstreamEnd"; ended != want {
			t.Errorf("%s: %t, want %t", name, ended, want)
		}
	}
}

// TestNamesOfAnotherEnvoy: what it calls a route and a cluster is not what the config
// calls them, which is in the verdict.
func TestNamesOfAnotherEnvoy(t *testing.T) {
	e := someEntry()
	fields := e.CommonProperties.Metadata.FilterMetadata["envoy.filters.http.ext_authz"].Fields
	fields["route"] = structpb.NewStringValue("found")
	if o, _ := fromEntry(e); o.Route != "found" || o.Backend != "users" {
		t.Errorf("%+v", o)
	}
	fields["backend"] = structpb.NewStringValue("known")
	if o, _ := fromEntry(e); o.Route != "found" || o.Backend != "known" {
		t.Errorf("%+v", o)
	}
}

// TestWhatWasLetPass: the word of the filters inside Envoy is read by both readers.
func TestWhatWasLetPass(t *testing.T) {
	for result, want := range map[string]string{"allowed": "a1", "denied": ""} {
		e := letPassEntry(result)
		if o, _ := fromEntry(e); o.LetPass != want {
			t.Errorf("%s: let pass by %q, want %q", result, o.LetPass, want)
		}
		var read []Outcome
		if err := new(Reader).Read(string(encoded(t, httpLogs(e))), func(o Outcome) { read = append(read, o) }); err != nil || len(read) != 1 || read[0].LetPass != want {
			t.Errorf("%s, scanned: %+v, %v", result, read, err)
		}
	}
}
