package config

import "time"

// DefaultStreamIdle is how long an answer of a route that streams may stand still
// where the route does not say. A watch of gRPC or a page that waits for events has
// nothing to hear for long, and is none the worse.
const DefaultStreamIdle = time.Hour

// Times are the bounds of one request of a route; 0 is none.
type Times struct {
	// Whole is from the end of the request to the end of the answer, repeats
	// included.
	Whole time.Duration
	// Begin is from the end of the request until the answer begins, for each attempt.
	Begin time.Duration
	// Idle is how long nothing may move. 0 leaves it to the listener.
	Idle time.Duration
}

// Times are how long requests of the route may take. No time but the one in which
// nothing moves ends an answer of a route that streams: one that says so, and one for
// gRPC that says no time, since a call has the deadline that its client has given it.
func (r *Route) Times() Times {
	t := Times{Idle: time.Duration(r.IdleTimeout)}
	switch {
	case r.Stream:
		t.Begin = r.Timeout.Or(DefaultRouteTimeout)
	case r.Match.GRPC != nil && r.Timeout == 0:
	default:
		t.Whole = r.Timeout.Or(DefaultRouteTimeout)
		return t
	}
	if t.Idle == 0 {
		t.Idle = DefaultStreamIdle
	}
	return t
}

// longest is the longest time in which something of a request may be repeated.
func (t Times) longest() time.Duration {
	switch {
	case t.Whole > 0:
		return t.Whole
	case t.Begin > 0:
		return t.Begin
	default:
		return maxDuration
	}
}
