package rig

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := Median([]float64{3, 1, 2}); got != 2 {
		t.Error(got)
	}
	if got := Ratio([]float64{3, 1, 8}, []float64{1, 1, 4}); got != 2 {
		t.Error(got)
	}
	if got := Quantile([]time.Duration{4e7, 1e7, 2e7, 3e7}, 0.5); got != 2e7 {
		t.Error(got)
	}
}
