package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// The headers in which the backend is told who asks.
const (
	userHeader   = "X-User-ID"
	roleHeader   = "X-User-Role"
	tenantHeader = "X-Tenant-ID"
)

// row is one gateway.
type row struct {
	what   string
	envoy  rig.PID
	beside []rig.PID   // what Envoy asks: Gatewright, Redis, a rival
	judge  *rig.Server // the Gatewright, to be asked how often it was; nil where there is none
	// identity tells whether there is the policy of tokens: the backend is to be told
	// of the token's user, and of nobody where there is none.
	identity bool
	// counted tells whether there is the limit that rivals are told of.
	counted bool
	// inEnvoy tells whether nobody is to be asked once all is there.
	inEnvoy bool

	clients  []*client
	requests []request
	next     atomic.Int64
	rounds   []round
}

// round is what a row has come to once.
type round struct {
	envoy, beside float64 // CPU, µs a request
	perSecond     float64
	asked         float64 // Checks a request
	latencies     []time.Duration
}

func (r round) cpu() float64 { return r.envoy + r.beside }

// kind is a row of Gatewright's, by its route and its limits.
type kind struct {
	what, route, limits string
	identity, redis     bool
	// module: verdicts are remembered by the dynamic module.
	module bool
	// quiet: nothing is told of requests that go well.
	quiet bool
}

// untold is a config by which nothing is told of requests that go well: no line, no trace,
// no outcome.
const untold = `accessLog: {successes: 0}
tracing: {off: true}
metrics: {requests: false}`

// kinds are those. A limit is one for each user, which nobody reaches.
func (b *bench) kinds() []kind {
	const (
		identity = "auth: {anyOf: [{jwt: main, scopes: [users:read]}]}"
		limited  = identity + ", limits: [per-user]"
		asked    = ", placement: service"
		limit    = "limits: {per-user: {key: [user], tokenBucket: {capacity: 100000, refill: 100000/s}, consistency: %s}}"
	)
	all := []kind{
		{what: public, route: "auth: public"},
		{what: jwtInEnvoy, route: identity, identity: true},
		{what: limitInEnvoy, route: limited, limits: fmt.Sprintf(limit, "sync"), identity: true},
		{what: jwtByHop, route: identity + asked, identity: true},
		{what: limitByHop, route: limited + asked, limits: fmt.Sprintf(limit, "sync"), identity: true},
	}
	if b.module != "" {
		all = slices.Insert(all, 3,
			kind{what: jwtByModule, route: identity, identity: true, module: true},
			kind{what: limitByModule, route: limited, limits: fmt.Sprintf(limit, "sync"), identity: true, module: true})
	}
	if b.redis != nil {
		all = append(all, kind{what: exactByHop, route: limited + asked, limits: fmt.Sprintf(limit, "exact"), identity: true, redis: true})
	}
	if b.module != "" {
		all = append(all, kind{what: limitByModule + quietly, route: limited, limits: fmt.Sprintf(limit, "sync"), identity: true, module: true, quiet: true})
	}
	return append(all,
		kind{what: public + quietly, route: "auth: public", quiet: true},
		kind{what: limitInEnvoy + quietly, route: limited, limits: fmt.Sprintf(limit, "sync"), identity: true, quiet: true},
		kind{what: limitByHop + quietly, route: limited + asked, limits: fmt.Sprintf(limit, "sync"), identity: true, quiet: true},
	)
}

// start starts the gateways.
func (b *bench) start(ctx context.Context) error {
	if err := b.startPlain(plain{}, &row{what: bare}); err != nil {
		return err
	}
	for _, k := range b.kinds() {
		if err := b.startGatewright(ctx, k); err != nil {
			return fmt.Errorf("%s: %w", k.what, err)
		}
	}
	return b.startRivals()
}

// startPlain starts a row of an Envoy that knows nothing of Gatewright.
func (b *bench) startPlain(p plain, r *row) error {
	process, addr, err := p.start(b.envoy, b.dir, b.app.Addr().String())
	if err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	b.stops = append(b.stops, process.Stop)
	r.envoy = process.PID
	return b.connect(r, addr)
}

