package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// reloads say how the config fares: a reload that fails changes nothing, and
// must be seen all the same.
type reloads struct {
	last atomic.Pointer[reload]

	total       *prometheus.CounterVec
	lastSuccess prometheus.Gauge
	lastOK      prometheus.Gauge
}

// reload is what became of one config.
type reload struct {
	At time.Time `json:"at"`
	// Result is applied, unchanged, invalid (it has faults), refused (a part of
	// it, by an Envoy), withheld (it drops most routes), unreadable (there is no
	// config to judge), stale (the same at the start: the last good one is served) or
	// waiting (none has come yet).
	Result string `json:"result"`
	// Faults are why it is not served, one text each.
	Faults []string `json:"faults,omitempty"`
}

// newReloads counts what becomes of configs; the names of its metrics begin with prefix.
func newReloads(reg prometheus.Registerer, prefix string) *reloads {
	r := &reloads{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_reloads_total",
			Help: "Configs read, by result: applied, unchanged, invalid (it has faults), refused (in part, by an Envoy), withheld (it drops most routes), unreadable or stale (the last good one is served).",
		}, []string{"result"}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_last_reload_success_timestamp_seconds",
			Help: "When the served config was applied.",
		}),
		lastOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_last_reload_successful",
			Help: "1 while the newest config read is the one that is served.",
		}),
	}
	reg.MustRegister(r.total, r.lastSuccess, r.lastOK)
	return r
}

// wait notes that there is no config yet, where somebody sends one.
func (r *reloads) wait() { r.last.Store(&reload{At: time.Now(), Result: "waiting"}) }

// done notes what became of a config. err is why it is not served.
func (r *reloads) done(result string, err error) {
	now := time.Now()
	r.last.Store(&reload{At: now, Result: result, Faults: faultTexts(err)})
	r.total.WithLabelValues(result).Inc()
	if err != nil {
		r.lastOK.Set(0)
		return
	}
	r.lastOK.Set(1)
	r.lastSuccess.Set(float64(now.UnixNano()) / 1e9)
}

// restore takes back what was noted since.
func (r *reloads) restore(before *reload) {
	if before == nil {
		return
	}
	r.last.Store(before)
	if len(before.Faults) == 0 {
		r.lastOK.Set(1)
	}
}

func faultTexts(err error) []string {
	var faults config.Faults
	var refused refusedParts
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.texts()
	case !errors.As(err, &faults):
		return []string{err.Error()}
	}
	out := make([]string, len(faults))
	for i, f := range faults {
		out[i] = f.String()
	}
	return out
}

// logFaults tells each fault on a line of its own.
func (svc *service) logFaults(err error) {
	var faults config.Faults
	if !errors.As(err, &faults) {
		svc.log.Error("the new config is not served; the one before it is", "error", err)
		return
	}
	svc.log.Error("the new config has faults; the one before it is served", "faults", len(faults))
	for _, f := range faults {
		svc.log.Error("config fault", "fault", f.String())
	}
}

// apply compiles a config and serves it. The order is what keeps every request
// judged by the policy of its own route: what routes refer to is there before
// them, and goes after them. On an error what was served before still is.
func (svc *service) apply(ctx context.Context, c *config.Config, ch change) error {
	if err := svc.enter(ctx); err != nil {
		return err
	}
	defer svc.leave()
	before := svc.plan.Load()
	if svc.base != nil {
		config.Adopt(c, svc.base)
	}
	next, err := svc.compile(c)
	if err != nil {
		svc.reloads.done("invalid", err)
		return err
	}
	// Few changes drop so many names that the routes are worth comparing.
	if before != nil && !ch.force && 2*len(next.DroppedRoutes) > len(before.Config.Routes) {
		if rule := dropRule(before.Config, c); rule != "" {
			err := fmt.Errorf("the change is withheld: %s; if that is meant, `gatewright apply --force` it", rule)
			svc.reloads.done("withheld", err)
			return err
		}
	}
	if err := svc.prepareDiscovery(ctx, next.Config, before == nil); err != nil {
		svc.reloads.done("invalid", err)
		return err
	}
	files, resources, err := svc.withSecrets(next)
	if err != nil {
		svc.reloads.done("invalid", err)
		return err
	}
	if before != nil && before.Version == next.Version && resources.SameBeside(svc.resources) {
		svc.certs.Serve(c, files)
		svc.accept(ctx, c, ch)
		svc.unchanged()
		return nil
	}
	settled, err := svc.publish(ctx, next, files, resources)
	if err != nil {
		if errors.Is(err, xds.ErrUnsafe) {
			svc.reloads.done("invalid", err)
		}
		return fmt.Errorf("publishing config %s: %w", next.Version, err)
	}
	svc.accept(ctx, c, ch)
	svc.log.Info("config applied", "version", next.Version, "routes", len(c.Routes), "backends", len(c.Backends))
	if len(svc.setAside) > 0 {
		svc.tellSetAside()
		return nil
	}
	svc.reloads.done("applied", nil)
	if settled {
		svc.settle(ctx)
	}
	return nil
}

