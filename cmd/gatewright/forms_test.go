package main

import (
	"slices"
	"testing"
	"time"

	"github.com/gatewright/gatewright/xds"
)

// TestFormsOverlap: while connections of a listener's old form drain, it is
// served beside the new one; and there is no way back, but where there must be.
func TestFormsOverlap(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var f forms
	for i, step := range []struct {
		suits, want xds.Form
		after       time.Duration
		also        []xds.Form
		onlyTable   bool
	}{
		{xds.Table, xds.Table, 0, nil, false},
		{xds.Scoped, xds.Scoped, time.Minute, []xds.Form{xds.Table}, false},
		{xds.Scoped, xds.Scoped, drainGrace - time.Second, []xds.Form{xds.Table}, false},
		{xds.Table, xds.Scoped, 2 * time.Second, nil, false},
		{xds.Table, xds.Scoped, time.Hour, nil, false},
		{xds.Table, xds.Table, time.Hour, []xds.Form{xds.Scoped}, true},
		{xds.Table, xds.Table, time.Minute, []xds.Form{xds.Scoped}, true},
		{xds.Scoped, xds.Scoped, time.Minute, []xds.Form{xds.Table}, false},
	} {
		now = now.Add(step.after)
		form, also := f.next(step.suits, step.onlyTable, now)
		if form != step.want || !slices.Equal(also, step.also) {
			t.Errorf("step %d: %s beside %v, want %s beside %v", i, form, also, step.want, step.also)
		}
	}
}
