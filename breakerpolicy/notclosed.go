package breakerpolicy

// NotClosed are the backends of which some breaker is not closed, or lets only a share of
// the requests pass since it closed. It is for who asks about no request while all of
// them are closed: breakers that are looked at by this are kept as current, by the
// others of the fleet, as those that requests ask about.
func (b *Breakers) NotClosed() map[string]bool {
	t, now := b.table.Load(), b.now()
	out := map[string]bool{}
	late := false
	for _, c := range t.byName {
		v, l := c.view.Load(), c.law.Load()
		if now-c.asked.Load() > activeFor/8 {
			c.asked.Store(now)
		}
		if v.shared && now-v.at > staleAfter {
			late = c.hasten(now) || late
		}
		if v.State != StateClosed || v.share(now, l.ramp) < whole {
			out[l.Backend] = true
		}
	}
	if late {
		b.wake()
	}
	return out
}
