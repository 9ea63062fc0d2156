package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

// stableRoutes are the routes that are asked while all around them changes.
const stableRoutes = 4

// editor changes a gateway in all the ways in which routes and backends change,
// so that the routes that are asked must go on.
type editor struct {
	*churning
	random *rand.Rand
	edits  int
	// serving and missing are questions for routes that have come and gone with
	// the last edit.
	serving, missing []question
}

// newEditor is the editor of a gateway whose stable routes have a backend each,
// and whose services all answer alike, so that one backend may stand for another.
func newEditor() (*editor, error) {
	g, err := newGateway(routesOf(churnFill))
	if err != nil {
		return nil, err
	}
	services, err := startBackends(slices.Repeat([]string{"service"}, 4)...)
	if err != nil {
		return nil, err
	}
	e := &editor{
		churning: &churning{gateway: g, backends: services, client: newClient(g.address)},
		random:   rand.New(rand.NewPCG(1, 2)), // the same edits in every run
	}
	g.routes = append(g.routes, answering("marker", hostOf(0, churnFill), "/marker"))
	for i := range stableRoutes {
		name := fmt.Sprintf("stable-%d", i)
		g.backends = append(g.backends, e.backend(name))
		g.routes = append(g.routes, forwarding(name, hostOf(i, churnFill), "/"+name+"/**", name))
		e.staying = append(e.staying, ask(g.routes[len(g.routes)-1], "service"))
	}
	return e, nil
}

// kinds are the ways in which a gateway changes. They are taken in turn.
func (e *editor) kinds() []func() {
	return []func(){
		e.addRoute, e.changeBackend, e.addRoute, e.renameRoute, e.reorder, e.replaceBackend,
		e.addRoute, e.renameBackend, e.moveBackend, e.removeRoute, e.changeRoute,
	}
}

// edit makes the next change, and returns the question whose answer tells that
// it is served.
func (e *editor) edit() question {
	e.serving, e.missing = nil, nil
	kinds := e.kinds()
	kinds[e.edits%len(kinds)]()
	e.edits++
	i := e.route("marker")
	e.routes[i] = saying(e.routes[i], fmt.Sprintf("edit %d", e.edits))
	return ask(e.routes[i], e.routes[i].Respond.Body)
}

func (e *editor) addRoute() {
	name := fmt.Sprintf("extra-%d", e.edits)
	e.gateway.backends = slices.Insert(e.gateway.backends, e.random.IntN(len(e.gateway.backends)+1), e.backend(name))
	r := forwarding(name, hostOf(e.edits, churnFill), onceOnly+name, name)
	e.routes = slices.Insert(e.routes, e.random.IntN(len(e.routes)+1), r)
	e.serving = append(e.serving, ask(r, "service"))
}

func (e *editor) removeRoute() {
	i := e.extra()
	r := e.routes[i]
	e.routes = slices.Delete(e.routes, i, i+1)
	at := e.backendAt(r.To[0].Backend)
	e.gateway.backends = slices.Delete(e.gateway.backends, at, at+1)
	e.missing = append(e.missing, ask(r, ""))
}

func (e *editor) renameRoute() {
	i := e.extra()
	e.routes[i] = changed(e.routes[i], func(r *config.Route) { r.Name = fmt.Sprintf("renamed-%d", e.edits) })
	e.serving = append(e.serving, ask(e.routes[i], "service"))
}

// renameBackend gives the backend of a route that was added another name.
func (e *editor) renameBackend() { e.serving = append(e.serving, e.rename(e.extra())) }

// replaceBackend has a stable route go to another backend, which is equal, and
// takes the one before away.
func (e *editor) replaceBackend() { e.rename(e.stable()) }

func (e *editor) rename(i int) question {
	at := e.backendAt(e.routes[i].To[0].Backend)
	next := *e.gateway.backends[at]
	next.Name = fmt.Sprintf("backend-%d", e.edits)
	e.gateway.backends[at] = &next
	e.routes[i] = changed(e.routes[i], func(r *config.Route) { r.To = []*config.Destination{{Backend: next.Name}} })
	return ask(e.routes[i], "service")
}

