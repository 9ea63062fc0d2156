package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// longestList is how many routes the list of the rival has at most: with ten
	// times as many, Envoy answers ten requests a second.
	longestList = 10_000
	// behindVariables is how many routes the worst case of a tree has.
	behindVariables = 1000
	// lookupGoal is how the slowest table must stand against the fastest.
	lookupGoal = 0.8
)

// lookedUp is a running gateway of which it is measured how fast it finds routes.
type lookedUp struct {
	what      string
	size      size
	addr      string
	questions []question
	envoy     *process
	tally     tally
	// rates are requests a second, and costs Envoy's CPU a request, by round.
	rates []float64
	costs samples
}

// lookup measures what a request costs in tables of different sizes, in turn
// and several times, since a machine is not as fast in one minute as in the next.
func (b *bench) lookup(ctx context.Context) ([]row, error) {
	var all []*lookedUp
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for _, s := range b.lookupRoutes {
		targets, stop, err := b.startLookedUp(ctx, s)
		stops = append(stops, stop)
		if err != nil {
			return nil, err
		}
		all = append(all, targets...)
	}
	worst, stop, err := b.startWorst(ctx)
	stops = append(stops, stop)
	if err != nil {
		return nil, err
	}
	all = append(all, worst)
	for round := range b.lookupRounds {
		b.say("lookup: round %d of %d", round+1, b.lookupRounds)
		// In another order each time: none always comes after the same one.
		for _, i := range rand.Perm(len(all)) {
			l := all[i]
			if err := l.measure(ctx, b.lookupConnections, b.lookupTime); err != nil {
				return nil, err
			}
		}
	}
	return lookupRows(all), nil
}

const (
	treeRow = "lookup"
	listRow = "lookup in a list of Envoy routes"
)

// startLookedUp starts a gateway with a table and, on one host, its rival.
func (b *bench) startLookedUp(ctx context.Context, s size) (_ []*lookedUp, stop func(), err error) {
	b.say("lookup: starting with %v", s)
	var stops []func()
	stop = func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}
	g, err := newGateway(routesOf(s))
	if err != nil {
		return nil, stop, err
	}
	questions := sampled(g.routes, s)
	p, err := b.startPair(ctx, g, questions[0])
	if err != nil {
		return nil, stop, err
	}
	stops = append(stops, p.stop)
	out := []*lookedUp{{what: treeRow, size: s, addr: g.address, questions: questions, envoy: p.envoy}}
	if s.hosts > 1 || s.routes > longestList {
		return out, stop, nil
	}
	list, err := listTable(g)
	if err != nil {
		return nil, stop, err
	}
	rival, err := b.startAlone(ctx, g, list, p.grpc)
	if err != nil {
		return nil, stop, err
	}
	stops = append(stops, rival.stop)
	return append(out, &lookedUp{what: listRow, size: s, addr: rival.addr, questions: questions, envoy: rival.process}), stop, nil
}

// startWorst starts a gateway with the worst case of a tree.
func (b *bench) startWorst(ctx context.Context) (_ *lookedUp, stop func(), err error) {
	s := size{routes: behindVariables, hosts: 1}
	g, err := newGateway(routesBehindVariables(s))
	if err != nil {
		return nil, func() {}, err
	}
	questions := sampled(g.routes, s)
	p, err := b.startPair(ctx, g, questions[0])
	if err != nil {
		return nil, func() {}, err
	}
	return &lookedUp{
		what: "lookup where every path begins with a variable", size: s, addr: g.address, questions: questions, envoy: p.envoy,
	}, p.stop, nil
}

// measure loads the gateway once, as fast as it answers.
func (l *lookedUp) measure(ctx context.Context, clients int, d time.Duration) error {
	before, err := l.envoy.cpu()
	if err != nil {
		return err
	}
	load := startLoad(ctx, l.addr, l.questions, clients, 0)
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	t := load.stop()
	after, err := l.envoy.cpu()
	if err != nil {
		return err
	}
	if len(t.times) == 0 {
		return fmt.Errorf("%s, %v: no right answer in %v: %w", l.what, l.size, d, t.first)
	}
	l.rates = append(l.rates, t.perSecond())
	l.costs = append(l.costs, (after-before)/time.Duration(t.sent()))
	l.tally.add(t)
	return ctx.Err()
}

func (l *lookedUp) rate() float64 { return quantile(l.rates, 0.5) }

func lookupRows(all []*lookedUp) []row {
	var out []row
	for _, l := range all {
		r := row{what: l.what, size: l.size.String(), n: l.tally.sent(), times: l.tally.times, failed: l.tally.failed}
		r.measured = fmt.Sprintf("%s req/s (median of %d; %s to %s), %s of Envoy's CPU a request%s",
			thousands(int(l.rate())), len(l.rates), thousands(int(quantile(l.rates, 0))), thousands(int(quantile(l.rates, 1))),
			short(l.costs.median()), failures(l.tally))
		if tree := find(all, treeRow, l.size); l.what == listRow && tree != nil {
			r.measured += fmt.Sprintf("; %.2f of the tree's req/s", l.rate()/tree.rate())
		}
		out = append(out, r)
	}
	out = append(out, evenness("lookup: slowest table against fastest, one host", all, func(s size) bool { return s.hosts == 1 })...)
	return append(out, evenness("lookup: slowest table against fastest, many hosts", all, func(s size) bool { return s.hosts > 1 })...)
}

func find(all []*lookedUp, what string, s size) *lookedUp {
	for _, l := range all {
		if l.what == what && l.size == s {
			return l
		}
	}
	return nil
}

// evenness says how far the size of a table matters among those that belong.
func evenness(what string, all []*lookedUp, belongs func(size) bool) []row {
	var rates []float64
	var costs samples
	for _, l := range all {
		if l.what == treeRow && belongs(l.size) {
			rates, costs = append(rates, l.rate()), append(costs, l.costs.median())
		}
	}
	if len(rates) < 2 {
		return nil
	}
	even := quantile(rates, 0) / quantile(rates, 1)
	return []row{{
		what: what, size: fmt.Sprintf("%d tables", len(rates)), n: len(rates),
		measured: fmt.Sprintf("%.2f of its req/s; by Envoy's CPU %.2f", even, float64(costs.quantile(0))/float64(max(costs.max(), 1))),
		goal:     fmt.Sprintf("≥ %.2f", lookupGoal), met: even >= lookupGoal,
	}}
}

// failures says how many requests failed, where some did.
func failures(t tally) string {
	if t.failed == 0 {
		return ""
	}
	return fmt.Sprintf("; **%s failed**, first: %v", thousands(t.failed), t.first)
}
