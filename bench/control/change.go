package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/config"
)

// change measures how soon a route that has changed answers as it should.
func (b *bench) change(ctx context.Context) ([]row, error) {
	var rows []row
	for _, s := range b.changeRoutes {
		more, err := b.changeOf(ctx, s)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("%v: %w", s, err)
		}
	}
	return rows, nil
}

// changeOf measures one size: from the config to Envoy; from the file to Envoy;
// and, where one host has many routes, Envoy without a control plane.
func (b *bench) changeOf(ctx context.Context, s size) ([]row, error) {
	times, extent, alone, err := b.changeInProcess(ctx, s)
	if err != nil {
		return nil, err
	}
	goal := changeGoal(s)
	rows := againstAlone(row{what: "change, from the config", size: s.String(), n: len(times), times: times, measured: extent,
		goal: "p99 ≤ " + short(goal), met: times.p99() <= goal}, alone)
	byFile, err := b.changeByFile(ctx, s)
	if err != nil {
		return rows, err
	}
	return append(rows, row{what: "change, from the file's rename", size: s.String(), n: len(byFile), times: byFile,
		measured: "of it 50 to 150 ms until the file is read, by design"}), nil
}

// changeGoal is the p99 that a change is to have.
func changeGoal(s size) time.Duration {
	switch {
	case s.rebuilds():
		// What Envoy itself was measured to need for a tree of 10 000 routes.
		return time.Duration(s.routes) * 350 * time.Millisecond / 10_000
	case s.routes >= largeFrom:
		return 100 * time.Millisecond
	default:
		return 50 * time.Millisecond
	}
}

// rebuilds tells whether a change is measured against what of it is Envoy's own
// work: many routes on one host are one table, built anew for each.
func (s size) rebuilds() bool { return s.hosts == 1 && s.routes > 1000 }

// changing is a gateway of which one route after the other changes its answer.
type changing struct {
	*gateway
	size    size
	changes int
	client  *client
}

func newChanging(s size) (*changing, error) {
	g, err := newGateway(routesOf(s))
	if err != nil {
		return nil, err
	}
	return &changing{gateway: g, size: s, client: newClient(g.address)}, nil
}

// first is a question to begin with.
func (c *changing) first() question { return ask(c.routes[0], c.routes[0].Respond.Body) }

// next changes a route, somewhere in the table, and returns the question that
// has another answer now.
func (c *changing) next() question {
	c.changes++
	i := c.changes * 7919 % c.size.routes // a prime: all over the table
	c.routes[i] = saying(c.routes[i], fmt.Sprintf("%s after change %d", c.routes[i].Name, c.changes))
	return ask(c.routes[i], c.routes[i].Respond.Body)
}

// untilChanged waits for the right answer. Until then it must be the old one:
// anything but a 200 is an error.
func (c *client) untilChanged(ctx context.Context, q question) (time.Time, error) {
	return c.until(ctx, q.request, func(a answer) (bool, error) {
		err := q.check(a)
		if a.status != http.StatusOK {
			return false, err
		}
		return err == nil, nil
	})
}

// seen applies a config, and meanwhile waits until a question has its new answer.
// It returns how long that took, when both is done.
func (c *controlPlane) seen(ctx context.Context, next *config.Config, q question, wait waiting) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	applied := make(chan error, 1)
	began := time.Now()
	go func() {
		err := c.apply(ctx, next)
		if err != nil {
			cancel() // there is nothing to wait for
		}
		applied <- err
	}()
	at, err := wait(ctx, q)
	if err != nil {
		cancel()
	}
	return at.Sub(began), errors.Join(<-applied, err)
}

// waiting returns when the answer to a question was as it should become.
type waiting func(context.Context, question) (time.Time, error)

// changeInProcess measures from a config in memory, through the compiler and the
// xDS server in this process, to a real Envoy; and Envoy's own time beside it, where
// that is most of it.
func (b *bench) changeInProcess(ctx context.Context, s size) (times samples, extent string, alone []row, err error) {
	n := b.changesOf(s)
	b.say("change: %d of %v, from the config", n, s)
	g, err := newChanging(s)
	if err != nil {
		return nil, "", nil, err
	}
	defer g.client.close()
	control, err := b.startControlPlane(ctx, g.gateway, g.first())
	if err != nil {
		return nil, "", nil, err
	}
	defer control.stop()
	for range n {
		q := g.next()
		took, err := control.seen(ctx, g.config(), q, g.client.untilChanged)
		if err != nil {
			return nil, "", nil, errors.Join(err, control.envoy.died())
		}
		times = append(times, took)
	}
	if s.policies > 0 {
		extent = control.extent
	}
	if s.rebuilds() {
		alone, err = b.changeAlone(ctx, g, control.addr)
	}
	return times, extent, alone, err
}

// changeByFile measures from the rename of a config file, through gatewright as
// a process, to a real Envoy.
func (b *bench) changeByFile(ctx context.Context, s size) (samples, error) {
	n := b.fileChangesOf(s)
	b.say("change: %d of %v, from the file's rename", n, s)
	g, err := newChanging(s)
	if err != nil {
		return nil, err
	}
	defer g.client.close()
	p, err := b.startPair(ctx, g.gateway, g.first())
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var times samples
	for range n {
		q := g.next()
		text := g.text()
		// A file is looked at every 100 ms: a change may come at any moment of them.
		time.Sleep(rand.N(100 * time.Millisecond))
		began, err := p.write(text)
		if err != nil {
			return nil, err
		}
		at, err := g.client.untilChanged(ctx, q)
		if err != nil {
			return nil, errors.Join(err, p.died())
		}
		times = append(times, at.Sub(began))
	}
	return times, nil
}