// changeBackend changes all but name and endpoint of a stable route's backend.
func (e *editor) changeBackend() {
	at := e.backendAt(e.routes[e.stable()].To[0].Backend)
	next := *e.gateway.backends[at]
	next.Connections = &config.Connections{MaxRequests: 500 + e.edits}
	next.OutlierDetection = &config.OutlierDetection{Consecutive5xx: 5 + e.edits}
	next.LoadBalancing = &config.LoadBalancing{Policy: []config.BalancingPolicy{config.RoundRobin, config.Random, config.LeastRequest}[e.random.IntN(3)]}
	e.gateway.backends[at] = &next
}

// moveBackend gives a stable route's backend another endpoint.
func (e *editor) moveBackend() {
	at := e.backendAt(e.routes[e.stable()].To[0].Backend)
	next := *e.gateway.backends[at]
	next.Endpoints = []*config.Endpoint{{Address: e.churning.backends.at(e.edits).addr}}
	e.gateway.backends[at] = &next
}

// changeRoute changes a stable route itself.
func (e *editor) changeRoute() {
	i := e.stable()
	e.routes[i] = changed(e.routes[i], func(r *config.Route) {
		r.Timeout = config.Duration(10*time.Second) + config.Duration(e.edits)*config.Duration(time.Millisecond)
	})
}

func (e *editor) reorder() {
	e.random.Shuffle(len(e.routes), func(i, k int) { e.routes[i], e.routes[k] = e.routes[k], e.routes[i] })
	b := e.gateway.backends
	e.random.Shuffle(len(b), func(i, k int) { b[i], b[k] = b[k], b[i] })
}

// changed is a copy of the route with a change.
func changed(r *config.Route, change func(*config.Route)) *config.Route {
	next := *r
	change(&next)
	return &next
}

func (e *editor) backend(name string) *config.Backend {
	return &config.Backend{Name: name, Endpoints: []*config.Endpoint{{Address: e.churning.backends.at(e.edits).addr}}}
}

// route is where the route of a name stands, stable where one of those does, and
// extra where one that was added does.
func (e *editor) route(name string) int {
	return slices.IndexFunc(e.routes, func(r *config.Route) bool { return r.Name == name })
}

func (e *editor) stable() int {
	return e.route(fmt.Sprintf("stable-%d", e.random.IntN(stableRoutes)))
}

func (e *editor) extra() int {
	var all []int
	for i, r := range e.routes {
		if isComer(r) {
			all = append(all, i)
		}
	}
	return all[e.random.IntN(len(all))]
}

func (e *editor) backendAt(name string) int {
	return slices.IndexFunc(e.gateway.backends, func(b *config.Backend) bool { return b.Name == name })
}

// churnEdits makes changes of every kind by the config file, under load.
func (b *bench) churnEdits(ctx context.Context) (_ []row, err error) {
	b.say("churn: %d changes of all kinds by the file", b.edits)
	e, err := newEditor()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	p, err := b.startPair(ctx, e.gateway, e.staying[0])
	if err != nil {
		return nil, err
	}
	defer p.stop()
	load := startLoad(ctx, e.address, e.staying, loadClients, loadPause)
	var times samples
	for range b.edits {
		if times, err = times.with(e.editByFile(ctx, p)); err != nil {
			break
		}
	}
	t := load.stop()
	t.add(e.watched)
	return []row{
		{what: "changes of all kinds, by the file", size: fmt.Sprintf("%d kinds", len(e.kinds())), n: len(times), times: times},
		beside("requests beside, changes of all kinds", t),
	}, errors.Join(err, deathOf(err, p))
}

// editByFile makes one change, and returns when it is seen to serve.
func (e *editor) editByFile(ctx context.Context, p *pair) (time.Duration, error) {
	marker := e.edit()
	began, err := p.write(e.text())
	if err != nil {
		return 0, err
	}
	at, err := e.client.until(ctx, marker.request, func(a answer) (bool, error) {
		e.watched.asked++
		if a.status != http.StatusOK {
			e.watched.fail(marker.check(a))
		}
		return marker.check(a) == nil, nil
	})
	for _, q := range e.serving {
		if err == nil {
			_, err = e.serves(ctx, q)
		}
	}
	for _, q := range e.missing {
		if err == nil {
			_, err = e.gone(ctx, q)
		}
	}
	return at.Sub(began), err
}
