package ratelimit

import "time"

// view is a bucket in Redis as this process sees it: as it was at the last exchange,
// less what was taken here since, and refilled on the clock of the process. It never
// says more than Redis did, but others may have taken meanwhile. Times are in
// microseconds. The shard's mutex guards it.
type view struct {
	key    string
	bucket Bucket
	keep   int64

	level    State // all that was taken here is taken from it
	reserved int64 // of that, for requests that are not decided yet
	unsent   int64 // of that, spent, and not yet told
	sent     int64 // spent, and in the exchange that is under way
	queued   bool  // waits for an exchange
	used     int64 // when a request was last here

	since     int64           // when the first of what is reserved and unsent was taken
	sentSince int64           // and of what is sent
	exchange  <-chan struct{} // the exchange under way: closed at its end
}

// overdue says that something was taken so long ago that Redis has to know of it
// before more is.
func (v *view) overdue(now int64) bool {
	return v.reserved+v.unsent > 0 && now-v.since >= syncBound.Microseconds() ||
		v.sent > 0 && now-v.sentSince >= syncBound.Microseconds()
}

// send is what there is to tell, in an exchange.
func (v *view) send(exchange <-chan struct{}, now int64) item {
	v.queued, v.exchange = false, exchange
	v.sent, v.unsent, v.sentSince, v.since = v.unsent, 0, v.since, now
	return item{key: v.key, Demand: Demand{Definition: v.bucket, Cost: v.sent, keep: v.keep}}
}

// received ends an exchange: with what Redis said, or told is false and nobody
// knows.
func (v *view) received(reset time.Duration, told bool, now int64) {
	if told {
		v.learn(reset, now)
	} else {
		v.unsent += v.sent
		v.since = v.sentSince
	}
	v.sent, v.exchange = 0, nil
}

// idle says that nobody has asked for the key in a while.
func (v *view) idle(now int64) bool { return now-v.used >= viewIdle.Microseconds() }

// take reserves cost tokens if the view has them.
func (v *view) take(cost, now int64) Result {
	current := v.bucket.at(v.level, now)
	v.level, v.used = current, now
	if !v.bucket.holds(current, cost) {
		return v.bucket.result(current, false, cost, now)
	}
	v.level = v.bucket.charged(current, Demand{Definition: v.bucket, Cost: cost})
	if v.reserved+v.unsent == 0 {
		v.since = now
	}
	v.reserved += cost
	return v.bucket.result(v.level, true, cost, now)
}

// conclude ends a reservation.
func (v *view) conclude(cost int64, spent bool) {
	v.reserved -= cost
	if spent {
		v.unsent += cost
	} else {
		v.level, _ = v.bucket.returned(v.level, Demand{Definition: v.bucket, Cost: cost})
	}
}

// learn takes in that Redis' bucket is full after a time, when it knows nothing of
// what is reserved and unsent here.
func (v *view) learn(reset time.Duration, now int64) { v.level = v.as(reset, now) }

// hear takes in the same of an answer that may be older than what is known: Redis
// may have been told since of what was unsent when it was given. So it takes tokens
// from the view, and gives it none.
func (v *view) hear(reset time.Duration, now int64) {
	if said := v.as(reset, now); said.Level < v.bucket.at(v.level, now).Level {
		v.level = said
	}
}

// as is the view by an answer of Redis.
func (v *view) as(reset time.Duration, now int64) State {
	missing := int64(maxExact)
	if micros := reset.Microseconds(); micros < missing/v.bucket.rate {
		missing = micros * v.bucket.rate // at most a microsecond's parts too many
	}
	level := State{Level: v.bucket.full() - missing, Unit: v.bucket.unit, Last: now}
	return v.bucket.charged(level, Demand{Definition: v.bucket, Cost: v.reserved + v.unsent})
}
