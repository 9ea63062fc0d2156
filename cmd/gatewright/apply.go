package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// reloadMetrics say how the config fares: a reload that fails changes nothing,
// and must be seen all the same.
type reloadMetrics struct {
	total       *prometheus.CounterVec
	lastSuccess prometheus.Gauge
	lastOK      prometheus.Gauge
}

func newReloadMetrics(reg prometheus.Registerer) reloadMetrics {
	m := reloadMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_config_reloads_total",
			Help: "Configs read, by result: applied, unchanged, invalid (faults in the file) or refused (by an Envoy).",
		}, []string{"result"}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewright_config_last_reload_success_timestamp_seconds",
			Help: "When the served config was applied.",
		}),
		lastOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewright_config_last_reload_successful",
			Help: "1 while the newest config read is the one that is served.",
		}),
	}
	reg.MustRegister(m.total, m.lastSuccess, m.lastOK)
	return m
}

func (m reloadMetrics) done(result string, ok bool) {
	m.total.WithLabelValues(result).Inc()
	if ok {
		m.lastOK.Set(1)
		m.lastSuccess.SetToCurrentTime()
	} else {
		m.lastOK.Set(0)
	}
}

// loadFirst applies the config that the process starts with. Without one
// there is nothing to serve.
func (svc *service) loadFirst(ctx context.Context) error {
	c, err := config.Load(svc.settings.process.Config)
	if err != nil {
		return err
	}
	return svc.apply(ctx, c)
}

// follow applies every change of the config file until the context ends.
func (svc *service) follow(ctx context.Context) error {
	source := config.NewFileSource(svc.settings.process.Config, config.WithErrors(func(err error) {
		svc.log.Error("the config cannot be read; what was read last stays", "error", err)
	}))
	err := source.Watch(ctx, func(data []byte) { svc.reload(ctx, data) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// reload applies the content of the config file, or tells why it does not.
func (svc *service) reload(ctx context.Context, data []byte) {
	c, err := config.Parse(svc.settings.process.Config, data)
	if err != nil {
		svc.reloads.done("invalid", false)
		svc.logFaults(err)
		return
	}
	if err := svc.apply(ctx, c); err != nil && ctx.Err() == nil {
		svc.log.Error("the new config is not served; the one before it is", "error", err)
	}
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
func (svc *service) apply(ctx context.Context, c *config.Config) error {
	next, err := plan.Compile(c)
	if err != nil {
		svc.reloads.done("invalid", false)
		return err
	}
	before := svc.plan.Load()
	if before != nil && before.Version == next.Version {
		svc.reloads.done("unchanged", true)
		return nil
	}
	svc.keySets.Ensure(ctx, slices.Concat(next.Issuers(), before.Issuers()))
	svc.policies.Publish(next.Policies)
	svc.setLimits(c.Limits, before)
	svc.outcomes.SetKnown(
		slices.Concat(next.RouteNames(), before.RouteNames()),
		slices.Concat(next.BackendNames(), before.BackendNames()))

	settled, err := svc.xds.Publish(ctx, next.Resources)
	if err != nil {
		if errors.Is(err, xds.ErrRefused) {
			svc.reloads.done("refused", false)
		}
		return fmt.Errorf("publishing config %s: %w", next.Version, err)
	}
	svc.plan.Store(next)
	svc.reloads.done("applied", true)
	svc.log.Info("config applied", "version", next.Version, "routes", len(c.Routes), "backends", len(c.Backends))
	if settled {
		svc.forget(ctx, next)
	}
	return nil
}

// setLimits makes the new limits known beside those that are still in use.
func (svc *service) setLimits(limits map[string]*config.Limit, before *plan.Plan) {
	all := map[string]*config.Limit{}
	if before != nil {
		maps.Copy(all, before.Config.Limits)
	}
	maps.Copy(all, limits)
	svc.limits.Store(&all)
}

// forget drops what only earlier plans referred to. No Envoy runs one any more.
func (svc *service) forget(ctx context.Context, current *plan.Plan) {
	keep := make(map[string]bool, len(current.Policies))
	for hash := range current.Policies {
		keep[hash] = true
	}
	svc.policies.Retain(keep)
	svc.keySets.Ensure(ctx, current.Issuers())
	svc.setLimits(current.Config.Limits, nil)
	svc.outcomes.SetKnown(current.RouteNames(), current.BackendNames())
}
