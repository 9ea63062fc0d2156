package outcome

import (
	"cmp"
	"strconv"
	"strings"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Where a request's verdict has left the handles, in what Envoy knows of it. Only
// verdicts write there: no client can.
const (
	verdicts = "envoy.filters.http.ext_authz"
	inFlight = "in_flight"
	probe    = "probe"
	broken   = "broken"
	charged  = "charged"
	// foundRoute and pickedBackend are names of the config, for requests of an Envoy
	// that calls its own routes and clusters by others.
	foundRoute    = "route"
	pickedBackend = "backend"
)

// Where it stands that a request was let pass inside Envoy, without a verdict: only Envoy's
// own filters write there.
const (
	placements  = "envoy.filters.http.rbac"
	placeResult = "place_shadow_engine_result"
	placeAllows = "allowed"
	// placedBy is by which rule: the hash of the policy, and a dot and a number where it
	// has several.
	placedBy = "place_shadow_effective_policy_id"
)

// BackendTag is the custom tag of an entry that names the backend that was picked.
// Envoy itself names that of an endpoint, and says nothing where there was none.
const BackendTag = "backend"

// TraceTag is the custom tag of an entry that says which trace it is of.
const TraceTag = "trace"

// UserTag is the custom tag of an entry that says who has sent the request.
const UserTag = "user"

// grpcStatus is the header or trailer by which a gRPC call ends.
const grpcStatus = "grpc-status"

// fromEntry is the outcome that an entry of the log tells of, and whether it does:
// one that is written while the request still goes on, or that tells of an attempt
// alone, is no outcome. Envoys of others may be told to write those, too.
func fromEntry(e *accesslogdatav3.HTTPAccessLogEntry) (o Outcome, ended bool) {
	common := e.GetCommonProperties()
	if !isOfTheEnd(common.GetAccessLogType()) {
		return Outcome{}, false
	}
	status := int(e.GetResponse().GetResponseCode().GetValue())
	said := common.GetMetadata().GetFilterMetadata()
	verdict, place := said[verdicts].GetFields(), said[placements].GetFields()
	o = Outcome{
		Route:      common.GetRouteName(),
		Backend:    common.GetUpstreamCluster(),
		Upstream:   common.GetUpstreamRemoteAddress() != nil,
		Attempts:   int(common.GetUpstreamRequestAttemptCount()),
		Status:     status,
		GRPCStatus: grpcStatusOf(e.GetResponse()),
		Flags:      flags(common.GetResponseFlags()).settle(status),
		Duration:   common.GetTimeToLastDownstreamTxByte().AsDuration(),
		FirstByte:  common.GetTimeToFirstUpstreamRxByte().AsDuration(),
		InFlight:   verdict[inFlight].GetStringValue(),
		Breaker:    verdict[probe].GetStringValue(),
		Broken:     verdict[broken].GetStringValue(),
		Charged:    verdict[charged].GetStringValue(),
		Trace:      common.GetCustomTags()[TraceTag],
		User:       common.GetCustomTags()[UserTag],
		LetPass:    letPassBy(place[placeResult].GetStringValue(), place[placedBy].GetStringValue()),
	}
	if common.GetTimeToLastDownstreamTxByte() == nil {
		o.Duration = common.GetDuration().AsDuration()
	}
	if o.Backend == "" && o.Flags.Has(NoHealthy) {
		o.Backend = common.GetCustomTags()[BackendTag]
	}
	o.Route = cmp.Or(verdict[foundRoute].GetStringValue(), o.Route)
	o.Backend = cmp.Or(verdict[pickedBackend].GetStringValue(), o.Backend)
	return o, true
}

// letPassBy is the policy of the rule by which filters let a request pass.
func letPassBy(result, rule string) string {
	if result != placeAllows {
		return ""
	}
	policy, _, _ := strings.Cut(rule, ".")
	return policy
}

// isOfTheEnd tells an entry that is written when a request has ended from others.
func isOfTheEnd(kind accesslogdatav3.AccessLogType) bool {
	return kind == accesslogdatav3.AccessLogType_NotSet || kind == accesslogdatav3.AccessLogType_DownstreamEnd
}

// flags are the groups of the flags that are set.
func flags(set *accesslogdatav3.ResponseFlags) (f Flags) {
	set.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if n := int(field.Number()); n < len(flagOf) {
			f |= flagOf[n]
		}
		return true
	})
	return f
}

// grpcStatusOf is the status of a call, from its trailers, or from the headers of
// an answer that has nothing else.
func grpcStatusOf(r *accesslogdatav3.HTTPResponseProperties) int {
	text, ok := r.GetResponseTrailers()[grpcStatus]
	if !ok {
		text, ok = r.GetResponseHeaders()[grpcStatus]
	}
	if !ok {
		return GRPCUnknown
	}
	return grpcStatusFrom(text)
}

// grpcStatusFrom reads a status that a backend has written. What is not one of
// gRPC's is Unknown (2), as clients take it.
func grpcStatusFrom(text string) int {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > lastGRPCStatus {
		return 2
	}
	return int(n)
}

// lastGRPCStatus is UNAUTHENTICATED.
// https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
const lastGRPCStatus = 16
