package breakerpolicy

// view is a breaker as its store last said it is, on this process' clock. It does
// not change.
type view struct {
	offer
	now tally
	// at is when it was received, and since and until are the offer's times, none
	// earlier than it was meant.
	at, since, until int64
	// shared: Redis has said it. Otherwise this instance is alone.
	shared bool
}

// newView is what a store has said, received at a time.
func newView(a *reply, at int64, shared bool) *view {
	return &view{offer: a.offer, now: a.Now, at: at, since: at - a.Age, until: at + a.In, shared: shared}
}

// offered is the view for a store that may know less, at a time. told is the
// generation that Redis has told of last.
func (v *view) offered(at, told int64) offer {
	o := v.offer
	o.Age, o.In = max(at-v.since, 0), max(v.until-at, 0)
	o.ProbeIn = max(o.ProbeIn-(at-v.at), 0)
	if o.ProbeIn == 0 {
		o.Probe, o.By = "", ""
	}
	o.Told = o.Gen <= told
	if o.State == "" {
		o.State = StateClosed
	}
	return o
}

const (
	// leastShare is the share of requests, in thousandths, that pass in the
	// beginning of a ramp.
	leastShare = 100
	whole      = 1000
)

// share is how many of a thousand requests pass at a time.
func (v *view) share(now, ramp int64) int64 {
	if !v.Reopened || ramp <= 0 || now-v.since >= ramp {
		return whole
	}
	return max((now-v.since)*whole/ramp, leastShare)
}
