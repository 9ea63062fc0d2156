package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// samples are measured times, in any order.
type samples []time.Duration

// quantile is the smallest sample that a share q of all does not exceed; of a
// hundred, the p99 is the second largest. It is 0 of none.
func (s samples) quantile(q float64) time.Duration { return quantile(s, q) }

// with is the samples and one more, or as they are after an error.
func (s samples) with(d time.Duration, err error) (samples, error) {
	if err != nil {
		return s, err
	}
	return append(s, d), nil
}

func (s samples) median() time.Duration { return s.quantile(0.5) }
func (s samples) p99() time.Duration    { return s.quantile(0.99) }
func (s samples) max() time.Duration    { return s.quantile(1) }

func quantile[T cmp.Ordered](values []T, q float64) T {
	var none T
	if len(values) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// short is a time with three digits, as 18.4 ms.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	default:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	}
}

// mebibytes is a size in memory.
func mebibytes(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
