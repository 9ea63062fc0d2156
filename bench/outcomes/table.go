package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// mostCPU is the goal: µs of CPU in the Go process for a request.
const mostCPU = 5.0

const columns = "\n| what | entries a message | outcomes | a second | CPU of an outcome | goal | met |\n|---|---|---|---|---|---|---|\n"

// table is the report of the rows.
func table(all []*row) string {
	var out strings.Builder
	out.WriteString(columns)
	for _, r := range all {
		cpus := r.values(func(one round) float64 { return one.cpu })
		outcomes := 0
		for _, one := range r.rounds {
			outcomes += one.outcomes
		}
		fmt.Fprintf(&out, "| %s | %d | %d | %.0f | %.2f µs (%.2f to %.2f) | ≤ %.0f µs | %s |\n", r.what, r.entries, outcomes,
			rig.Median(r.values(func(one round) float64 { return one.perSecond })),
			rig.Median(cpus), slices.Min(cpus), slices.Max(cpus), mostCPU, rig.Yes(rig.Median(cpus) <= mostCPU))
	}
	return out.String()
}

func (r *row) values(of func(round) float64) (out []float64) {
	for _, one := range r.rounds {
		out = append(out, of(one))
	}
	return out
}
