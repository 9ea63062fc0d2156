package rollout

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQuantilesAreTrueToATenth compares with the sorted list.
func TestQuantilesAreTrueToATenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(int64(firstBucket), int64(5*time.Minute)), 1, 200).Draw(t, "latencies")
		var h Histogram
		for _, d := range all {
			h.Observe(time.Duration(d))
		}
		slices.Sort(all)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		if got := h.Quantile(q); int64(got) < want || float64(got) > float64(want)*growth+1 {
			t.Errorf("quantile %g: %s, want %s", q, got, time.Duration(want))
		}
	})
}

func TestHistogramEnds(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Quantile(0.99) != 0 {
		t.Error("none has a quantile")
	}
	for _, d := range []time.Duration{-1, 0, firstBucket, math.MaxInt64} {
		h.Observe(d)
	}
	if h[0] != 3 || h[buckets-1] != 1 || h.Count() != 4 || h.above(0) != 1 || h.above(buckets-1) != 0 {
		t.Errorf("got %v", h)
	}
	for i, b := range bounds {
		if bucketOf(b) != i {
			t.Errorf("%s is in class %d, want %d", b, bucketOf(b), i)
		}
	}
	data, err := json.Marshal(h)
	var read Histogram
	if err != nil || json.Unmarshal(data, &read) != nil || read != h {
		t.Errorf("%s is read as %v, %v", data, read, err)
	}
	for _, bad := range []string{`{"160": 1}`, `{"-1": 1}`, `[]`, `{"1": -1}`} {
		if json.Unmarshal([]byte(bad), &read) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
