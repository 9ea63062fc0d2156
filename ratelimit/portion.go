package ratelimit

import "math"

// portion is what one of n instances counts of a limit while there is nobody to
// count for all: an nth of what it admits, at an nth of its rate, and at least one.
type portion struct {
	Definition
	whole Definition
}

// portionOf is the portion of d for one of n instances.
func portionOf(d Definition, n int64) Definition {
	if n <= 1 {
		return d
	}
	p := portion{whole: d}
	switch d := d.(type) {
	case Bucket:
		p.Definition = d.part(n)
	case slidingWindow:
		d.limit = max(d.limit/n, 1)
		p.Definition = d
	case slidingLog:
		d.limit = max(d.limit/n, 1)
		p.Definition = d
	case counter:
		d.limit = max(d.limit/n, 1)
		p.Definition = d
	case portion:
		return portionOf(d.whole, n)
	default:
		return d
	}
	return p
}

// wholeOf is the definition that d is a portion of, or d.
func wholeOf(d Definition) Definition {
	if p, ok := d.(portion); ok {
		return p.whole
	}
	return d
}

// inner is the definition that is counted by.
func inner(d Definition) Definition {
	if p, ok := d.(portion); ok {
		return p.Definition
	}
	return d
}

// part is an nth of b. A token has n times the parts, of which a microsecond adds
// as many as before.
func (b Bucket) part(n int64) Bucket {
	p := Bucket{capacity: max(b.capacity/n, 1), unit: b.unit, rate: b.rate}
	if most := min(maxExact/p.capacity, maxExact/2); n <= most/b.unit {
		p.unit *= n
	} else { // it holds one token then, and is counted less finely
		p.rate = max(b.rate/n, 1)
	}
	g := gcd(p.unit, p.rate)
	p.unit, p.rate = p.unit/g, p.rate/g
	p.rate = min(p.rate, p.full())
	return p
}

// owed is how much d lacks in state s at time now: what has been taken and not come
// back, rounded up to whole requests. Requests in flight end where they are counted,
// and owe nothing.
func owed(d Definition, s State, now int64) int64 {
	switch d := inner(d).(type) {
	case Bucket:
		return ceilDiv(d.full()-d.at(s, now).Level, d.unit)
	case slidingLog:
		if d.flights {
			return 0
		}
		return int64(len(d.at(s, now).Entries))
	default:
		return int64(math.Ceil(d.forgives(s, now)))
	}
}
