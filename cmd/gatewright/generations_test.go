package main

import (
	"slices"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/plan"
)

func TestPlansAreKeptWhileEnvoysMayAskByThem(t *testing.T) {
	a, b, c, d := &plan.Plan{Version: "a"}, &plan.Plan{Version: "b"}, &plan.Plan{Version: "c"}, &plan.Plan{Version: "d"}
	start := time.Unix(1_000_000, 0)
	var g generations
	kept := func(current *plan.Plan, want ...*plan.Plan) {
		t.Helper()
		if got := g.with(current); !slices.Equal(got, append([]*plan.Plan{current}, want...)) {
			t.Errorf("kept %v, want %v", versions(got), versions(want))
		}
	}
	g.retire(nil, nil)
	kept(a)
	g.retire(a, nil)
	kept(b, a)

	g.settled(start)
	kept(b, a) // requests of a may still be on their way
	g.retire(b, nil)
	kept(c, b, a)
	g.settled(start.Add(planGrace))
	kept(c, b, a)
	g.settled(start.Add(planGrace + 1))
	kept(c, b)

	g.retire(c, nil) // not acknowledged by all: kept however long it takes
	kept(d, c, b)
	g.settled(start.Add(24 * time.Hour))
	kept(d, c)
	g.settled(start.Add(48 * time.Hour))
	kept(d)
}

func versions(plans []*plan.Plan) []string {
	var out []string
	for _, p := range plans {
		out = append(out, p.Version)
	}
	return out
}
