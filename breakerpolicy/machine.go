package breakerpolicy

const (
	// holdFor is how long an instance may keep a probe that no request has taken
	// without saying so again, in milliseconds. A request that takes it at the end
	// of that time still has the whole lease.
	holdFor = 1000
	// wantFor is how long the wish of another instance for a probe is good.
	wantFor = 1000
	// silence is for how long nobody has reported when the store was out of reach
	// for all: instances that have a breaker in use report every second.
	silence = 3000
	// takeoverFor is how long after that what an instance has done alone counts.
	takeoverFor = 15_000
)

// machine is the state of a breaker, and all there is to know of it: three states,
// and a generation that each transition raises. It has no clock: every time is
// given, in milliseconds, and none is ever earlier than one before, since a clock
// that is set back moves all times with it.
//
// The zero value is closed, in generation 0. In Redis it is kept by these
// names, and breaker.lua does the same.
type machine struct {
	Gen   int64 `json:"gen"`
	State State `json:"state"`
	// Since is when the generation began. Until is when an open breaker may be
	// probed.
	Since int64 `json:"since"`
	Until int64 `json:"until"`
	// Trips is how many times it has opened since it was last closed, and Streak
	// how many probes in a row have succeeded.
	Trips  int64 `json:"trips"`
	Streak int64 `json:"streak"`
	// Reopened: it was closed by probes, and not by an operator.
	Reopened bool  `json:"reopened,omitempty"`
	Forced   Force `json:"forced,omitempty"` // empty for Auto
	// Slots are the window of a closed breaker. Tripped is the one that opened it
	// last.
	Slots   window `json:"slots,omitempty"`
	Tripped tally  `json:"tripped"`
	// Probe is the one that is out or held; nil where none is.
	Probe *probe `json:"probe,omitempty"`
	// Wanted is the instance that asked in vain for a probe last, at Asked.
	Wanted string `json:"wanted,omitempty"`
	Asked  int64  `json:"asked,omitempty"`
	// Heard is when somebody has reported last. Silent and Resumed are the
	// beginning and the end of the last time in which nobody could.
	Heard   int64 `json:"heard"`
	Silent  int64 `json:"silent"`
	Resumed int64 `json:"resumed"`
}

// probe is the right to send one request to a backend that is left alone.
type probe struct {
	ID   string `json:"id"`
	By   string `json:"by"`   // the instance that has it
	Ends int64  `json:"ends"` // when its lease does
}

// report takes in what an instance says, and answers it. A report makes at most one
// transition.
func (m *machine) report(by string, r *report, now int64) reply {
	now = m.hear(now)
	m.adopt(&r.Offer, now)
	var made *transition
	steps := []func() *transition{
		func() *transition { return m.obey(r, now) },
		func() *transition { return m.conclude(by, r, now) },
		func() *transition { return m.count(r, now) },
		func() *transition { return m.awake(r, now) },
	}
	for _, step := range steps {
		if made = step(); made != nil {
			break
		}
	}
	granted, yield := m.grant(by, r, now)
	return m.reply(r, now, granted, yield, made)
}

// hear notes when somebody reports, and returns the time by m's clock.
func (m *machine) hear(now int64) int64 {
	if m.State == "" {
		m.State = StateClosed
	}
	if back := m.Heard - now; back > 0 {
		m.move(back)
	}
	if now-m.Heard > silence {
		m.Silent, m.Resumed = m.Heard, now
	}
	m.Heard = now
	return now
}

// move makes all times earlier: the clock was set back.
func (m *machine) move(by int64) {
	m.Since -= by
	m.Until -= by
	m.Heard -= by
	m.Silent -= by
	m.Resumed -= by
	m.Slots = m.Slots.moved(by)
	if m.Wanted != "" {
		m.Asked -= by
	}
	if m.Probe != nil {
		m.Probe.Ends -= by
	}
}

// adopt takes over what an instance knows of a later generation. What a store has
// said itself it must have lost since: a restart, a failover. What an instance has
// done alone counts where no other was heard at that time, for then all were alone;
// otherwise those who had the store know better than the one that had not.
func (m *machine) adopt(o *offer, now int64) {
	if o.Gen <= m.Gen {
		return
	}
	at := now - o.Age
	alone := at >= m.Silent && at <= m.Resumed && now-m.Resumed <= takeoverFor
	if !o.Told && !alone {
		return
	}
	m.Gen, m.State, m.Forced = o.Gen, o.State, o.Forced
	m.Since, m.Until = at, now+o.In
	m.Trips, m.Streak, m.Reopened, m.Tripped = o.Trips, o.Streak, o.Reopened, o.Tripped
	m.Slots, m.Probe = nil, nil
	if o.Probe != "" {
		m.Probe = &probe{o.Probe, o.By, now + o.ProbeIn}
	}
}

