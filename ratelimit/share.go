package ratelimit

import "time"

const (
	// leaseTTL is how long the store keeps tokens for an instance that does not
	// report. Each report begins it anew.
	leaseTTL = 2 * time.Second
	// leaseSpent is how much of it passes here before the tokens are no longer
	// spent: clocks do not run alike, and Redis' may be slewed.
	leaseSpent = leaseTTL - leaseTTL/16
	// leaseIdle is after how long a share that nobody asks for is given back.
	leaseIdle = 400 * time.Millisecond
	// demandPeriod is what demand is counted by: a share is what was spent in
	// this period and the one before.
	demandPeriod = 100 * time.Millisecond
	// shareOfCapacity is the part of a limit that one instance may hold.
	shareOfCapacity = 4
	// longestPace is how long an instance waits at most before it asks a bucket
	// again that had less than was wanted.
	longestPace = 10 * time.Millisecond
)

// share is what this process holds of one limit in Redis: tokens that were taken
// there and are not yet spent. Of a bucket the store counts at least as many as out,
// until it has been told that they are spent or given back; in a window they count
// like any that are spent (ahead.go). Times are of the process' clock, in
// microseconds. The shard's mutex guards it.
type share struct {
	key  string
	by   Definition // a Bucket, or a window that can be taken of ahead
	keep int64

	tokens   int64  // may be spent, before until
	reserved int64  // taken for requests that are not decided yet
	until    int64  // from here on all are lost
	term     uint32 // counts the losses: what was reserved in an earlier term is gone

	// beside is what a bucket in the store has beside all leases, as it was last told;
	// ahead is what is known of a window.
	beside State
	ahead  ahead

	demand     [2]int64 // tokens taken in this period, and in the one before
	period     int64
	emptyUntil int64 // the store has no tokens for emptyCost before then
	emptyCost  int64
	pacedUntil int64 // no tokens are asked for before then
	used       int64 // when a request was last here

	queued bool  // waits for a renewal, or is in one
	sent   int64 // tokens and reserved when the renewal was sent
	listed int64 // until then the store may have a lease of this share
}

// ask notes that a request is here, by whose definition the limit is what it is now.
func (s *share) ask(it item, now int64) {
	if isWindow(s.by) && !sameWindows(s.by, it.Definition) {
		s.ahead.change(s) // what was taken is counted in what is no window now
	}
	s.by, s.keep, s.used = it.Definition, it.keep, now
}

// idle says that nobody has asked for the key in a while.
func (s *share) idle(now int64) bool { return now-s.used >= leaseIdle.Microseconds() }

// ending says that the lease needs to be renewed if its tokens are to be kept.
func (s *share) ending(now int64) bool {
	return s.tokens+s.reserved > 0 && now >= s.until-leaseTTL.Microseconds()/2
}

// due says that the store is to hear of the share, whether it is asked for or not.
func (s *share) due(now int64) bool {
	if isWindow(s.by) {
		return s.ahead.due(s, now)
	}
	if s.idle(now) {
		return now < s.listed
	}
	return s.ending(now)
}

// forgettable says that there is nothing to know of the share, and nothing to tell.
func (s *share) forgettable(now int64) bool {
	return s.idle(now) && !s.due(now) && s.reserved == 0 && now >= s.emptyUntil
}

// holding says that the store may count something that could be given back.
func (s *share) holding(now int64) bool {
	return now < s.listed || isWindow(s.by) && s.tokens+s.ahead.back > 0
}

// empty says that the store is known not to have cost tokens.
func (s *share) empty(cost, now int64) bool {
	switch s.by.(type) {
	case slidingWindow: // more than another one waits for longer than that one
		return cost > s.by.most() || now < s.emptyUntil && cost == s.emptyCost
	default:
		return cost > s.by.most() || now < s.emptyUntil && cost >= s.emptyCost
	}
}

// spendable loses the tokens of a lease that has ended, and says what is left.
func (s *share) spendable(now int64) int64 {
	if now >= s.until && (s.tokens > 0 || s.reserved > 0) {
		s.ahead.lose(s.tokens) // of a bucket it counts as spent
		s.tokens, s.reserved = 0, 0
		s.term++
	}
	return s.tokens
}

