package outcome

import "time"

// Outcome is how one request ended: one for each request of a client, however
// often it was repeated towards the backend, when its last byte has gone. Of a
// stream or an upgraded connection that is its end.
type Outcome struct {
	// Route and Backend are names of the config. Backend is the one that was asked, or
	// had nobody to ask; that one is known where the config has breakers or rollouts.
	// Empty where the gateway has answered by itself.
	Route, Backend string
	// Upstream tells that an endpoint of Backend was picked. It was asked, unless
	// Flags say that it was not to have any more (Overflow).
	Upstream bool
	// Attempts is how often it was tried to send the request to Backend, 1 without
	// repeats, also where nobody was to be asked. 0 where it was not tried.
	Attempts int
	// Status is the HTTP status sent to the client, 0 where none was. A backend
	// that has answered with a status and then broken off has both, Status and a flag.
	Status int
	// GRPCStatus is the status of a gRPC call, as the backend has said it in
	// headers or trailers; GRPCUnknown where there was none. It is 0 in the zero
	// value, which no entry gives.
	GRPCStatus int
	// Flags are what was out of the ordinary. Zero is a request that went its way.
	Flags Flags
	// Duration is from the first byte of the request to the last of the response,
	// or to where it broke off.
	Duration time.Duration
	// FirstByte is from the first byte of the request to the first of the answer of
	// the backend, that of the last attempt. 0 where none came.
	FirstByte time.Duration
	// InFlight is by what the request was counted as in flight: the handles of its
	// limits, with spaces between them. Empty where none has counted it so.
	InFlight string
	// Breaker is the handle of the breaker's probe that the request was, as the
	// breaker has given it out. Empty where it was none.
	Breaker string
	// Broken is the backend that the request was meant for and did not go to, because its
	// breaker was open: it was denied, or another backend answered in its place. Empty
	// where that was not so.
	Broken string
	// Trace is which trace the request is a part of, and whether its Envoy records it, as
	// that has written it (TraceTag). Empty where nobody wants to know. What is kept of
	// it, of User and of LetPass must be copied (Reader.Read).
	Trace string
	// Charged is the limit inside Envoy that the request was charged to, behind the verdict
	// that let it pass. Empty where there was none, or no verdict.
	Charged string
	// User is who has sent the request, as the log has it. Empty where nobody has asked
	// its Envoy for it (UserTag), or it is not known.
	User string
	// LetPass is the hash of the policy by which filters inside Envoy let the request
	// pass, without anybody being asked. Empty where somebody was, or it was not judged.
	LetPass string
}

// GRPCUnknown is the GRPCStatus of what is no gRPC call, and of a call that no
// backend has ended.
const GRPCUnknown = -1

// BackendAnswers tells whether the outcome says anything of how its backend does: it
// has begun to answer, or failed to. A client that left before there was an answer, a
// denial, an answer of the gateway's own, and a request that was one too many for the
// bounds towards the backend, say nothing.
func (o Outcome) BackendAnswers() bool {
	switch {
	case o.Flags.Has(Denied):
		return false
	case o.FirstByte > 0:
		return true
	case o.Flags.Has(ClientGone):
		return false
	case o.Flags.Has(ConnectFailure | Reset | Timeout | NoHealthy):
		return true
	default:
		return o.Upstream && !o.Flags.Has(Overflow)
	}
}
