package rollout

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

const (
	// buckets is how many classes of latency are told apart. The last one has all
	// that took longer than the one before it.
	buckets = 160
	// firstBucket is the upper bound of the first class.
	firstBucket = 100 * time.Microsecond
	// growth is how much the bound of a class is above that of the class before it,
	// so that a quantile is known to a tenth. 100 µs × 1.1^158 is some six minutes.
	growth = 1.1
)

// Histogram counts latencies in classes that are the same in every process, so
// that those of several can be added. The zero value has none.
type Histogram [buckets]uint64

// bounds are the upper bounds of the classes; a latency that equals a bound is in
// the class below it.
var bounds = func() (out [buckets]time.Duration) {
	for i := range out {
		out[i] = time.Duration(math.Round(float64(firstBucket) * math.Pow(growth, float64(i))))
	}
	out[buckets-1] = math.MaxInt64
	return out
}()

// bucketOf is the class of a latency.
func bucketOf(d time.Duration) int {
	if d <= firstBucket {
		return 0
	}
	i := min(int(math.Log(float64(d)/float64(firstBucket))/math.Log(growth)), buckets-1)
	// The logarithm may be off by one at a bound.
	for i > 0 && d <= bounds[i-1] {
		i--
	}
	for d > bounds[i] {
		i++
	}
	return i
}

// Observe counts a latency.
func (h *Histogram) Observe(d time.Duration) { h[bucketOf(d)]++ }

// Count is how many there are.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h {
		n += c
	}
	return n
}

// rank is the class in which the share q of the latencies ends, and false where
// there are none.
func (h *Histogram) rank(q float64) (bucket int, ok bool) {
	n := h.Count()
	if n == 0 {
		return 0, false
	}
	wanted := uint64(math.Ceil(q * float64(n)))
	var sum uint64
	for i, c := range h {
		if sum += c; sum >= wanted && sum > 0 {
			return i, true
		}
	}
	return buckets - 1, true
}

// Quantile is a bound that the share q of the latencies does not exceed, to a
// tenth. 0 where there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	i, ok := h.rank(q)
	switch {
	case !ok:
		return 0
	case i == buckets-1: // it has no bound
		return bounds[i-1]
	}
	return bounds[i]
}

// above is how many are in classes over the one given.
func (h *Histogram) above(bucket int) (n uint64) {
	for _, c := range h[bucket+1:] {
		n += c
	}
	return n
}

// add adds what another has.
func (h *Histogram) add(other *Histogram) {
	for i, c := range other {
		h[i] += c
	}
}

// halve forgets half of what there is.
func (h *Histogram) halve() {
	for i := range h {
		h[i] /= 2
	}
}

// MarshalJSON writes the classes that have any: {"12": 3}.
func (h Histogram) MarshalJSON() ([]byte, error) {
	some := map[int]uint64{}
	for i, c := range h {
		if c > 0 {
			some[i] = c
		}
	}
	return json.Marshal(some)
}

// UnmarshalJSON reads what MarshalJSON writes, and no class that there is not.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var some map[int]uint64
	if err := json.Unmarshal(data, &some); err != nil {
		return err
	}
	*h = Histogram{}
	for i, c := range some {
		if i < 0 || i >= buckets {
			return fmt.Errorf("latency class %d, must be 0 to %d", i, buckets-1)
		}
		h[i] = c
	}
	return nil
}
