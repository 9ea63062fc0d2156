package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
)

// The goals, beside the rival.
const (
	exactReqs     = 3.0      // least of its requests a second
	exactCPU      = 1.0 / 3  // most of its CPU
	leaseReqs     = 5.0      // least of its requests a second
	leaseCommands = 1.0 / 10 // most of its commands of Redis
)

const columns = "\n| what | descriptors | decisions | req/s | p50 | p99 | CPU a decision: Go + Redis | Redis commands a decision | beside each rival | goal | met |\n|---|---|---|---|---|---|---|---|---|---|---|\n"

// table is the report of the rows.
func table(rows []*row) string {
	var out strings.Builder
	out.WriteString(columns)
	for _, r := range rows {
		var all []time.Duration
		for _, one := range r.rounds {
			all = append(all, one.latencies...)
		}
		rivals := slices.DeleteFunc(slices.Clone(rows), func(other *row) bool { return other.of != kindRival || other.descriptors != r.descriptors })
		beside, goal, met := "–", "–", "–"
		if len(rivals) > 0 && r.of != kindRival {
			beside, goal, met = judged(r, rivals)
		}
		cpus := r.values(round.allCPU)
		fmt.Fprintf(&out, "| %s | %d | %d | %.0f | %s | %s | %.1f + %.1f µs (%.1f to %.1f) | %.2f | %s | %s | %s |\n", r.what, r.descriptors, len(all),
			rig.Median(r.values(round.reqs)), rig.Quantile(all, 0.5), rig.Quantile(all, 0.99),
			rig.Median(r.values(func(r round) float64 { return r.cpu })), rig.Median(r.values(func(r round) float64 { return r.redisCPU })),
			slices.Min(cpus), slices.Max(cpus), rig.Median(r.values(round.allCommands)), beside, goal, met)
	}
	return out.String()
}

// judged says what a row is beside the rivals, what it is to be beside each, and
// whether it is.
func judged(r *row, rivals []*row) (beside, goal, met string) {
	var all []string
	enough, cheap, quiet := true, true, true
	least := exactReqs
	if r.of == kind(config.Lease) {
		least = leaseReqs
	}
	for _, other := range rivals {
		ratio := func(of func(round) float64) float64 { return rig.Ratio(r.values(of), other.values(of)) }
		reqs, cpu, commands := ratio(round.reqs), ratio(round.allCPU), ratio(round.allCommands)
		all = append(all, fmt.Sprintf("%.1f of its req/s, %.2f of its CPU, %.3f of its commands", reqs, cpu, commands))
		enough, cheap, quiet = enough && reqs >= least, cheap && cpu <= exactCPU, quiet && commands <= leaseCommands
	}
	beside = strings.Join(all, "; ")
	switch r.of {
	case kind(config.Exact):
		return beside, fmt.Sprintf("req/s ≥ %.0f; CPU ≤ %.2f", exactReqs, exactCPU), rig.Yes(enough) + "; " + rig.Yes(cheap)
	case kind(config.Lease):
		return beside, fmt.Sprintf("req/s ≥ %.0f; commands ≤ %.2f", leaseReqs, leaseCommands), rig.Yes(enough) + "; " + rig.Yes(quiet)
	}
	return beside, "–", "–"
}

func (r round) reqs() float64        { return r.perSecond }
func (r round) allCommands() float64 { return r.commands }
func (r round) allCPU() float64      { return r.cpu + r.redisCPU }

func (r *row) values(of func(round) float64) []float64 {
	var out []float64
	for _, one := range r.rounds {
		out = append(out, of(one))
	}
	return out
}
