package ratelimit

import (
	"testing"
	"time"
)

// The six steps of README.md, with their numbers.
func TestReadmeSteps(t *testing.T) {
	b := bucketOf(t, 20, 10, time.Second)
	if want := (Bucket{capacity: 20, unit: 100_000, rate: 1}); b != want || b.full() != 2_000_000 {
		t.Fatalf("bucket %+v, want %+v", b, want)
	}
	var s State
	hourBack := 100_000 - time.Hour.Microseconds()
	tenth := 100 * time.Millisecond
	for i, step := range []struct {
		at, cost int64
		level    int64
		want     Result
	}{
		{0, 1, 1_900_000, Result{Allowed: true, Remaining: 19, ResetAfter: tenth}},
		{0, 19, 0, Result{Allowed: true, ResetAfter: 2 * time.Second}},
		{40_000, 1, 0, Result{RetryAfter: 60 * time.Millisecond, ResetAfter: 1960 * time.Millisecond}},
		{99_999, 1, 0, Result{RetryAfter: time.Microsecond, ResetAfter: 1900001 * time.Microsecond}},
		{100_000, 1, 0, Result{Allowed: true, ResetAfter: 2 * time.Second}},
		{hourBack, 1, 0, Result{RetryAfter: time.Hour + tenth, ResetAfter: time.Hour + 2*time.Second}},
		{2_100_000, 0, 2_000_000, Result{Allowed: true, Remaining: 20}},
	} {
		var got Result
		if s, got = Take(s, of(b, step.cost), step.at); got != step.want || s.Level != step.level {
			t.Errorf("step %d: %+v and level %d, want %+v and %d", i, got, s.Level, step.want, step.level)
		}
	}
}
