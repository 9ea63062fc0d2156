package ratelimit

// Envoys tells how many Envoys this instance has, and returns how many there are over
// all instances that share its Redis. What the others have is what they have said last:
// they say it every second, and one that says nothing is believed for five. Without a
// Redis, and until it has answered, there are no others.
func (l *Limiter) Envoys(here int) int {
	if l.live == nil {
		return here
	}
	l.live.envoys.Store(int64(here))
	return here + int(l.live.others.Load())
}
