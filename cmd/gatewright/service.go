package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/console"
	"github.com/gatewright/gatewright/internal/acme"
	"github.com/gatewright/gatewright/internal/bodies"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/discovery"
	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/heap"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/internal/telemetry"
	"github.com/gatewright/gatewright/internal/tracing"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/ratelimit"
	"github.com/gatewright/gatewright/rollout"
	"github.com/gatewright/gatewright/store"
	"github.com/gatewright/gatewright/xds"
)

// grpcStopTimeout bounds how long calls in flight are waited for at the end.
const grpcStopTimeout = 2 * time.Second

// service is Gatewright without an Envoy of its own: everything that `serve`
// runs, and that `run` runs beside an Envoy.
type service struct {
	settings *settings
	logs     *telemetry.Logs
	log      *slog.Logger // of what is of no package
	registry *prometheus.Registry

	keyStore      *keys.Store
	keyCache      *keys.Cache
	revoked       *keys.RevokedTokens
	customers     *keys.Customers
	keySets       *authz.KeySets
	introspectors *authz.Introspectors
	limiter       *ratelimit.Limiter
	limitFiles    *limitFiles // nil: neither a folder nor a server is set
	breakers      *breakerpolicy.Breakers
	rollouts      *rollout.Controller
	judging       judging
	judge         *authz.Server
	router        router
	outcomes      *outcome.Metrics
	tracer        *tracing.Tracer
	bodies        *bodies.Server
	certs         *certs.Store
	discovered    *discovery.Store
	files         *namedFiles
	acme          *acme.Manager
	xds           *xds.Server
	endXDS        context.CancelFunc
	reloads       *reloads

	store    store.Store
	lastGood lastGood
	// known is what the process found in its store when it started.
	known *store.Snapshot
	// reloading guards newest, the config that was read last, while it is applied.
	reloading sync.Mutex
	newest    *store.Snapshot
	// beforeOutage is what the newest config was when it could still be read.
	// Only follow touches it.
	beforeOutage *reload
	// version is the entry in the history of what is served, if it has one.
	version atomic.Pointer[store.Version]
	// applying holds one token: whoever changes what is served has it, and with it
	// all that only apply touches.
	applying chan struct{}
	// plan is what is served. It is nil only before the first apply.
	plan atomic.Pointer[plan.Plan]
	// epochs are those of what plan has inside Envoy.
	epochs epochs
	// base is the config that is served, as it was read: the plan's has other weights
	// where there are rollouts. Only apply and reweigh touch it.
	base *config.Config
	// resources are the plan's, with the secrets that are served. Only apply
	// touches them.
	resources xds.Resources
	// setAside is what Envoys have refused of it. Only apply touches it.
	setAside refusedParts
	// generations are the plans before it that Envoys may still ask by. Only
	// apply touches them.
	generations generations
	// forms are those in which its routes are served. Only apply touches them.
	forms forms
	// stopping is set when the process has been asked to end.
	stopping atomic.Bool

	door      *door.Door
	grpc      *door.Server
	grpcAddr  net.Listener
	ownSocket *ownSocket // nil but for an Envoy of ours while grpcAddr is a port
	admin     *http.Server
	adminAddr net.Listener
	flight    *console.FlightRecorder
}

// newService opens the stores and listens; nothing is served before run. What
// it opened is closed by close, also after an error.
func newService(ctx context.Context, s *settings, ready func() error) (_ *service, err error) {
	logs, err := telemetry.NewLogs(s.telemetry, os.Stderr)
	if err != nil {
		return nil, err
	}
	log := logs.Of("")
	for _, name := range unknownSettings() {
		log.Warn("no such setting; see `gatewright environment`", "name", name)
	}
	svc := &service{settings: s, logs: logs, log: log, registry: telemetry.NewRegistry(), applying: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, svc.close())
		}
	}()
	if err := svc.listen(); err != nil {
		return nil, err
	}
	if err := svc.openStores(ctx); err != nil {
		return nil, err
	}
	svc.reloads = newReloads(svc.registry, "gatewright_config")
	svc.outcomes = outcome.NewMetrics(svc.registry, &svc.judging)
	xdsCtx, endXDS := context.WithCancel(context.WithoutCancel(ctx))
	svc.endXDS = endXDS
	svc.files = newNamedFiles(log, svc.registry)
	svc.discovered = svc.newDiscovery()
	svc.acme = svc.newACME(ready)
	svc.certs = certs.NewStore(certs.Options{Log: logs.Of("certs"), Registerer: svc.registry, Issuer: svc.acme, Poll: s.certs.Poll})
	svc.xds = xds.NewServer(xdsCtx, logs.Of("xds"), svc.registry)
	svc.grpc = svc.newGRPC()
	if svc.flight, err = console.StartFlightRecorder(s.console.FlightRecorder); err != nil {
		return nil, err
	}
	svc.admin = &http.Server{
		Handler:           console.NewHandler(console.Options{Token: s.console.Token, Registry: svc.registry, Ready: svc.readiness(ready), Status: svc.status, Keys: svc.keyStore, Breakers: svc.breakers, Rollouts: svc.rollouts, Flight: svc.flight, Levels: logs, Log: logs.Of("console")}),
		ReadHeaderTimeout: 5 * time.Second,
	}
	return svc, nil
}

