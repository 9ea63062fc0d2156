package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// The rows, by their names in the report; those of rivals have names of their own.
const (
	bare           = "bare Envoy"
	public         = "Gatewright: a public route"
	jwtInEnvoy     = "JWT, scope and claims in Envoy"
	limitInEnvoy   = "the same and a limit of each user in Envoy"
	jwtByModule    = "JWT, scope and claims, remembered by the module in Envoy"
	limitByModule  = "the same and a limit of each user in Envoy, beside the module"
	jwtByHop       = "JWT, scope and claims by a call"
	limitByHop     = "the same and a limit of each user by a call"
	exactByHop     = "the same, the limit exact, in Redis"
	byFilters      = "JWT, scope and claims by filters of an Envoy without Gatewright"
	limitByFilters = byFilters + ", a limit of each user by one more"

	// quietly is what the name of a row adds where nothing is told of requests.
	quietly = ", nothing told"
)

// The goals.
const (
	leastOfBare = 0.70 // of its requests a second
	leastOfHop  = 1.5
	mostOfBare  = 1.5 // of its CPU
)

const tableColumns = "| what | requests | CPU a request: Envoy + beside it | req/s | p50 | p99 | asked | of bare: req/s, CPU | of the public route | goal | met |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|\n"

// table is the report.
func (b *bench) table(ctx context.Context) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s; %d rounds of %s\n\n%s", rig.Machine(ctx), b.rounds, b.time, tableColumns)
	for _, r := range b.rows {
		goal, met := "–", "–"
		switch r.what {
		case limitInEnvoy, limitByModule:
			goal, met = b.judged(r, b.row(limitByHop))
		case limitInEnvoy + quietly, limitByModule + quietly:
			goal, met = b.judged(r, b.row(limitByHop+quietly))
		}
		var all []time.Duration
		for _, one := range r.rounds {
			all = append(all, one.latencies...)
		}
		cpus := r.values(round.cpu)
		fmt.Fprintf(&out, "| %s | %d | %.1f + %.1f µs (%.1f to %.1f) | %.0f | %s | %s | %.2f | %s | %s | %s | %s |\n", r.what, len(all),
			rig.Median(r.values(func(r round) float64 { return r.envoy })), rig.Median(r.values(func(r round) float64 { return r.beside })),
			slices.Min(cpus), slices.Max(cpus), rig.Median(r.values(requests)), rig.Quantile(all, 0.5), rig.Quantile(all, 0.99),
			rig.Median(r.values(func(r round) float64 { return r.asked })), r.besideRow(b.row(bare)), r.besideRow(b.row(public)), goal, met)
	}
	return out.String()
}

// judged says what a row is to be that the goals are of, and whether it is.
func (b *bench) judged(r, byHop *row) (goal, met string) {
	least, hop, cpu := r.ratio(b.row(bare), requests), r.ratio(byHop, requests), r.ratio(b.row(bare), round.cpu)
	return fmt.Sprintf("req/s ≥ %.2f of bare; ≥ %.1f of the call's (%.2f); CPU ≤ %.1f of bare", leastOfBare, leastOfHop, hop, mostOfBare),
		fmt.Sprintf("%s; %s; %s", rig.Yes(least >= leastOfBare), rig.Yes(hop >= leastOfHop), rig.Yes(cpu <= mostOfBare))
}

// besideRow is what a row has of another's requests a second and CPU.
func (r *row) besideRow(other *row) string {
	return fmt.Sprintf("%.2f, %.2f", r.ratio(other, requests), r.ratio(other, round.cpu))
}

// row is the one of a name, which there is.
func (b *bench) row(what string) *row {
	return b.rows[slices.IndexFunc(b.rows, func(r *row) bool { return r.what == what })]
}

func requests(r round) float64 { return r.perSecond }

// ratio is the median of the ratios within the rounds.
func (r *row) ratio(other *row, of func(round) float64) float64 {
	return rig.Ratio(r.values(of), other.values(of))
}

func (r *row) values(of func(round) float64) []float64 {
	var out []float64
	for _, one := range r.rounds {
		out = append(out, of(one))
	}
	return out
}
