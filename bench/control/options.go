package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// options are what is measured, and how large. Each is a flag.
type options struct {
	rows   string
	output string

	lookupRoutes      sizes
	lookupRounds      int
	lookupTime        time.Duration
	lookupConnections int

	changeRoutes     sizes
	changes          int
	largeChanges     int
	fileChanges      int
	largeFileChanges int

	churn      int
	churnBatch int
	edits      int

	compileRoutes sizes
	compileRuns   int

	envoys       counts
	envoysRoutes size
	envoysSteady time.Duration
}

// largeFrom is how many routes make a size of which fewer changes are measured.
const largeFrom = 50_000

// fullSize is what the goals ask for, in well under 12 minutes on two cores.
func fullSize() options {
	return options{
		rows:              strings.Join(rowNames(), ","),
		lookupRoutes:      sizes{{routes: 10, hosts: 1}, {routes: 1000, hosts: 1}, {routes: 10_000, hosts: 1}, {routes: 100_000, hosts: 1}, {routes: 1000, hosts: 10}, {routes: 100_000, hosts: 1000}},
		lookupRounds:      10,
		lookupTime:        time.Second,
		lookupConnections: 8,
		changeRoutes:      sizes{{routes: 1000, hosts: 1}, {routes: 10_000, hosts: 100}, {routes: 100_000, hosts: 1000}, {routes: 10_000, hosts: 1}, {routes: 10_000, hosts: 100, policies: 20}},
		changes:           100,
		largeChanges:      30,
		fileChanges:       30,
		largeFileChanges:  10,
		churn:             3000,
		churnBatch:        30,
		edits:             200,
		compileRoutes:     sizes{{routes: 100_000, hosts: 1}, {routes: 100_000, hosts: 1000}},
		compileRuns:       5,
		envoys:            counts{1, 10, 50, 200},
		envoysRoutes:      size{routes: 10_000, hosts: 100},
		envoysSteady:      3 * time.Second,
	}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.rows, "rows", o.rows, "which `rows` to measure")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")

	flags.Var(&o.lookupRoutes, "lookup", "lookup: the tables, as `ROUTES/HOSTS,…`")
	flags.IntVar(&o.lookupRounds, "lookup-rounds", o.lookupRounds, "lookup: how many times each table is measured in turn")
	flags.DurationVar(&o.lookupTime, "lookup-time", o.lookupTime, "lookup: how long one table is loaded in one round")
	flags.IntVar(&o.lookupConnections, "lookup-connections", o.lookupConnections, "lookup: connections of the load")

	flags.Var(&o.changeRoutes, "change", "change: the tables, as `ROUTES/HOSTS/POLICIES,…`, of which the last may be left out")
	flags.IntVar(&o.changes, "changes", o.changes, "change: how many changes of a table")
	flags.IntVar(&o.largeChanges, "changes-large", o.largeChanges, fmt.Sprintf("change: how many of a table of %d routes or more", largeFrom))
	flags.IntVar(&o.fileChanges, "changes-file", o.fileChanges, "change: how many by the config file, and by Envoy alone")
	flags.IntVar(&o.largeFileChanges, "changes-file-large", o.largeFileChanges, fmt.Sprintf("change: how many of those of a table of %d routes or more", largeFrom))

	flags.IntVar(&o.churn, "churn", o.churn, "churn: how many routes are added and then removed, each with a backend")
	flags.IntVar(&o.churnBatch, "churn-batch", o.churnBatch, "churn: how many of them one config file adds or removes")
	flags.IntVar(&o.edits, "churn-edits", o.edits, "churn: how many changes of other kinds")

	flags.Var(&o.compileRoutes, "compile", "compile: the tables, as `ROUTES/HOSTS,…`")
	flags.IntVar(&o.compileRuns, "compile-runs", o.compileRuns, "compile: fresh processes for each")

	flags.Var(&o.envoys, "envoys", "envoys: how many are connected, as `N,…`")
	flags.DurationVar(&o.envoysSteady, "envoys-steady", o.envoysSteady, "envoys: how long memory must have stayed the same to count; waited for up to five times as long")
	flags.Var(&o.envoysRoutes, "envoys-routes", "envoys: the table, as `ROUTES/HOSTS`")
}

// validate reports what cannot be measured.
func (o options) validate() error {
	var errs []error
	atLeast := func(name string, value, least int) {
		if value < least {
			errs = append(errs, fmt.Errorf("-%s: %d, must be at least %d", name, value, least))
		}
	}
	atLeast("lookup-rounds", o.lookupRounds, 1)
	atLeast("lookup-connections", o.lookupConnections, 1)
	atLeast("changes", o.changes, 1)
	atLeast("changes-large", o.largeChanges, 1)
	atLeast("changes-file", o.fileChanges, 1)
	atLeast("changes-file-large", o.largeFileChanges, 1)
	atLeast("churn", o.churn, 1)
	atLeast("churn-batch", o.churnBatch, 1)
	atLeast("churn-edits", o.edits, 1)
	atLeast("compile-runs", o.compileRuns, 1)
	if o.lookupTime <= 0 {
		errs = append(errs, fmt.Errorf("-lookup-time: %v, must be more than 0", o.lookupTime))
	}
	for _, name := range o.wanted() {
		if !slices.Contains(rowNames(), name) {
			errs = append(errs, fmt.Errorf("-rows: no row %q, there are %s", name, strings.Join(rowNames(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// wanted are the names of the rows to measure.
func (o options) wanted() []string { return strings.Split(o.rows, ",") }

// changesOf is how many changes of a table of this size are measured.
func (o options) changesOf(s size) int {
	if s.routes >= largeFrom {
		return o.largeChanges
	}
	return o.changes
}

// fileChangesOf is how many of those that take long.
func (o options) fileChangesOf(s size) int {
	if s.routes >= largeFrom {
		return o.largeFileChanges
	}
	return o.fileChanges
}