func (b *bench) startGatewright(ctx context.Context, k kind) error {
	addr, err := testenv.FreeAddr()
	if err != nil {
		return err
	}
	settings := []string{"GATEWRIGHT_ENVOY=" + b.envoy, "GATEWRIGHT_ENVOY_CONCURRENCY=1"}
	if k.redis {
		settings = append(settings, "GATEWRIGHT_REDIS_URL=redis://"+b.redis.Addr)
	}
	text := b.config(k, addr)
	c, err := config.Parse("gateway.yaml", text)
	if err != nil {
		return err
	}
	server, err := b.built.Run(ctx, text, settings...)
	if err != nil {
		return err
	}
	b.stops = append(b.stops, server.Stop)
	r := &row{what: k.what, judge: server, beside: []rig.PID{server.PID}, identity: k.identity, inEnvoy: c.Placer().Runs(c.Routes[0])}
	if k.redis {
		r.beside = append(r.beside, b.redis.PID)
	}
	if r.envoy, err = server.Child(); err != nil {
		return err
	}
	return b.connect(r, addr)
}

func (b *bench) config(k kind, addr string) []byte {
	tells := ""
	if k.quiet {
		tells = untold
	}
	if k.module {
		tells += fmt.Sprintf("\nexperiments: {envoyModule: %q}", b.module)
	}
	return fmt.Appendf(nil, `listeners: [{name: public, address: %q}]
backends: {app: {endpoints: [%q]}}
auth:
  jwt:
    main:
      issuer: %s
      audiences: [api]
      algorithms: [RS256]
      jwks: {inline: '%s'}
      forward: {sub: %s, role: %s, tenant: %s}
%s
%s
routes:
  - {name: app, match: {path: /**}, to: [{backend: app}], %s}
`, addr, b.app.Addr(), rig.IssuerName, b.issuer.JWKS, userHeader, roleHeader, tenantHeader, k.limits, tells, k.route)
}

// connect makes a row of a gateway: it waits until that serves, and has each token asked
// once.
func (b *bench) connect(r *row, addr string) error {
	for i, token := range b.signed {
		user := nobody
		if r.identity {
			user = userOf(i)
		}
		r.requests = append(r.requests, newRequest(token, user))
	}
	until := time.Now().Add(patience)
	for {
		err := r.connect(addr, b.connections)
		if err == nil {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s: waiting until it serves: %w", r.what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.rows = append(b.rows, r)
	return nil
}

// connect connects, and makes a request on the first connection.
func (r *row) connect(addr string, connections int) error {
	r.close()
	for range connections {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		r.clients = append(r.clients, c)
	}
	return r.clients[0].ask(r.requests[0])
}

func (r *row) close() {
	for _, c := range r.clients {
		_ = c.conn.Close() // it has nothing more to say
	}
	r.clients = nil
}

func (r *row) nextRequest() request {
	return r.requests[int(r.next.Add(1))%len(r.requests)]
}

// warm makes a request with each token until the gateway does with all of them what it
// will go on doing: what is in Envoy comes there beside the routes.
func (r *row) warm(ctx context.Context) error {
	until := time.Now().Add(patience)
	for before := -1.0; ; {
		if _, err := load(ctx, r.clients, r.nextRequest, func(asked int64) bool { return asked <= int64(len(r.requests)) }); err != nil {
			return fmt.Errorf("%s: %w", r.what, err)
		}
		now, err := r.checks(ctx)
		if err != nil {
			return err
		}
		more := now - before
		if before = now; more == 0 || !r.inEnvoy {
			return nil
		}
		if time.Now().After(until) {
			return errors.New(r.what + ": requests are still asked about")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// checks is how often Gatewright has been asked.
func (r *row) checks(ctx context.Context) (float64, error) {
	if r.judge == nil {
		return 0, nil
	}
	metrics, err := r.judge.Metrics(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", r.what, err)
	}
	return metrics["gatewright_check_seconds_count"], nil
}
