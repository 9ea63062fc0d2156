package breakerpolicy

import (
	"context"
	"math/rand/v2"
	"time"
)

// Times in milliseconds.
const (
	// reportEvery is how often a breaker in use is reported on: what has ended
	// meanwhile goes in one report.
	reportEvery = 50
	// leastGap is the least time between two reports on a breaker, however much
	// there is to tell.
	leastGap = 10
	// idleEvery is how often others are looked at, so that what an operator or
	// another instance has done is seen.
	idleEvery = 1000
	// restingEvery is how often those are looked at that nobody has asked for in a while,
	// so that their first request seldom comes to one that others know to be open.
	restingEvery = 5000
	// firstCoolDown is how long after a failure Redis is asked again. It doubles
	// each time, up to longestCoolDown.
	firstCoolDown   = 250
	longestCoolDown = 5000
	// mostInFlight bounds the breakers that a flight reports on: more than fit in
	// the time that Redis is waited for would never be answered together.
	mostInFlight = 500
)

// run reports on breakers until the context ends.
func (b *Breakers) run(ctx context.Context) {
	defer close(b.stopped)
	tick := time.NewTicker(reportEvery * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.hurry:
		}
		b.turn()
	}
}

// turn reports on the breakers whose time it is: those that are alone at once, since
// nothing is waited for; of the others, and of those that try to share again, at most
// one flight to Redis each is under way.
func (b *Breakers) turn() {
	var shared, back []*cell
	now := b.now()
	for _, c := range b.table.Load().all {
		retryAt, alone := c.isAlone()
		if alone && now >= retryAt && len(back) < mostInFlight {
			back = append(back, c)
		}
		switch {
		case !c.due(now):
		case alone:
			b.reportAlone(c)
		case !b.flying.Load() && len(shared) < mostInFlight && c.flight.TryLock():
			shared = append(shared, c)
		}
	}
	if len(shared) > 0 {
		b.flying.Store(true)
		b.flights.Go(func() {
			b.fly(shared)
			b.flying.Store(false)
			b.again(shared)
		})
	}
	if len(back) > 0 && b.returning.CompareAndSwap(false, true) {
		b.flights.Go(func() {
			defer b.returning.Store(false)
			b.exchange(back, toRedisAgain)
		})
	}
}

// again has the next turn begin at once where there is something to tell by now.
func (b *Breakers) again(cells []*cell) {
	for _, c := range cells {
		if c.hurry.Load() {
			b.wake()
			return
		}
	}
}

// reportAlone reports on one breaker to the machine in this process.
func (b *Breakers) reportAlone(c *cell) {
	if !c.flight.TryLock() {
		return // somebody does
	}
	defer c.flight.Unlock()
	b.tellLocal(c, toStore)
}

func (b *Breakers) tellLocal(c *cell, to target) {
	r := b.reportOn(c, to)
	sent := b.now()
	a := b.local.exchange(context.Background(), b.by, []ask{{c.name, r}})[0]
	b.took(c, r, &a.reply, sent, false)
}

// fly reports on breakers, whose flight the caller has locked, to Redis.
func (b *Breakers) fly(cells []*cell) {
	defer func() {
		for _, c := range cells {
			c.flight.Unlock()
		}
	}()
	b.exchange(cells, toStore)
}

// exchange reports to Redis. Those that it does not answer for go on alone.
func (b *Breakers) exchange(cells []*cell, to target) {
	asked := make([]ask, len(cells))
	for i, c := range cells {
		asked[i] = ask{c.name, b.reportOn(c, to)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	sent, begin := b.now(), time.Now()
	answers := b.redis.exchange(ctx, b.by, asked)
	b.metrics.seconds.Observe(time.Since(begin).Seconds())
	for i, a := range answers {
		if a.err != nil {
			b.metrics.errors.Inc()
			b.lost(cells[i], a.err)
			continue
		}
		b.took(cells[i], asked[i].report, &a.reply, sent, true)
	}
}

// lost has a breaker go on without Redis, from where it is.
func (b *Breakers) lost(c *cell, err error) {
	if !c.goAlone(b.now()) {
		return
	}
	if b.lonely.Add(1) == 1 {
		b.log.Warn("Redis does not answer; this instance keeps breakers alone", "breaker", c.name, "error", err)
	}
	b.local.forget(c.name)
	b.tellLocal(c, toNewMachine)
}

func (b *Breakers) reportOn(c *cell, to target) *report {
	return c.report(to, b.probeID(), rand.Int64N(million+1), b.now(), !b.closing.Load())
}

// took takes in an answer, and tells of what has changed.
func (b *Breakers) took(c *cell, r *report, a *reply, sent int64, shared bool) {
	t := c.take(r, a, sent, b.now(), shared)
	if t.returned && b.lonely.Add(-1) == 0 {
		b.log.Info("Redis answers again; breakers are shared", "breaker", c.name)
	}
	if t.wake {
		b.wake()
	}
	b.tell(c, t, a.Made)
}

// leave reports on every breaker for the last time: nothing is claimed any more, and
// what is held is given back.
func (b *Breakers) leave() {
	var shared []*cell
	for _, c := range b.table.Load().all {
		if _, alone := c.isAlone(); alone {
			continue
		}
		if c.giveBack() {
			c.flight.Lock()
			shared = append(shared, c)
		}
	}
	if len(shared) > 0 {
		b.fly(shared)
	}
}