// note counts a demand of cost tokens that was met.
func (s *share) note(cost, now int64) {
	switch period := now / demandPeriod.Microseconds(); period - s.period {
	case 0:
	case 1:
		s.demand = [2]int64{0, s.demand[0]}
		s.period = period
	default:
		s.demand = [2]int64{}
		s.period = period
	}
	s.demand[0] += cost
	s.used = now
}

// target is how many tokens this process wants to hold: what it has spent of late,
// and none for a key that is hardly asked for.
func (s *share) target() int64 {
	recent := s.demand[0] + s.demand[1]
	if recent < 2 {
		return 0
	}
	return min(recent, s.by.most()/shareOfCapacity)
}

// low says that the share is to be renewed before it runs out.
func (s *share) low(now int64) bool {
	return !s.queued && now >= s.pacedUntil && now >= s.emptyUntil && 2*s.tokens < s.target()
}

// pace is the time in which a bucket that was found short gets a part of its
// tokens again.
func (s *share) pace() int64 {
	if b, ok := s.by.(Bucket); ok {
		return min(longestPace.Microseconds(), ceilDiv(b.full(), 4*b.rate))
	}
	return longestPace.Microseconds()
}

// denied takes in that the store has denied a request of a cost.
func (s *share) denied(said Result, cost, now int64) {
	s.emptyUntil, s.emptyCost = now+max(said.RetryAfter.Microseconds(), s.pace()), cost
	if isWindow(s.by) {
		s.emptyUntil = s.ahead.denied(said, now)
	}
}

// result is what a request is told that was decided here. What remains is what
// this process knows of: others may have taken since.
func (s *share) result(allowed bool, cost, now int64) Result {
	b, ok := s.by.(Bucket)
	if !ok {
		return s.ahead.result(s, allowed, cost, now)
	}
	current := b.at(s.beside, now)
	current.Level = min(current.Level+s.tokens*b.unit, b.full())
	r := b.result(current, true, cost, now)
	switch {
	case allowed:
	case cost > b.capacity:
		r.Allowed, r.RetryAfter = false, Never
	default:
		r.Allowed = false
		r.RetryAfter = micros(uint64(s.emptyUntil - now + max(ceilDiv((cost-s.emptyCost)*b.unit, b.rate), 0)))
	}
	return r
}

// learn keeps how many tokens a bucket in the store has beside all leases.
func (s *share) learn(remaining, now int64) {
	if b, ok := s.by.(Bucket); ok {
		s.beside = State{Level: min(remaining, b.capacity) * b.unit, Unit: b.unit, Last: now}
	}
}

// renewal is what the store is asked for one share.
type renewal struct {
	key    string
	bucket Bucket
	keep   int64
	number uint64 // of all of this process: a later one makes an earlier one void
	held   int64  // tokens that are kept; what is neither kept nor given back was spent
	back   int64  // tokens that are given back
	want   int64  // tokens that are asked for
}

// renewed is the store's answer.
type renewed struct {
	// amount is the tokens that the store now counts as out, -1 where a later
	// renewal has come before this one.
	amount int64
	// remaining is the tokens in the bucket, beside all that are out.
	remaining int64
}

// renew is the renewal to send at time now. One that is idle gives back what it
// has.
func (s *share) renew(number uint64, idle bool, now int64) renewal {
	s.spendable(now)
	r := renewal{key: s.key, bucket: s.by.(Bucket), keep: s.keep, number: number}
	switch {
	case idle:
		r.back, s.tokens = s.tokens, 0
	case now >= s.pacedUntil && now >= s.emptyUntil:
		r.want = max(s.target()-s.tokens, 0)
	}
	r.held = s.tokens + s.reserved
	s.sent = r.held
	s.listed = max(s.listed, now+2*leaseTTL.Microseconds())
	return r
}

// settle takes in the answer to a renewal that was sent at a time. Whatever the
// answer, what this process may spend is never more than the store counts.
func (s *share) settle(asked renewal, got renewed, term uint32, sent, now int64) {
	s.learn(got.remaining, now)
	if got.amount < 0 || term != s.term {
		return // a loss meanwhile: what came counts as spent, as the store will be told
	}
	spent := s.sent - s.tokens - s.reserved
	s.tokens = max(got.amount-spent-s.reserved, 0)
	s.until = sent + leaseSpent.Microseconds()
	if got.amount == 0 {
		s.listed = 0
	}
	if got.amount < asked.held+asked.want {
		s.pacedUntil = now + s.pace()
	}
}
