package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

const (
	// loadClients and loadPause make the load under which things change: steady,
	// and not so heavy that it takes the cores from those that change them.
	loadClients = 4
	loadPause   = time.Millisecond
	// churnSlots is how many services stand behind the backends that come and go.
	churnSlots = 20
)

// churnFill are routes that only stand there: enough for the form of large gateways.
var churnFill = size{routes: 1000, hosts: 100}

// churned measures whether a change costs somebody a request.
func (b *bench) churned(ctx context.Context) ([]row, error) {
	var rows []row
	for _, part := range []func(context.Context) ([]row, error){b.churnInProcess, b.churnByFile, b.churnEdits} {
		more, err := part(ctx)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// churning is a gateway to which routes are added, and from which they are taken
// away, while others that stay are asked.
type churning struct {
	*gateway
	backends *backends
	staying  []question // asked by the load
	client   *client
	watched  tally // the requests of client
}

func newChurning() (*churning, error) {
	g, err := newGateway(routesOf(churnFill))
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range churnSlots {
		names = append(names, fmt.Sprintf("slot-%d", i))
	}
	services, err := startBackends(names...)
	if err != nil {
		return nil, err
	}
	c := &churning{gateway: g, backends: services, client: newClient(g.address)}
	for i := range 4 {
		name := fmt.Sprintf("stays-%d", i)
		r := forwarding(name, hostOf(i, churnFill), "/"+name+"/**", name)
		c.gateway.backends = append(c.gateway.backends, &config.Backend{Name: name, Endpoints: []*config.Endpoint{{Address: services.at(i).addr}}})
		c.routes = append(c.routes, r)
		c.staying = append(c.staying, ask(r, services.at(i).name))
	}
	c.staying = append(c.staying, sampled(c.routes[:churnFill.routes], churnFill)...)
	return c, nil
}

func (c *churning) close() error {
	c.client.close()
	return c.backends.close()
}

// add adds the i-th route, with a backend of its own.
func (c *churning) add(i int) question {
	name, service := fmt.Sprintf("comes-%d", i), c.backends.at(i)
	r := forwarding(name, hostOf(i, churnFill), onceOnly+name, name)
	c.gateway.backends = append(c.gateway.backends, &config.Backend{Name: name, Endpoints: []*config.Endpoint{{Address: service.addr}}})
	c.routes = append(c.routes, r)
	return ask(r, service.name)
}

// remove takes the oldest route that was added away, and its backend.
func (c *churning) remove() question {
	r := slices.IndexFunc(c.routes, isComer)
	b := slices.IndexFunc(c.gateway.backends, func(b *config.Backend) bool { return b.Name == c.routes[r].To[0].Backend })
	gone := ask(c.routes[r], "")
	c.routes = slices.Delete(c.routes, r, r+1)
	c.gateway.backends = slices.Delete(c.gateway.backends, b, b+1)
	return gone
}

func isComer(r *config.Route) bool {
	return len(r.To) > 0 && len(r.Match.Path) > len(onceOnly) && r.Match.Path[:len(onceOnly)] == onceOnly
}

// serves waits until a route that was added serves. Before, there is no such
// route: whatever else is answered is a failure.
func (c *churning) serves(ctx context.Context, q question) (time.Time, error) {
	return c.client.until(ctx, q.request, func(a answer) (bool, error) {
		c.watched.asked++
		err := q.check(a)
		if err != nil && a.status != http.StatusNotFound {
			c.watched.fail(fmt.Errorf("before it served: %w", err))
		}
		return err == nil, nil
	})
}

// gone waits until a route that was taken away does not serve any more. Before,
// it serves: whatever else is answered is a failure.
func (c *churning) gone(ctx context.Context, q question) (time.Time, error) {
	return c.client.until(ctx, q.request, func(a answer) (bool, error) {
		c.watched.asked++
		if a.status != http.StatusOK && a.status != http.StatusNotFound {
			c.watched.fail(fmt.Errorf("while it went: %w", q.check(a)))
		}
		return a.status == http.StatusNotFound, nil
	})
}

// churnRows are the rows of routes that came and went under a load.
func (c *churning) rows(how string, added, removed samples, per int, load tally) []row {
	changes := fmt.Sprintf("%d a change", per)
	load.add(c.watched)
	return []row{
		{what: "routes and backends added, " + how, size: changes, n: len(added), times: added},
		{what: "routes and backends removed, " + how, size: changes, n: len(removed), times: removed},
		beside("requests beside, "+how, load),
	}
}

// beside is the row of the requests while something changed. None may fail.
func beside(what string, t tally) row {
	return row{
		what: what, size: fmt.Sprintf("%s a second", thousands(int(t.perSecond()))), n: t.sent(), times: t.times,
		measured: fmt.Sprintf("%s failed%s", thousands(t.failed), failures(t)),
		goal:     "0 failed", met: t.failed == 0, failed: t.failed,
	}
}

// churnInProcess adds and removes routes one at a time, from the config.
func (b *bench) churnInProcess(ctx context.Context) (_ []row, err error) {
	b.say("churn: %d routes come and go one at a time, from the config", b.churn)
	c, err := newChurning()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	control, err := b.startControlPlane(ctx, c.gateway, c.staying[0])
	if err != nil {
		return nil, err
	}
	defer control.stop()
	load := startLoad(ctx, c.address, c.staying, loadClients, loadPause)
	var added, removed samples
	for i := 0; i < b.churn && err == nil; i++ {
		q := c.add(i)
		added, err = added.with(control.seen(ctx, c.config(), q, c.serves))
	}
	for i := 0; i < b.churn && err == nil; i++ {
		q := c.remove()
		removed, err = removed.with(control.seen(ctx, c.config(), q, c.gone))
	}
	return c.rows("from the config", added, removed, 1, load.stop()), errors.Join(err, deathOf(err, control.envoy))
}

// churnByFile does the same by the config file, several at a time; each is seen
// to serve, and to be gone.
func (b *bench) churnByFile(ctx context.Context) (_ []row, err error) {
	b.say("churn: %d routes come and go by the file, %d at a time", b.churn, b.churnBatch)
	c, err := newChurning()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	p, err := b.startPair(ctx, c.gateway, c.staying[0])
	if err != nil {
		return nil, err
	}
	defer p.stop()
	load := startLoad(ctx, c.address, c.staying, loadClients, loadPause)
	// batch returns when the last of its routes is as it should be.
	batch := func(next func(int) question, first int, wait waiting) (time.Duration, error) {
		var questions []question
		for i := range min(b.churnBatch, b.churn-first) {
			questions = append(questions, next(first+i))
		}
		began, err := p.write(c.text())
		if err != nil {
			return 0, err
		}
		var last time.Time
		for _, q := range questions {
			if last, err = wait(ctx, q); err != nil {
				return 0, err
			}
		}
		return last.Sub(began), nil
	}
	var added, removed samples
	for i := 0; i < b.churn && err == nil; i += b.churnBatch {
		added, err = added.with(batch(c.add, i, c.serves))
	}
	for i := 0; i < b.churn && err == nil; i += b.churnBatch {
		removed, err = removed.with(batch(func(int) question { return c.remove() }, i, c.gone))
	}
	return c.rows("by the file", added, removed, b.churnBatch, load.stop()), errors.Join(err, deathOf(err, p))
}
