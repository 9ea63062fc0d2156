package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/internal/testenv"
)

// protection is what stands before the backend.
type protection struct{ name, backend, route, limits string }

var protections = []protection{
	{name: "nothing of its own"},
	{name: "`connections: {max: 10, maxPending: 10}`", backend: ", connections: {max: 10, maxPending: 10}"},
	{name: "`adaptiveConcurrency: {}`", backend: ", adaptiveConcurrency: {}"},
	{name: "a limit of 45 a second", route: ", limits: [all]", limits: "limits: {all: {key: [route], tokenBucket: {capacity: 10, refill: 45/s}}}"},
}

// result is what was measured. Rates are a second.
type result struct {
	atCapacity, beyond, denied float64
	p99                        time.Duration
	recovery                   string
	before, most               int // MiB of Envoy
}

// How long the load is at capacity, and how long a while is in which all goes well
// again; and what is asked then, so that a queue can end.
const (
	warmup = 5 * time.Second
	while  = time.Second
	calm   = 0.8
)

func measure(ctx context.Context, g *rig.Gatewright, o options, p protection) (r result, err error) {
	app := startBackend()
	defer app.Close()
	address, err := testenv.FreeAddr()
	if err != nil {
		return r, err
	}
	config := fmt.Sprintf(`listeners: [{name: public, address: %q}]
backends: {app: {endpoints: [%q]%s}}
%s
routes: [{name: app, match: {path: /}, auth: public, to: [{backend: app}]%s}]
`, address, app.Listener.Addr(), p.backend, p.limits, p.route)
	gateway, err := g.Run(ctx, []byte(config), "GATEWRIGHT_ENVOY="+o.envoy, "GATEWRIGHT_ENVOY_CONCURRENCY=1", "GATEWRIGHT_DRAIN_DELAY=0s", "GATEWRIGHT_DRAIN_TIMEOUT=1s")
	if err != nil {
		return r, err
	}
	defer gateway.Stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 5000}}
	defer client.CloseIdleConnections()
	url := "http://" + address + "/"

	load(ctx, client, url, capacity*calm, warmup) // connections are made, and times without load measured
	at := load(ctx, client, url, capacity, warmup)
	r.atCapacity = float64(at.good) / warmup.Seconds()
	if r.before, err = envoyMiB(gateway.PID); err != nil {
		return r, err
	}
	beyond := load(ctx, client, url, capacity*float64(o.times), o.time)
	r.beyond = float64(beyond.good) / o.time.Seconds()
	if all := beyond.good + beyond.denied + beyond.late; all > 0 {
		r.denied = float64(beyond.denied) / float64(all)
	}
	if len(beyond.times) > 0 {
		r.p99 = rig.Quantile(beyond.times, 0.99)
	}
	if r.most, err = envoyMiB(gateway.PID); err != nil {
		return r, err
	}
	r.recovery = "more than 10 s"
	for after := range 10 {
		if again := load(ctx, client, url, capacity*calm, while); again.denied+again.late == 0 {
			r.recovery = fmt.Sprintf("%d s", after)
			break
		}
	}
	return r, ctx.Err()
}

// envoyMiB is the memory of the one child of a process.
func envoyMiB(pid rig.PID) (int, error) {
	envoy, err := pid.Child()
	if err != nil {
		return 0, err
	}
	bytes, err := envoy.Resident()
	return int(bytes >> 20), err
}
