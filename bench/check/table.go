package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// The rows, by their names in the report.
const (
	noopDefault = "no-op, grpc-go as it comes"
	noopTuned   = "no-op, grpc-go with our options and heap"
	noopLoop    = "no-op, our port: no grpc-go, no message read"
	jwtSeen     = "JWT seen before"
	keySeen     = "API key in cache"
	jwtFresh    = "RS256 first seen"
)

// The goals.
const (
	mostOfNoop   = 1.25 // of the no-op's CPU
	mostOfBare   = 1.2  // of a bare verification, beside the no-op
	leastOfReqs  = 2.0  // of the default no-op's requests a second
	mostMallocs  = 15.0 // a call
	tableColumns = "| what | calls | CPU a call | req/s | p50 | p99 | allocations a call | beside | goal | met |\n|---|---|---|---|---|---|---|---|---|---|\n"
)

// table is the report of the rows.
func (b *bench) table(ctx context.Context, rows []*row) string {
	by := map[string]*row{}
	for _, r := range rows {
		by[r.what] = r
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n%s", rig.Machine(ctx), tableColumns)
	for _, r := range rows {
		beside, goal, met := "", "–", "–"
		switch r.what {
		case jwtSeen, keySeen:
			cpu := ratio(r, by[noopTuned], func(r round) float64 { return r.cpu })
			reqs := ratio(r, by[noopDefault], func(r round) float64 { return r.perSecond })
			mallocs := rig.Median(values(r, func(r round) float64 { return r.mallocs }))
			beside = fmt.Sprintf("%.2f of the tuned no-op's CPU, %.2f of the default no-op's; %.2f of its req/s", cpu,
				ratio(r, by[noopDefault], func(r round) float64 { return r.cpu }), reqs)
			goal = fmt.Sprintf("CPU ≤ %.2f of the tuned no-op; req/s ≥ %.0f of the default; allocations ≤ %.0f", mostOfNoop, leastOfReqs, mostMallocs)
			met = fmt.Sprintf("%s; %s; %s", rig.Yes(cpu <= mostOfNoop), rig.Yes(reqs >= leastOfReqs), rig.Yes(mallocs <= mostMallocs))
		case jwtFresh:
			var over []float64 // of a verification, in each round
			for i := range r.rounds {
				over = append(over, (r.rounds[i].cpu-by[noopTuned].rounds[i].cpu)/b.bare[i])
			}
			beside = fmt.Sprintf("crypto/rsa alone: %.1f µs; the no-op and %.2f of it", rig.Median(b.bare), rig.Median(over))
			goal = fmt.Sprintf("CPU ≤ the tuned no-op and %.1f of crypto/rsa", mostOfBare)
			met = rig.Yes(rig.Median(over) <= mostOfBare)
		}
		calls := 0
		var all []time.Duration
		for _, one := range r.rounds {
			calls += len(one.latencies)
			all = append(all, one.latencies...)
		}
		cpus := values(r, func(r round) float64 { return r.cpu })
		fmt.Fprintf(&out, "| %s | %d | %.1f µs (%.1f to %.1f) | %.0f | %s | %s | %.1f | %s | %s | %s |\n", r.what, calls,
			rig.Median(cpus), slices.Min(cpus), slices.Max(cpus), rig.Median(values(r, func(r round) float64 { return r.perSecond })),
			rig.Quantile(all, 0.5), rig.Quantile(all, 0.99), rig.Median(values(r, func(r round) float64 { return r.mallocs })), beside, goal, met)
	}
	return out.String()
}

// ratio is the median of the ratios within the rounds.
func ratio(r, other *row, of func(round) float64) float64 {
	return rig.Ratio(values(r, of), values(other, of))
}

func values(r *row, of func(round) float64) []float64 {
	var out []float64
	for _, one := range r.rounds {
		out = append(out, of(one))
	}
	return out
}
