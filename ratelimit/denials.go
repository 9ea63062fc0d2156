package ratelimit

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/config"
)

const (
	// denialSlots is how many denials a process remembers at most. It is a power of
	// two. One takes about 300 bytes with its key.
	denialSlots = 1 << 14
	// longestDenial is for how long a denial is remembered at most: so late may be
	// noticed that a store has lost its state, or that somebody has been given more.
	longestDenial = time.Second
	// longestLoose is the same of limits of which each instance has a share: another
	// may give back what it has not used.
	longestLoose = 100 * time.Millisecond
)

// denials remember of limits that were used up until when they are, so that
// requests until then need ask nobody. What is not remembered is asked for:
// a flood of keys makes the memory forget, and never deny.
type denials struct {
	now  func() time.Time // monotonic
	seed maphash.Seed
	// until is when the last denial ends, in nanoseconds after start: before it there
	// is nothing to look for.
	start time.Time
	until atomic.Int64
	slots [denialSlots]atomic.Pointer[denial]
}

// denial is that a bucket was found with too little in it.
type denial struct {
	// limit is what was charged, by its address: what a reload changes is another one.
	limit *config.Limit
	key   string
	// cost is what was asked for. One that asks for less might pass.
	cost int64
	// until is how long no such request can pass: counted from before the store was
	// asked. told is when one will, counted from its answer; reset is when the limit is
	// as new.
	until, told, reset time.Time
	never              bool // it costs more than the limit holds
	capacity           int64
	remaining          int64
}

func newDenials() *denials {
	return &denials{now: time.Now, start: time.Now(), seed: maphash.MakeSeed()}
}

func (d *denials) slot(key string) *atomic.Pointer[denial] {
	return &d.slots[maphash.String(d.seed, key)%denialSlots]
}

// remember keeps the denials among the verdicts on a basket, of a store that was
// asked at a time.
func (d *denials) remember(asked time.Time, b *basket, verdicts []verdict) {
	idle := d.idle()
	for i, v := range verdicts {
		if !idle {
			d.forgetOthers(b.limits[i], b.items[i].key)
		}
		if v.counted && !v.Allowed {
			d.add(asked, b.limits[i], b.items[i], v.Result)
		}
	}
}

// forgetOthers forgets a denial by another definition of a limit: this one may have
// filled the bucket faster.
func (d *denials) forgetOthers(limit *config.Limit, key string) {
	slot := d.slot(key)
	if n := slot.Load(); n != nil && n.key == key && n.limit != limit {
		slot.CompareAndSwap(n, nil)
	}
}

func (d *denials) add(asked time.Time, limit *config.Limit, it item, r Result) {
	now, longest := d.now(), patience(limit)
	if longest == 0 || it.Cost <= 0 {
		return
	}
	n := &denial{
		limit: limit, key: it.key, cost: it.Cost, capacity: it.most(), remaining: r.Remaining,
		until: asked.Add(longest), told: now.Add(r.RetryAfter), reset: now.Add(r.ResetAfter), never: r.RetryAfter == Never,
	}
	if !n.never && r.RetryAfter < longest {
		n.until = asked.Add(r.RetryAfter)
	}
	if !n.until.After(now) {
		return
	}
	d.slot(it.key).Store(n)
	end := int64(n.until.Sub(d.start))
	for {
		last := d.until.Load()
		if last >= end || d.until.CompareAndSwap(last, end) {
			return
		}
	}
}

// patience is how long a denial of the limit is remembered at most. Those of
// limits for which it matters who the caller is are never asked for; and a request
// in flight may end at any time.
func patience(l *config.Limit) time.Duration {
	switch {
	case l.OfCaller() || l.Concurrency != nil || l.InShadow():
		return 0
	case l.Consistency == config.Lease || l.Consistency == config.Sync:
		return longestLoose
	}
	return longestDenial
}

// idle tells that nothing is remembered.
func (d *denials) idle() bool { return int64(d.now().Sub(d.start)) >= d.until.Load() }

// find is what is remembered of an item; nil where nothing is.
func (d *denials) find(limit *config.Limit, key string, cost int64) *denial {
	n := d.slot(key).Load()
	if n == nil || n.limit != limit || n.key != key || cost < n.cost || !d.now().Before(n.until) {
		return nil
	}
	return n
}

// result is what a store would say now.
func (n *denial) result(now time.Time) Result {
	r := Result{Remaining: n.remaining, RetryAfter: Never, ResetAfter: max(n.reset.Sub(now), 0)}
	if !n.never {
		r.RetryAfter = max(n.told.Sub(now), time.Microsecond)
	}
	return r
}

// Recall tells of a request that Take would deny, without asking the store: ok is
// false where that is not known, and the request has to be taken to it. Nothing is
// charged. It never denies what the store would admit, but for a store that has lost its
// state, or a share of a limit that is given back, and then for a second at most.
func (l *Limiter) Recall(charges []Charge) (Decision, bool) {
	if l.denials.idle() {
		return Decision{}, false
	}
	now := l.denials.now()
	var decision Decision
	var told Result
	var speaker *config.Limit
	for i := range charges {
		c := &charges[i]
		n := l.denials.find(c.Limit, bucketKey(c.Limit, c.Key, c.Allowance), c.tokens())
		if n == nil {
			continue
		}
		if r := n.result(now); speaker == nil || speaksBefore(r, told) {
			told, speaker = r, c.Limit
			decision = Decision{Limit: c.Limit.Name, Capacity: n.capacity, Remaining: r.Remaining, RetryAfter: r.RetryAfter, ResetAfter: r.ResetAfter}
		}
	}
	if speaker == nil {
		return Decision{}, false
	}
	l.decided(speaker, resultDenied)
	l.metrics.recalled.Inc()
	return decision, true
}