// listen opens both ports, before anything else is done: a port that is taken
// is the most common reason not to start, and is told first, after
// certificates that cannot be used.
func (svc *service) listen() (err error) {
	if svc.door, err = door.New(svc.settings.door, svc.logs.Of("door"), svc.registry); err != nil {
		return err
	}
	if svc.grpcAddr, err = listenGRPC(svc.settings.process, svc.settings.door); err != nil {
		return err
	}
	if svc.adminAddr, err = net.Listen("tcp", svc.settings.console.Addr); err != nil {
		return fmt.Errorf("listening for operators (GATEWRIGHT_ADMIN_ADDR=%s): %w", svc.settings.console.Addr, plain(err))
	}
	return nil
}

func (svc *service) openStores(ctx context.Context) (err error) {
	p := svc.settings.process
	if svc.store, err = store.Open(p.Config, svc.settings.store, p.StateDir, svc.logs.Of("store")); err != nil {
		return err
	}
	svc.lastGood = newLastGood(p.StateDir, p.Config)
	if svc.keyStore, err = keys.Open(ctx, svc.settings.keys); err != nil {
		return err
	}
	if svc.keyCache, err = keys.NewCache(svc.keyStore, svc.settings.keys, time.Now, svc.logs.Of("keys"), svc.registry); err != nil {
		return err
	}
	if svc.revoked, err = keys.NewRevokedTokens(svc.keyStore, filepath.Join(p.StateDir, "revocations.json"), svc.logs.Of("keys"), svc.registry); err != nil {
		return err
	}
	svc.revoked.Start(ctx)
	if svc.customers, err = keys.NewCustomers(svc.keyStore, svc.logs.Of("keys"), svc.registry); err != nil {
		return err
	}
	svc.customers.Start(ctx)
	ratelimit.LogRedis(svc.logs.Of("ratelimit"))
	if svc.limiter, err = ratelimit.Open(svc.settings.ratelimit, svc.logs.Of("ratelimit"), svc.registry); err != nil {
		return err
	}
	if svc.limitFiles, err = openLimitFiles(svc.settings, svc.logs.Of("ratelimit"), svc.registry); err != nil {
		return err
	}
	if svc.breakers, err = breakerpolicy.Open(svc.settings.breakers, svc.logs.Of("breakerpolicy"), svc.registry); err != nil {
		return err
	}
	if svc.rollouts, err = rollout.Open(svc.settings.rollout, rollout.Options{
		File: filepath.Join(p.StateDir, "rollouts.json"), Log: svc.logs.Of("rollout"), Registerer: svc.registry, Clock: time.Now,
	}); err != nil {
		return err
	}
	svc.keySets = authz.NewKeySets(authz.KeySetsOptions{
		Log: svc.logs.Of("authz"), Registerer: svc.registry, Folder: filepath.Join(p.StateDir, "jwks"),
	})
	svc.introspectors = authz.NewIntrospectors(authz.IntrospectorsOptions{Log: svc.logs.Of("authz"), Registerer: svc.registry})
	return nil
}

