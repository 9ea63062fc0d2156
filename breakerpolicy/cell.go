package breakerpolicy

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// activeFor is how long after a request a breaker is in use, and its instance
	// follows what others make of it.
	activeFor = 2000
	// idleFor is how long after the last request a closed breaker is reported on
	// every second. Then it is looked at every restingEvery, and when the next request
	// comes.
	idleFor = 60_000
	// staleAfter is the age from which on a view is renewed at once, in milliseconds.
	staleAfter = 200
	// mostResults bounds the probes of which a breaker has heard and not told.
	mostResults = 16
)

// soon is what a client is told when nobody knows when it may come again: a probe is
// out.
const soon = time.Second

// cell is one breaker in this process: the view by which requests are admitted, and
// what has not been reported yet.
type cell struct {
	name string
	law  atomic.Pointer[law]
	view atomic.Pointer[view]
	// asked is when a request has come last, and reported when the store has been
	// told of it last. hurry: there is something to tell at once; news: there is
	// something to tell.
	asked, reported atomic.Int64
	hurry, news     atomic.Bool
	ramped          atomic.Int64 // counts thousandths of requests in a ramp
	counts          cellCounts

	// flight is held while the breaker is reported on, so that answers come in
	// their order.
	flight sync.Mutex

	mu sync.Mutex // guards all below
	// pending has ended since the last report, of the generation of view; own are
	// all in the window; owed those that Redis has not heard of since it went.
	pending, own, owed window
	results            []result
	held               string // a probe that no request has taken yet
	heldUntil          int64
	out                string // one that a request has taken
	back               string // one that is given back
	wanting            bool   // a request was denied for want of one
	told               int64  // the generation that Redis has told of last
	alone              *alone // nil: Redis is asked
	dropped            bool   // it is in no config any more
}

// alone is when Redis is asked again of a breaker that goes on without it.
type alone struct{ retryAt, coolDown int64 }

// newCell is a closed breaker. Without a Redis it is alone for ever.
func newCell(name string, l *law, now int64, withRedis bool) *cell {
	c := &cell{name: name}
	if !withRedis {
		c.alone = &alone{retryAt: math.MaxInt64}
	}
	c.law.Store(l)
	c.view.Store(&view{offer: offer{State: StateClosed}, at: now})
	c.asked.Store(now)
	c.hurry.Store(true) // what it is in the fleet is not known yet
	return c
}

// handle names a probe in what Envoy tells of a request: the probe and the breaker.
// No name has an @, nor a space.
func (c *cell) handle(probe string) string { return probe + "@" + c.name }

func splitHandle(handle string) (probe, name string) {
	probe, name, _ = strings.Cut(handle, "@")
	return probe, name
}

// admit decides on one request. wake: there is something to tell the store at once.
func (c *cell) admit(now int64) (a Admission, wake bool) {
	v, l := c.view.Load(), c.law.Load()
	if now-c.asked.Load() > activeFor/8 {
		c.asked.Store(now)
	}
	if v.shared && now-v.at > staleAfter {
		wake = c.hasten(now)
	}
	a = Admission{Name: c.name, State: v.State}
	switch v.State {
	case StateClosed:
		if share := v.share(now, l.ramp); share < whole && !c.passesRamp(share) {
			a.Denied, a.RetryAfter = true, soon
		}
	case StateOpen:
		a.Denied, a.RetryAfter = true, time.Duration(v.until-now)*time.Millisecond
		switch {
		case v.Forced != "":
			a.RetryAfter = l.Config.FirstOpen()
		case now >= v.until:
			a.RetryAfter = soon
			wake = c.want(now) || wake
		}
	case StateHalfOpen:
		if a.Probe = c.takeProbe(now); a.Probe == "" {
			a.Denied, a.RetryAfter = true, soon
			wake = c.want(now) || wake
		}
	}
	if a.Denied && l.shadow {
		a.Denied, a.Shadow, a.RetryAfter = false, true, 0
	}
	c.counts.admitted(a)
	return a, wake
}

