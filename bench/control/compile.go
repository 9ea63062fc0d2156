package main

import (
	"context"
	"fmt"
	"time"
)

const (
	compileTimeGoal   = 2 * time.Second
	compileMemoryGoal = 1 << 30
)

// compile measures the compiler, and beside it the reading of the same config.
func (b *bench) compile(ctx context.Context) ([]row, error) {
	var rows []row
	for _, s := range b.compileRoutes {
		compiled, took, err := b.inChildren(ctx, "compile", s)
		if err != nil {
			return rows, err
		}
		compiled.what = "plan.Compile, from nothing"
		compiled.goal = fmt.Sprintf("max ≤ %s, peak ≤ %s", short(compileTimeGoal), mebibytes(compileMemoryGoal))
		compiled.met = compiled.times.max() <= compileTimeGoal && took.Peak <= compileMemoryGoal
		parsed, _, err := b.inChildren(ctx, "parse", s)
		if err != nil {
			return append(rows, compiled), err
		}
		parsed.what = "config.Parse of the same"
		rows = append(rows, compiled, parsed)
	}
	return rows, nil
}

// inChildren does a thing several times, each in a fresh process, and returns a
// row and the most memory that it took.
func (b *bench) inChildren(ctx context.Context, thing string, s size) (r row, most taken, err error) {
	b.say("%s: %v, %d times", thing, s, b.compileRuns)
	r.size, r.n = s.String(), b.compileRuns
	var costs samples
	for range b.compileRuns {
		t, err := inChild(ctx, thing, s)
		if err != nil {
			return r, most, err
		}
		r.times = append(r.times, t.Time)
		costs = append(costs, t.CPU)
		most = taken{Allocated: max(most.Allocated, t.Allocated), Peak: max(most.Peak, t.Peak)}
	}
	r.measured = fmt.Sprintf("%s of CPU (median), %s allocated, peak of the whole process %s",
		short(costs.median()), mebibytes(most.Allocated), mebibytes(most.Peak))
	return r, most, nil
}
