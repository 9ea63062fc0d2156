package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// envoyGoal is how much memory of gatewright one more Envoy may take: what a
	// stream needs, and no copy of the config.
	envoyGoal = 1 << 20
	// envoyEdits is how many times the config changes at each number of Envoys,
	// so that their streams have carried something and the garbage is collected.
	envoyEdits = 5
)

// connected measures how much memory gatewright takes for each Envoy.
func (b *bench) connected(ctx context.Context) (_ []row, err error) {
	g, err := newChanging(b.envoysRoutes)
	if err != nil {
		return nil, err
	}
	p, err := b.startGatewright(ctx, g.text())
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var all []*subscriber
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.close())
		}
	}()
	var rows []row
	var sizes []int64
	for _, n := range b.envoys {
		b.say("envoys: %d with %v", n, b.envoysRoutes)
		for len(all) < n {
			s, err := subscribe(ctx, p.grpc, fmt.Sprintf("envoy-%d", len(all)))
			if err != nil {
				return rows, errors.Join(err, p.died())
			}
			all = append(all, s)
		}
		for range envoyEdits {
			if err := b.tellAll(ctx, g, p, all); err != nil {
				return rows, errors.Join(err, p.died())
			}
		}
		resident, err := steady(ctx, b.envoysSteady, p.rss)
		if err != nil {
			return rows, err
		}
		sizes = append(sizes, resident)
		rows = append(rows, row{what: fmt.Sprintf("memory of gatewright with %d Envoys", n), size: b.envoysRoutes.String(), n: n,
			measured: mebibytes(resident) + " resident"})
	}
	if n := len(b.envoys); n > 1 {
		each := (sizes[n-1] - sizes[0]) / int64(b.envoys[n-1]-b.envoys[0])
		rows = append(rows, row{what: "memory of gatewright for one more Envoy", size: b.envoysRoutes.String(), n: b.envoys[n-1],
			measured: fmt.Sprintf("%d KiB, of %d to %d Envoys", each>>10, b.envoys[0], b.envoys[n-1]),
			goal:     fmt.Sprintf("≤ %d KiB", envoyGoal>>10), met: each <= envoyGoal})
	}
	return rows, nil
}

// tellAll changes a route, and waits until every Envoy has been told.
func (b *bench) tellAll(ctx context.Context, g *changing, p *gatewright, all []*subscriber) error {
	g.next()
	if _, err := p.write(g.text()); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, s := range all {
		if err := s.awaitChange(patient, g.changes); err != nil {
			return err
		}
	}
	return nil
}

// steady is a size when it has stayed within one part in a hundred for some
// time, or else the last one after five times as long: the Go runtime gives
// memory back slowly.
func steady(ctx context.Context, long time.Duration, measure func() (int64, error)) (int64, error) {
	begin := time.Now()
	var level int64
	since := begin
	for {
		now, err := measure()
		if err != nil {
			return 0, err
		}
		if diff := now - level; diff > level/100 || -diff > level/100 {
			level, since = now, time.Now()
		}
		if time.Since(since) >= long || time.Since(begin) >= 5*long {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
