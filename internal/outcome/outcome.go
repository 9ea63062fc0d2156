package outcome

import "time"

// Outcome is how one request ended: one for each request of a client, however
// often it was repeated towards the backend, when its last byte has gone. Of a
// stream or an upgraded connection that is its end.
type Outcome struct {
	// Route and Backend are names of the config. Backend is the one that the
	// request would go or has gone to, also where it was denied before: whether it
	// was asked, Upstream tells. Empty where the route has none.
	Route, Backend string
	// Upstream tells that an endpoint of Backend was picked and an attempt made.
	// False where the gateway has answered by itself, or none could be picked.
	Upstream bool
	// Attempts is how often the request was sent or tried to be sent to Backend, 1
	// without repeats. 0 where it was not.
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
}

// GRPCUnknown is the GRPCStatus of what is no gRPC call, and of a call that no
// backend has ended.
const GRPCUnknown = -1

// BackendAnswers tells whether the outcome says anything of how its backend does:
// one was asked, or had nobody to ask, and it is not the client that left before
// there was an answer. A client's abort, a denial and an answer of the gateway's
// own say nothing.
func (o Outcome) BackendAnswers() bool {
	if o.Flags.Has(Denied) || o.Flags.Has(ClientGone) && o.FirstByte == 0 {
		return false
	}
	return o.Upstream || o.Flags.Has(NoHealthy)
}
