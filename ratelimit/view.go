package ratelimit

// view is what this process knows of one key in Redis: what Redis said when it was
// last asked, less what was taken here since. Others may have taken meanwhile.
// Times are of the process' clock, in microseconds. The shard's mutex guards it.
type view struct {
	key  string
	by   Definition // that of the last request
	keep int64

	seen sight // nil until Redis has said something; less all that is here
	used int64 // when a request was last here

	reserved int64  // taken for requests that are not decided yet
	unsent   int64  // spent, and not yet told
	sent     int64  // what the exchange under way tells
	term     uint32 // counts the exchanges: what was reserved in an earlier term has been told
	back     int64  // told, and not spent after all: to be given back
	at       int64  // when windows count what was told last, by Redis' clock

	since     int64 // when the first of what is reserved and unsent was taken
	sentSince int64 // and of what is sent

	queued bool // waits for an exchange
	// busy is closed when Redis has answered what it is being asked for the key; nil
	// when it is asked nothing. asking says that it is asked to decide a request: none
	// is decided here meanwhile, since Redis does not know of it.
	busy   chan struct{}
	asking bool
	asked  Definition // by which it was asked last
	stale  bool       // Redis has decided a request since, though there is this view
}

// untold is what was taken here that Redis may not know of.
func (v *view) untold() int64 { return v.reserved + v.unsent + v.sent }

// overdue says that something was taken so long ago that Redis has to know of it
// before more is.
func (v *view) overdue(now int64) bool {
	return v.reserved+v.unsent > 0 && now-v.since >= syncBound.Microseconds() ||
		v.sent > 0 && now-v.sentSince >= syncBound.Microseconds()
}

// ask has Redis decide a request, which does not know of anything that is untold.
func (v *view) ask(it item, now int64) claim {
	v.by, v.keep, v.used, v.asked = it.Definition, it.keep, now, it.Definition
	v.busy, v.asking = make(chan struct{}), true
	return claim{view: v}
}

// take reserves cost, which is there.
func (v *view) take(cost, now int64) Result {
	if v.reserved+v.unsent == 0 {
		v.since = now
	}
	v.seen.add(v.by, cost, now)
	v.reserved += cost
	return v.seen.result(v.by, true, cost, now)
}

// conclude ends a reservation that was made in a term. One that was told meanwhile
// is told as spent.
func (v *view) conclude(cost int64, term uint32, spent bool, now int64) {
	told := term != v.term
	if !told {
		v.reserved -= cost
	}
	switch {
	case spent && !told:
		v.unsent += cost
	case !spent && !told:
		v.seen.add(v.by, -cost, now)
	case !spent && term == v.term-1: // else nobody knows any more which slot has it
		v.back += cost
		if !isWindow(v.by) { // what is seen may be the next window
			v.seen.add(v.by, -cost, now)
		}
	}
}

// due says that there is something to tell.
func (v *view) due() bool { return v.unsent > 0 || v.back > 0 }

// speaks says that there is something to tell or, of a bucket, to look at.
func (v *view) speaks() bool { return v.reserved > 0 || v.due() || !isWindow(v.by) }

// send is what there is to tell, in an exchange: also what is reserved, which else
// would not be told in time. The last call asks for what is left.
func (v *view) send(to []call, busy chan struct{}) []call {
	v.queued, v.busy, v.asked = false, busy, v.by
	if v.back > 0 {
		to = append(to, call{op: opRefund, items: []item{{key: v.key, Demand: Demand{Definition: v.by, Cost: v.back, At: v.at, keep: v.keep}}}})
	}
	v.sent, v.sentSince = v.reserved+v.unsent, v.since
	v.reserved, v.unsent, v.back = 0, 0, 0
	v.term++
	return append(to, call{op: opForce, items: []item{{key: v.key, Demand: Demand{Definition: v.by, Cost: v.sent, keep: v.keep}}}})
}

// received ends an exchange with what Redis said, nil where nobody knows. It does not
// learn by looking that a window is over: Redis' clock may be set back before something
// is charged in the next one, and it would not know then that it had begun.
func (v *view) received(said *Result, now int64) {
	switch {
	case said == nil && v.sent > 0:
		v.unsent += v.sent
		v.since = v.sentSince
	case said != nil && (v.sent > 0 || !isWindow(v.asked)):
		v.at = said.At
		v.learn(*said, now)
	}
	v.sent, v.busy = 0, nil
}

// learn takes in what Redis says, which knows nothing of what is here.
func (v *view) learn(said Result, now int64) {
	if v.seen == nil {
		v.seen = newSight(v.asked)
	}
	owed := v.reserved + v.unsent
	if !isWindow(v.asked) { // of which a window that is over gives nothing back
		owed -= v.back
	}
	v.seen.learn(v.asked, said, owed, now)
	v.stale = false
}

// idle says that nobody has asked for the key in a while.
func (v *view) idle(now int64) bool { return now-v.used >= viewIdle.Microseconds() }

// forgettable says that there is nothing to tell and nothing to wait for.
func (v *view) forgettable(now int64) bool {
	return v.idle(now) && !v.queued && v.busy == nil && v.reserved == 0 && !v.due()
}
