package outcome

// Flags are what was out of the ordinary with a request: Envoy's response flags,
// in groups by who is at fault.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags
type Flags uint16

// The groups. The letters are Envoy's.
const (
	// ConnectFailure is of the backend: no connection came about (UF), or its name
	// has no address (DF).
	ConnectFailure Flags = 1 << iota
	// Reset is of the backend: it has broken off what had begun, by a reset (UR),
	// by the end of the connection (UC), or by something that is not HTTP (UPE).
	// So has Envoy towards it (LR).
	Reset
	// Timeout is of the backend: it was still to answer when the route's time, or
	// that of one try, was over (UT), or its stream had lasted too long (UMSDR), or
	// nothing had moved for too long while the client waited (SI with 504).
	Timeout
	// NoHealthy is of the backend: no endpoint of it is fit to be asked (UH), or
	// there is no such backend in Envoy (NC).
	NoHealthy
	// Overflow is of Envoy's bounds towards the backend: as many connections,
	// waiting requests, requests in flight or repeats as there may be (UO). Of a
	// repeat that was one too many, the attempt before it has its own word beside it.
	Overflow
	// RetriesExceeded stands beside the others: the last attempt failed, too, and no
	// more were allowed (URX).
	RetriesExceeded
	// ClientGone is of the client: it has left, reset its stream or closed its
	// connection (DC, DR), broken the protocol (DPE), not gone on with its request
	// (SI without 504), or stayed on its connection for longer than it may (DT).
	ClientGone
	// Denied is of the gateway: the judge has denied, or had no answer (UAEX), a
	// limit of Envoy's own (RL), its rate limit service (RLSE), or its overload
	// manager (OM).
	Denied
	// Unrouted is a request for which there is no route (NR), or that Envoy did not
	// take for one (IH).
	Unrouted
)

// Has reports whether one of the flags given is there.
func (f Flags) Has(any Flags) bool { return f&any != 0 }

// flagNames are those of the groups, in the order of their bits.
var flagNames = [...]string{"connect-failure", "reset", "timeout", "no-healthy", "overflow", "retries-exceeded", "client-gone", "denied", "unrouted"}

// Names are what is set, in words.
func (f Flags) Names() (out []string) {
	for i, name := range flagNames {
		if f.Has(1 << i) {
			out = append(out, name)
		}
	}
	return out
}

// statusGatewayTimeout is by what an idle timeout tells that it is the backend
// that was waited for.
const statusGatewayTimeout = 504

// unauthorizedDetails is the number of the only field that is a message: of whom
// the request was denied by.
const unauthorizedDetails = 13

// flagOf says, for each field of Envoy's message of response flags by its number,
// what it means. Those that are missing say nothing of who is at fault: the
// failed health check of Envoy itself (LH), delays and faults that somebody has
// injected (DI, FI), answers out of a cache (RFCF), and a filter without its
// config (NFCF).
var flagOf = [...]Flags{
	2:                   NoHealthy,       // no_healthy_upstream, UH
	3:                   Timeout,         // upstream_request_timeout, UT
	4:                   Reset,           // local_reset, LR
	5:                   Reset,           // upstream_remote_reset, UR
	6:                   ConnectFailure,  // upstream_connection_failure, UF
	7:                   Reset,           // upstream_connection_termination, UC
	8:                   Overflow,        // upstream_overflow, UO
	9:                   Unrouted,        // no_route_found, NR
	12:                  Denied,          // rate_limited, RL
	unauthorizedDetails: Denied,          // UAEX
	14:                  Denied,          // rate_limit_service_error, RLSE
	15:                  ClientGone,      // downstream_connection_termination, DC
	16:                  RetriesExceeded, // upstream_retry_limit_exceeded, URX
	17:                  idle,            // stream_idle_timeout, SI
	18:                  Unrouted,        // invalid_envoy_request_headers, IH
	19:                  ClientGone,      // downstream_protocol_error, DPE
	20:                  Timeout,         // upstream_max_stream_duration_reached, UMSDR
	23:                  ClientGone,      // duration_timeout, DT
	24:                  Reset,           // upstream_protocol_error, UPE
	25:                  NoHealthy,       // no_cluster_found, NC
	26:                  Denied,          // overload_manager, OM
	27:                  ConnectFailure,  // dns_resolution_failure, DF
	28:                  ClientGone,      // downstream_remote_reset, DR
}

// idle is an idle timeout of which is not known yet whom it has waited for.
const idle Flags = 1 << 15

// settle says of an idle timeout whom it has waited for: the backend, where the
// client was told so; otherwise a client that did not go on with its request, or
// one side of a stream that had begun, which one is not known.
func (f Flags) settle(status int) Flags {
	switch {
	case !f.Has(idle):
		return f
	case status == statusGatewayTimeout:
		return f&^idle | Timeout
	default:
		return f&^idle | ClientGone
	}
}