// newGRPC is the one port for Envoys: config, judgement, limits, outcomes.
func (svc *service) newGRPC() *door.Server {
	server := svc.door.NewServer()
	svc.xds.Register(server)
	svc.tracer = tracing.New(svc.logs.Of("tracing"), svc.registry, server.ReadTraces)
	svc.outcomes.Recorded = svc.tracer.Recorded
	svc.judge = authz.New(authz.Options{
		Policies:      &svc.judging,
		Router:        &svc.router,
		KeySets:       svc.keySets,
		Introspectors: svc.introspectors,
		Limiter:       limiter{svc.limiter},
		Breaker:       breakers{svc.breakers},
		KeyFinder:     keyFinder{svc.keyCache},
		Tokens:        svc.settings.authz.TokenCacheEntries,
		TokenRevoked:  tokenRevoked(svc.revoked, svc.settings.keys.RevocationsRequired),
		ClientIPKey:   ratelimit.ClientIPKey,
		Trace:         svc.tracer.Join,
		Epoch:         svc.epoch,
		Version:       svc.configVersion,
		Clock:         time.Now,
		Log:           svc.logs.Of("authz"),
		Registerer:    svc.registry,
		Challenge:     svc.acme.Answer,
		KnownRoute:    svc.judging.HasRoute,
		Tenant:        agreedWith(svc.customers),
		KnownPlan:     svc.judging.namesPlan,
	})
	authz.Register(server, svc.judge)
	server.Handle(authv3.Authorization_Check_FullMethodName, svc.judge.Answer)
	limits := ratelimit.NewService(svc.limiter, svc.judging.limit)
	limits.Headers = svc.judging.rateLimitHeaders
	limits.Trace = svc.tracer.Join
	if svc.limitFiles != nil {
		limits.Rules = svc.limitFiles.rules
	}
	rlsv3.RegisterRateLimitServiceServer(server, limits)
	server.Handle(rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, limits.Answer)
	svc.bodies = bodies.NewServer(bodies.Options{
		KnownRoute: svc.judging.HasRoute, Processors: runtime.GOMAXPROCS(0), Log: svc.logs.Of("bodies"), Registerer: svc.registry,
	})
	svc.bodies.Register(server)
	ends := outcome.NewServer(svc.logs.Of("outcome"), svc.registry, ofClients(svc.outcomes.Observe), svc.ended, svc.letPass, ofClients(svc.breakers.Observe), svc.rollouts.Observe, ofClients(svc.tracer.Observe))
	ends.Register(server)
	server.HandleStream(accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, func() door.Stream { return ends.Stream() })
	return server
}

// exemplarsOf are those that a config wants beside the metrics of requests.
func exemplarsOf(c *config.Config) outcome.Exemplars {
	switch {
	case c.Tracing.Names(config.ExemplarsUser):
		return outcome.UserExemplars
	case c.Tracing.Names(config.ExemplarsTrace):
		return outcome.TraceExemplars
	default:
		return outcome.NoExemplars
	}
}

// configVersion is that of what is served; empty before there is anything.
func (svc *service) configVersion() string {
	if p := svc.plan.Load(); p != nil {
		return p.Version
	}
	return ""
}

// newACME has the certificates that are obtained, once an Envoy can answer for them.
func (svc *service) newACME(beside func() error) *acme.Manager {
	p := svc.settings.process
	listens := func() bool {
		return slices.ContainsFunc(svc.xds.Envoys(), func(e xds.EnvoyStatus) bool { return e.UpToDate }) && (beside == nil || beside() == nil)
	}
	return acme.New(acme.Options{
		Folder: cmp.Or(p.ACMEDir, filepath.Join(p.StateDir, "acme")), Shared: p.ACMEDir != "",
		Serve: svc.serveCertificates, Ready: listens, Log: svc.logs.Of("acme"), Registerer: svc.registry,
	})
}

// ofClients is a sink that hears of no copy of a request.
func ofClients(sink outcome.Sink) outcome.Sink {
	return func(o outcome.Outcome) {
		if !config.IsDarkName(o.Route) {
			sink(o)
		}
	}
}

// ended releases a request that was counted as in flight, whichever gateway has
// counted it.
func (svc *service) ended(o outcome.Outcome) {
	if o.InFlight != "" {
		svc.limiter.Release(strings.Split(o.InFlight, " "))
	}
}

// letPass counts a request among the verdicts that nobody was asked about, or by which it
// was not yet decided. What denies it inside Envoy is a limit: what else does has been
// before, or in its place.
func (svc *service) letPass(o outcome.Outcome) {
	switch {
	case o.LetPass != "":
		svc.judge.CountLetPass(o.Route, o.LetPass, o.Flags.Has(outcome.Denied))
	case o.Charged != "":
		svc.judge.CountCharged(o.Route, o.Flags.Has(outcome.Denied))
	}
}