// passesRamp lets a share of requests pass, in thousandths, evenly.
func (c *cell) passesRamp(share int64) bool {
	sum := c.ramped.Add(share)
	return sum/whole != (sum-share)/whole
}

// hasten notes that there is something to tell at once; true the first time since
// the last report, unless that has just been.
func (c *cell) hasten(now int64) bool {
	return !c.hurry.Swap(true) && now-c.reported.Load() >= leastGap
}

// takeProbe is the handle of the probe that this instance holds; empty where it has
// none, or may not be the one that has it any more.
func (c *cell) takeProbe(now int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == "" || now >= c.heldUntil || c.view.Load().State != StateHalfOpen {
		return ""
	}
	c.out, c.held = c.held, ""
	c.news.Store(true)
	return c.handle(c.out)
}

// want notes that a request was denied for want of a probe.
func (c *cell) want(now int64) bool {
	c.mu.Lock()
	c.wanting = true
	c.mu.Unlock()
	return c.hasten(now)
}

// cancel takes a probe back whose request goes to no backend: it is for the next one.
func (c *cell) cancel(probe string, now int64) (wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == probe && now < c.heldUntil {
		c.held, c.out = probe, ""
		return false
	}
	c.conclude(result{probe, void})
	return c.hasten(now)
}

// observe takes in how a request has ended that was no probe. wake: by what is known
// here the breaker is to open.
func (c *cell) observe(v verdict, took time.Duration, now int64) (wake bool) {
	if v == void {
		return false
	}
	t := tally{Total: 1}
	if v == failed {
		t.Failed = 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	view := c.view.Load()
	if view.State != StateClosed || view.Gen > 0 && now-took.Milliseconds() < view.since {
		return false // it was admitted in an older generation
	}
	l := c.law.Load()
	c.counts.ended(v)
	c.pending = c.pending.add(now, l.rules.Slot, t)
	c.own = c.own.since(now-l.rules.Window, l.rules.Slot).add(now, l.rules.Slot, t)
	if c.alone != nil {
		c.owed = c.owed.since(now-l.rules.Window, l.rules.Slot).add(now, l.rules.Slot, t)
	}
	c.news.Store(true)
	return v == failed && view.Forced == "" && l.rules.tooMany(view.now.and(c.pending.sum())) && c.hasten(now)
}

// concludeProbe takes in how a probe has ended, whichever instance has given it out.
func (c *cell) concludeProbe(r result, now int64) (wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conclude(r)
	return c.hasten(now)
}

func (c *cell) conclude(r result) {
	if c.out == r.ID {
		c.out = ""
	}
	known := slices.ContainsFunc(c.results, func(other result) bool { return other.ID == r.ID })
	if !known && len(c.results) < mostResults {
		c.results = append(c.results, r)
		c.counts.concluded(r.Verdict)
	}
	c.news.Store(true)
}

// due tells whether the breaker is to be reported on.
func (c *cell) due(now int64) bool {
	v, since := c.view.Load(), now-c.reported.Load()
	switch {
	case c.hurry.Load():
		return since >= leastGap
	case c.news.Load(), v.State == StateOpen && v.Forced == "" && now >= v.until:
		return since >= reportEvery/2 // turns begin reportEvery apart, or at once
	}
	quiet := now - c.asked.Load()
	switch {
	case quiet < activeFor:
		return since >= reportEvery/2
	case v.State == StateHalfOpen && c.holds():
		return since >= holdFor/4
	case v.State != StateClosed || v.Forced != "" || quiet < idleFor:
		return since >= idleEvery
	}
	// Nobody else can open one that is known here alone.
	return v.shared && since >= restingEvery
}

func (c *cell) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held != ""
}

// isAlone tells whether the breaker goes on without Redis, and when that is asked again.
func (c *cell) isAlone() (retryAt int64, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alone == nil {
		return 0, false
	}
	return c.alone.retryAt, true
}

