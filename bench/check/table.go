package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
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
	fmt.Fprintf(&out, "%s\n\n%s", machine(ctx), tableColumns)
	for _, r := range rows {
		beside, goal, met := "", "–", "–"
		switch r.what {
		case jwtSeen, keySeen:
			cpu := ratio(r, by[noopTuned], func(r round) float64 { return r.cpu })
			reqs := ratio(r, by[noopDefault], func(r round) float64 { return r.perSecond })
			mallocs := median(values(r, func(r round) float64 { return r.mallocs }))
			beside = fmt.Sprintf("%.2f of the tuned no-op's CPU, %.2f of the default no-op's; %.2f of its req/s", cpu,
				ratio(r, by[noopDefault], func(r round) float64 { return r.cpu }), reqs)
			goal = fmt.Sprintf("CPU ≤ %.2f of the tuned no-op; req/s ≥ %.0f of the default; allocations ≤ %.0f", mostOfNoop, leastOfReqs, mostMallocs)
			met = fmt.Sprintf("%s; %s; %s", yes(cpu <= mostOfNoop), yes(reqs >= leastOfReqs), yes(mallocs <= mostMallocs))
		case jwtFresh:
			var over []float64 // of a verification, in each round
			for i := range r.rounds {
				over = append(over, (r.rounds[i].cpu-by[noopTuned].rounds[i].cpu)/b.bare[i])
			}
			beside = fmt.Sprintf("crypto/rsa alone: %.1f µs; the no-op and %.2f of it", median(b.bare), median(over))
			goal = fmt.Sprintf("CPU ≤ the tuned no-op and %.1f of crypto/rsa", mostOfBare)
			met = yes(median(over) <= mostOfBare)
		}
		calls := 0
		var all []time.Duration
		for _, one := range r.rounds {
			calls += len(one.latencies)
			all = append(all, one.latencies...)
		}
		cpus := values(r, func(r round) float64 { return r.cpu })
		fmt.Fprintf(&out, "| %s | %d | %.1f µs (%.1f to %.1f) | %.0f | %s | %s | %.1f | %s | %s | %s |\n", r.what, calls,
			median(cpus), slices.Min(cpus), slices.Max(cpus), median(values(r, func(r round) float64 { return r.perSecond })),
			quantile(all, 0.5), quantile(all, 0.99), median(values(r, func(r round) float64 { return r.mallocs })), beside, goal, met)
	}
	return out.String()
}

// ratio is the median of the ratios within the rounds: a machine is not as fast
// in one moment as in the next.
func ratio(r, other *row, of func(round) float64) float64 {
	var all []float64
	for i := range r.rounds {
		all = append(all, of(r.rounds[i])/of(other.rounds[i]))
	}
	return median(all)
}

func values(r *row, of func(round) float64) []float64 {
	var out []float64
	for _, one := range r.rounds {
		out = append(out, of(one))
	}
	return out
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)/2]
}

// quantile is the smallest that a share of all does not exceed.
func quantile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)].Round(10 * time.Microsecond)
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

// machine is what was measured, and on what.
func machine(ctx context.Context) string {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	return fmt.Sprintf("%s · %d cores, load average %s at the end (all of this included) · %s, gatewright %s",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), strings.Fields(string(load))[0], runtime.Version(), strings.TrimSpace(string(commit)))
}