// readiness is what /readyz answers by: the service's own state, and then
// that of what is run beside it.
func (svc *service) readiness(beside func() error) func() error {
	return func() error {
		switch {
		case svc.stopping.Load():
			return errors.New("stopping")
		case svc.plan.Load() == nil:
			return errors.New("no config is loaded yet")
		case beside != nil:
			return beside()
		default:
			return nil
		}
	}
}

// run serves until the context ends, and returns when all is stopped.
func (svc *service) run(ctx context.Context) error {
	defer heap.Raise(heap.Floor)()
	group, ctx := errgroup.WithContext(ctx)
	svc.xds.BeforeUnshared(svc.countWhereItCan)
	svc.xds.ExpectEnvoys(ctx, svc.limiter.Envoys)
	group.Go(func() error { return svc.keyCache.Run(ctx) })
	group.Go(func() error { return svc.revoked.Run(ctx) })
	group.Go(func() error { return svc.customers.Run(ctx) })
	group.Go(func() error { return svc.follow(ctx) })
	group.Go(func() error { return svc.rollouts.Run(ctx) })
	group.Go(func() error { return svc.followRollouts(ctx) })
	group.Go(func() error { return svc.certs.Follow(ctx, svc.renew) })
	group.Go(func() error { return svc.followDiscovery(ctx) })
	group.Go(func() error { return svc.followPlaced(ctx) })
	group.Go(func() error { return svc.files.follow(ctx, svc.reread) })
	group.Go(func() error { return svc.acme.Run(ctx) })
	group.Go(func() error { return svc.followCounted(ctx) })
	group.Go(func() error { svc.xds.CountEnvoys(ctx); return nil })
	if svc.limitFiles != nil {
		group.Go(func() error { return svc.limitFiles.follow(ctx) })
	}
	group.Go(func() error { return svc.door.Run(ctx) })
	group.Go(func() error { return svc.serveEnvoys(svc.grpcAddr) })
	if svc.ownSocket != nil {
		group.Go(func() error { return svc.serveEnvoys(svc.ownSocket.listener) })
	}
	group.Go(func() error {
		if err := svc.admin.Serve(svc.adminAddr); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving operators: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		svc.stop()
		return nil
	})
	svc.log.Info("serving", "envoys", svc.settings.process.GRPCAddr, "tls", svc.settings.door.TLS(), "operators", svc.settings.console.Addr)
	return group.Wait()
}

func (svc *service) serveEnvoys(l net.Listener) error {
	if err := svc.grpc.Serve(l); err != nil {
		return fmt.Errorf("serving Envoys: %w", err)
	}
	return nil
}

// stop ends the ports: streams at once, calls in flight when they are answered.
func (svc *service) stop() {
	svc.stopping.Store(true)
	svc.endXDS()
	stopped := make(chan struct{})
	go func() {
		svc.grpc.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(grpcStopTimeout):
		// Access log streams never end by themselves.
		svc.grpc.Stop()
		<-stopped
	}
	ctx, cancel := context.WithTimeout(context.Background(), grpcStopTimeout)
	defer cancel()
	if err := svc.admin.Shutdown(ctx); err != nil {
		svc.log.Warn("the admin port did not stop in time", "error", err)
	}
}

// close releases what newService opened. It is called once, when run has
// returned or was never called.
func (svc *service) close() error {
	svc.flight.Stop()
	var errs []error
	for _, l := range []net.Listener{svc.grpcAddr, svc.adminAddr} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if svc.ownSocket != nil {
		errs = append(errs, svc.ownSocket.close())
	}
	if svc.endXDS != nil {
		svc.endXDS()
	}
	if svc.tracer != nil {
		svc.tracer.Close()
	}
	if svc.discovered != nil {
		svc.discovered.Close()
	}
	if svc.keySets != nil {
		svc.keySets.Close()
	}
	if svc.introspectors != nil {
		svc.introspectors.Close()
	}
	if svc.limiter != nil {
		errs = append(errs, svc.limiter.Close())
	}
	if svc.breakers != nil {
		errs = append(errs, svc.breakers.Close())
	}
	if svc.rollouts != nil {
		errs = append(errs, svc.rollouts.Close())
	}
	if svc.store != nil {
		errs = append(errs, svc.store.Close())
	}
	if svc.keyStore != nil {
		errs = append(errs, svc.keyStore.Close())
	}
	return errors.Join(errs...)
}
