package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// changeAlone measures what of a change is Envoy's own work: the whole table
// replaced in a file, and no control plane between. It does so with the table
// that Gatewright makes, with a tree on :path, and with the list that is common.
func (b *bench) changeAlone(ctx context.Context, g *changing, control string) ([]row, error) {
	var rows []row
	for _, as := range []struct {
		what  string
		table func(*gateway) (*routev3.RouteConfiguration, error)
	}{
		{"change, Envoy alone: its table in a file", treeTable},
		{"change, Envoy alone: a tree on :path in a file", pathTreeTable},
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

// againstAlone compares a change with the same one without a control plane, and
// returns it before those.
func againstAlone(r row, alone []row) []row {
	var ratios []string
	for _, other := range alone {
		what := strings.TrimSuffix(strings.TrimPrefix(other.what, "change, "), " in a file")
		ratios = append(ratios, fmt.Sprintf("%.2f of %s", float64(r.times.median())/float64(max(other.times.median(), 1)), what))
	}
	if len(ratios) > 0 {
		r.measured = "p50: " + strings.Join(ratios, ", ")
	}
	return append([]row{r}, alone...)
}
