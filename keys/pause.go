package keys

import "time"

const (
	// firstPause is how long a Redis that failed is left alone. It doubles with
	// each failure in a row, up to longestPause.
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// pause leaves what fails alone for a while. The zero value has seen no
// failure. It has one user at a time.
type pause struct {
	length time.Duration // 0: the last use worked
	until  time.Time
}

// over reports whether it may be used now.
func (p *pause) over(now time.Time) bool { return p.length == 0 || !now.Before(p.until) }

// failed notes a failure, and reports whether it is the first of a row.
func (p *pause) failed(now time.Time) (first bool) {
	first = p.length == 0
	p.length = max(firstPause, min(2*p.length, longestPause))
	p.until = now.Add(p.length)
	return first
}

// worked ends the row, and reports whether there was one.
func (p *pause) worked() (again bool) {
	again = p.length > 0
	*p = pause{}
	return again
}