// obey does what an operator asks for. A breaker that is no longer kept open is
// probed before it closes; one that is no longer kept closed begins to count.
func (m *machine) obey(r *report, now int64) *transition {
	asked := r.Force
	if asked == "" || asked == m.Forced || asked == Auto && m.Forced == "" {
		return nil
	}
	if asked == Auto {
		asked = ""
	}
	to := StateClosed
	if asked == ForceOpen || m.Forced == ForceOpen && asked == "" {
		to = StateOpen
	}
	m.Forced, m.Trips, m.Tripped = asked, 0, tally{}
	return m.turn(to, byOperator, now, now)
}

// conclude takes in what has become of probes. Only the one that is out is of
// interest.
func (m *machine) conclude(by string, r *report, now int64) *transition {
	for _, v := range r.Results {
		if m.Probe == nil || m.Probe.ID != v.ID {
			continue
		}
		m.Probe = nil
		switch v.Verdict {
		case failed:
			m.Trips++
			return m.turn(StateOpen, probeFailed, now, now+r.Rules.openFor(m.Trips, r.Random))
		case succeeded:
			m.Streak++
			if m.Streak >= r.Rules.Probes {
				m.Trips = 0
				t := m.turn(StateClosed, probesSucceeded, now, 0)
				m.Reopened = true
				return t
			}
		}
	}
	if m.Probe != nil && m.Probe.ID == r.Back && m.Probe.By == by {
		m.Probe = nil
	}
	return nil
}

// count takes in how requests have ended, if they are of this generation, and opens
// a breaker of which too many have failed.
func (m *machine) count(r *report, now int64) *transition {
	if m.State != StateClosed {
		return nil
	}
	m.Slots = m.Slots.since(now-r.Rules.Window, r.Rules.Slot)
	if r.Gen != m.Gen {
		return nil
	}
	for _, c := range r.Counts {
		if c.At < r.Rules.Window {
			m.Slots = m.Slots.add(now-c.At, r.Rules.Slot, tally{c.Total, c.Failed})
		}
	}
	counts := m.Slots.sum()
	if m.Forced == ForceClosed || len(r.Counts) == 0 || !r.Rules.tooMany(counts) {
		return nil
	}
	m.Trips, m.Tripped = 1, counts
	return m.turn(StateOpen, tooManyFailures, now, now+r.Rules.openFor(1, r.Random))
}

// awake makes an open breaker half-open when its time is over and somebody would
// send a probe.
func (m *machine) awake(r *report, now int64) *transition {
	if m.State != StateOpen || m.Forced != "" || now < m.Until || r.Claim == unready {
		return nil
	}
	return m.turn(StateHalfOpen, timeOver, now, 0)
}

// turn begins the next generation.
func (m *machine) turn(to State, why reason, now, until int64) *transition {
	t := &transition{Gen: m.Gen + 1, From: m.State, To: to, Why: why, Open: max(until-now, 0), Trips: m.Trips}
	if why == tooManyFailures {
		t.Counts = m.Tripped
	}
	m.Gen++
	m.State, m.Since, m.Until = to, now, until
	m.Streak, m.Reopened = 0, false
	m.Slots, m.Probe, m.Wanted, m.Asked = nil, nil, "", 0
	return t
}

// grant gives out the one probe of a half-open breaker, or renews the hold on it.
func (m *machine) grant(by string, r *report, now int64) (granted string, yield bool) {
	if m.State != StateHalfOpen {
		return "", false
	}
	p := m.Probe
	switch {
	case p == nil, now >= p.Ends: // of one that is late a verdict still counts, until there is another
	case p.By == by && p.ID == r.Held:
		p.Ends = now + holdFor + r.Rules.Lease
		return p.ID, m.wantedBeside(by, now)
	case p.By == by && p.ID != r.Out:
		m.Probe = nil // the instance was never told of it: the answer was lost
	default:
		if p.By != by && r.Claim == wanting {
			m.Wanted, m.Asked = by, now
		}
		return "", false
	}
	if r.Claim == unready || m.wantedBeside(by, now) {
		return "", false
	}
	m.Probe = &probe{r.ID, by, now + holdFor + r.Rules.Lease}
	m.Wanted, m.Asked = "", 0
	return r.ID, false
}

// wantedBeside tells whether another instance has asked in vain for a probe.
func (m *machine) wantedBeside(by string, now int64) bool {
	return m.Wanted != "" && m.Wanted != by && now-m.Asked <= wantFor
}

func (m *machine) reply(r *report, now int64, granted string, yield bool, made *transition) reply {
	a := reply{
		offer: offer{
			Gen: m.Gen, State: m.State, Forced: m.Forced,
			Age: now - m.Since, In: max(m.Until-now, 0),
			Trips: m.Trips, Streak: m.Streak, Reopened: m.Reopened, Tripped: m.Tripped, Told: true,
		},
		Now: m.Slots.sum(), Granted: granted, Yield: yield, Made: made,
	}
	if m.Probe != nil {
		a.Probe, a.By, a.ProbeIn = m.Probe.ID, m.Probe.By, max(m.Probe.Ends-now, 0)
	}
	return a
}