// compile is the plan for a config, with the weights that its rollouts have now. It
// takes over what it can from what is served.
func (svc *service) compile(c *config.Config) (*plan.Plan, error) {
	before := svc.plan.Load()
	c = svc.rollouts.Overlay(c)
	if before != nil {
		config.Adopt(c, before.Config)
	}
	form, also := svc.forms.next(xds.FormFor(c), xds.OnlyTable(c), time.Now())
	return plan.Compile(c, plan.Options{Previous: before, Form: form, Also: also, Fleet: svc.xds.Fleet(), Resized: svc.customers.Resizes})
}

// publish serves a plan in place of the one before it, and tells whether every Envoy
// runs all of it. On an error what was served before still is.
func (svc *service) publish(ctx context.Context, next *plan.Plan, files *certs.Set, resources xds.Resources) (settled bool, err error) {
	before := svc.plan.Load()
	svc.generations.retire(before, next.DroppedRoutes)
	svc.judgeBy(ctx, svc.generations.with(next))
	published, err := svc.xds.Publish(ctx, resources)
	if err != nil {
		// Some Envoy may have run a part of it: its requests are judged too.
		svc.generations.retire(next, next.RoutesNotIn(before))
		return false, err
	}
	svc.plan.Store(next)
	svc.resources = resources
	svc.certs.Serve(next.Config, files)
	svc.discovered.Serve(next.Config)
	svc.setAside = refusedParts(published.SetAside)
	svc.router.serve(next)
	// What is served in place of what is set aside names the policies of plans
	// before: they are kept as long as that is so.
	return published.Settled && len(published.SetAside) == 0, nil
}

// settle forgets what no Envoy asks by any more, once all run what is served.
func (svc *service) settle(ctx context.Context) {
	dropped := svc.generations.settled(time.Now())
	svc.judgeBy(ctx, svc.generations.with(svc.plan.Load()))
	svc.forget(dropped)
}

// accept remembers a config that is served, and follows its rollouts.
func (svc *service) accept(ctx context.Context, c *config.Config, ch change) {
	svc.base = c
	svc.files.serve(c)
	svc.keep(ch)
	svc.acme.Want(c)
	svc.tracer.Apply(c)
	svc.outcomes.KeepExemplars(exemplarsOf(c))
	svc.rollouts.Apply(ctx, c)
}

// tellSetAside tells what Envoys have refused of what is served.
func (svc *service) tellSetAside() {
	svc.reloads.done("refused", svc.setAside)
	for _, a := range svc.setAside {
		svc.log.Error("a part of the config is not served", "type", a.Type, "name", a.Name,
			"node", a.Node, "envoy_says", a.Message, "last_accepted_is_served", a.Kept)
	}
}

// refusedParts are what Envoys have refused of a config that is served.
type refusedParts []xds.SetAside

func (r refusedParts) Error() string { return strings.Join(r.texts(), "; ") }

func (r refusedParts) texts() []string {
	out := make([]string, len(r))
	for i, a := range r {
		out[i] = a.String()
	}
	return out
}

// judgeBy makes what these plans refer to known, and nothing else. The newest
// plan is the first.
func (svc *service) judgeBy(ctx context.Context, plans []*plan.Plan) {
	var issuers []*config.JWT
	var asked []*config.Introspection
	for _, p := range plans {
		asked = append(asked, p.Introspectors()...)
		issuers = append(issuers, p.Issuers()...)
	}
	svc.introspectors.Ensure(asked)
	svc.keySets.Ensure(ctx, issuers)
	svc.breakers.Apply(breakersOf(plans))
	svc.judging.set(plans)
}

// forget drops the metrics of what only these plans had.
func (svc *service) forget(dropped []oldPlan) {
	var routes, backends []string
	for _, o := range dropped {
		for _, name := range o.gone {
			if !svc.judging.HasRoute(name) {
				routes = append(routes, name)
			}
		}
		for name := range o.plan.Config.Backends {
			if !svc.judging.HasBackend(name) {
				backends = append(backends, name)
			}
		}
	}
	svc.outcomes.Forget(routes, backends)
	svc.bodies.Forget(routes)
}
