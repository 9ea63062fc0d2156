package main

import (
	"context"
	"errors"
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// aloneGoal is how many times as long as Envoy alone a change may take: what is
// over 1 is for the noise of the machine.
const aloneGoal = 1.1

// changeAlone measures what of a change is Envoy's own work: the whole table
// replaced in a file, and no control plane between. It does so with the table
// that Gatewright makes, and with the list that is common.
func (b *bench) changeAlone(ctx context.Context, g *changing, control string) ([]row, error) {
	var rows []row
	for _, as := range []struct {
		what  string
		table func(*gateway) (*routev3.RouteConfiguration, error)
	}{
		{"change, Envoy alone: its table in a file", treeTable},
		{"change, Envoy alone: a list of routes in a file", listTable},
	} {
		n := b.fileChangesOf(g.size)
		b.say("%s: %d of %v", as.what, n, g.size)
		times, err := b.changeTable(ctx, g, n, control, as.table)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", as.what, err)
		}
		rows = append(rows, row{what: as.what, size: g.size.String(), n: n, times: times})
	}
	return rows, nil
}

func (b *bench) changeTable(ctx context.Context, g *changing, n int, control string, table func(*gateway) (*routev3.RouteConfiguration, error)) (samples, error) {
	first, err := table(g.gateway)
	if err != nil {
		return nil, err
	}
	proxy, err := b.startAlone(ctx, g.gateway, first, control)
	if err != nil {
		return nil, err
	}
	defer proxy.stop()
	if err := answers(ctx, proxy.addr, g.first()); err != nil {
		return nil, err
	}
	c := newClient(proxy.addr)
	defer c.close()
	var times samples
	for range n {
		q := g.next()
		next, err := table(g.gateway)
		if err != nil {
			return nil, err
		}
		began, err := proxy.write(next)
		if err != nil {
			return nil, err
		}
		at, err := c.untilChanged(ctx, q)
		if err != nil {
			return nil, errors.Join(err, proxy.died())
		}
		times = append(times, at.Sub(began))
	}
	return times, nil
}

// againstAlone judges a change against the same one without a control plane,
// and returns it before those.
func againstAlone(r row, alone []row) []row {
	for i, other := range alone {
		ratio := float64(r.times.median()) / float64(max(other.times.median(), 1))
		if i == 0 {
			r.measured = fmt.Sprintf("p50: %.2f of Envoy alone", ratio)
			r.goal, r.met = fmt.Sprintf("p50 ≤ %.1f of Envoy alone", aloneGoal), ratio <= aloneGoal
		} else {
			r.measured += fmt.Sprintf(", %.2f of Envoy alone with a list", ratio)
		}
	}
	return append([]row{r}, alone...)
}