// report is what there is to tell. What it counts is taken out. to is the store that
// it is for: Redis hears of what is owed to it, and a machine that begins here of all
// in the window.
func (c *cell) report(to target, id string, random, now int64, claims bool) *report {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, l := c.view.Load(), c.law.Load()
	r := &report{
		Rules: l.rules, Random: random, Offer: v.offered(now, c.told), Gen: v.Gen, ID: id,
		Results: slices.Clone(c.results), Held: c.held, Out: c.out, Back: c.back,
	}
	switch {
	case !claims:
	case c.wanting:
		r.Claim = wanting
	default:
		r.Claim = ready
	}
	switch to {
	case toStore:
		r.Counts = c.pending
	case toRedisAgain:
		r.Counts, c.owed = c.owed, nil
	case toNewMachine:
		r.Counts = slices.Clone(c.own)
	}
	if to != toRedisAgain {
		c.pending, c.wanting = nil, false
		c.hurry.Store(false)
		c.news.Store(false)
		c.reported.Store(now)
	}
	for i := range r.Counts {
		r.Counts[i].At = max(now-r.Counts[i].At, 0)
	}
	return r
}

// target is whom a report is for.
type target int

const (
	toStore      target = iota // the one that is in use
	toRedisAgain               // Redis, to ask whether it answers again
	toNewMachine               // one that begins, since Redis does not answer
)

// taken is what an answer has changed.
type taken struct {
	from, to *view
	wake     bool // there is something to tell at once
	returned bool // the breaker was alone, and is shared again
}

// take takes in the answer to a report that was sent at a time.
func (c *cell) take(r *report, a *reply, sent, now int64, shared bool) taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := taken{from: c.view.Load()}
	if c.dropped || !shared && c.alone == nil {
		t.to = t.from // Redis has answered meanwhile
		return t
	}
	t.to = newView(a, now, shared)
	if t.to.Gen != t.from.Gen || t.to.State != t.from.State {
		c.pending, c.own, c.owed = nil, nil, nil
	}
	if shared {
		if t.returned = c.alone != nil; t.returned {
			c.alone, c.pending, c.owed = nil, c.owed, nil
		}
		c.told = t.to.Gen
	}
	t.to.Told = t.to.Gen <= c.told
	c.results = slices.DeleteFunc(c.results, func(known result) bool { return slices.Contains(r.Results, known) })
	if c.back == r.Back {
		c.back = ""
	}
	c.takeGrant(r, a, sent)
	if a.Yield && c.held != "" {
		c.back, c.held = c.held, ""
		t.wake = c.hasten(now)
	}
	c.view.Store(t.to)
	return t
}

// takeGrant notes which probe this instance has.
func (c *cell) takeGrant(r *report, a *reply, sent int64) {
	switch {
	case a.Granted != "" && (a.Granted == c.held || a.Granted == r.ID):
		c.held, c.heldUntil = a.Granted, sent+holdFor
	case a.Granted == "" && c.held == r.Held:
		c.held = "" // it is another's by now
	}
	if c.out != "" && c.out != a.Probe {
		c.out = ""
	}
}

// goAlone has the breaker go on without Redis; true where it did not yet.
func (c *cell) goAlone(now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch a := c.alone; {
	case c.dropped:
	case a != nil:
		a.coolDown = min(2*a.coolDown, longestCoolDown)
		a.retryAt = now + a.coolDown
	default:
		c.alone = &alone{coolDown: firstCoolDown, retryAt: now + firstCoolDown}
		return true
	}
	return false
}

// drop has the breaker change no more; true where it was alone.
func (c *cell) drop() (wasAlone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = true
	wasAlone, c.alone = c.alone != nil, nil
	return wasAlone
}

// giveBack gives back the probe that no request has taken; true where there is
// something to tell of.
func (c *cell) giveBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != "" {
		c.back, c.held = c.held, ""
	}
	return c.back != "" || len(c.results) > 0 || len(c.pending) > 0
}
