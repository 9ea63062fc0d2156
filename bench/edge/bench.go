package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// bench is one run.
type bench struct {
	options
	dir      string
	progress io.Writer
	started  time.Time
	issuer   *rig.Issuer
	signed   []string // the tokens
	probes   []probe
	app      backend
	redis    *rig.Redis
	built    *rig.Gatewright
	rows     []*row
	stops    []func() // of the processes
}

// measure is the report.
func measure(ctx context.Context, o options, progress io.Writer) (_ string, err error) {
	if err := o.validate(); err != nil {
		return "", err
	}
	b := &bench{options: o, progress: progress, started: time.Now()}
	if b.dir, err = os.MkdirTemp("", "gw-edge-"); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.prepare(ctx); err != nil {
		return "", err
	}
	if err := b.start(ctx); err != nil {
		return "", err
	}
	for _, r := range b.rows {
		if err := r.warm(ctx); err != nil {
			return "", err
		}
		if err := b.judge(r); err != nil {
			return "", err
		}
	}
	for i := range o.rounds {
		b.say("round %d of %d", i+1, o.rounds)
		for j := range b.rows {
			if err := b.rows[(i+j)%len(b.rows)].measure(ctx, b.time); err != nil {
				return "", err
			}
		}
	}
	return b.table(ctx), nil
}

// prepare makes what the gateways need.
func (b *bench) prepare(ctx context.Context) (err error) {
	b.say("building gatewright")
	if b.built, err = rig.Build(ctx, b.dir); err != nil {
		return err
	}
	if b.issuer, err = b.options.issuer(); err != nil {
		return err
	}
	b.say("signing %d tokens", b.tokens)
	for i := range b.tokens {
		token, err := b.issuer.Token("RS256", i)
		if err != nil {
			return err
		}
		b.signed = append(b.signed, token)
	}
	if b.probes, err = probes(b.issuer); err != nil {
		return err
	}
	if b.options.redis {
		if b.redis, err = rig.StartRedis(ctx, b.dir); err != nil {
			return err
		}
	}
	b.app, err = startBackend()
	return err
}

// userOf is the user of a token.
func userOf(token int) string { return fmt.Sprintf("user-%d", token) }

func (b *bench) stop() (err error) {
	for _, r := range b.rows {
		r.close()
	}
	for _, stop := range b.stops {
		stop()
	}
	if b.redis != nil {
		err = b.redis.Stop()
	}
	if b.app.Listener != nil {
		err = errors.Join(err, b.app.Close())
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// measured is what is read before a load and after it.
type measured struct {
	envoy, beside time.Duration
	checks        float64
}

func (r *row) read(ctx context.Context) (m measured, err error) {
	if m.checks, err = r.checks(ctx); err != nil {
		return m, err
	}
	if m.envoy, err = r.envoy.CPU(); err != nil {
		return m, fmt.Errorf("%s: Envoy: %w", r.what, err)
	}
	for _, pid := range r.beside {
		cpu, err := pid.CPU()
		if err != nil {
			return m, fmt.Errorf("%s: %w", r.what, err)
		}
		m.beside += cpu
	}
	return m, nil
}

// measure loads a row once.
func (r *row) measure(ctx context.Context, lasts time.Duration) error {
	before, err := r.read(ctx)
	if err != nil {
		return err
	}
	end := time.Now().Add(lasts)
	l, err := load(ctx, r.clients, r.nextRequest, func(asked int64) bool {
		return asked <= int64(len(r.clients)) || time.Now().Before(end) // each has something to measure
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	n := float64(len(l.latencies))
	r.rounds = append(r.rounds, round{
		envoy:     float64((after.envoy - before.envoy).Nanoseconds()) / 1e3 / n,
		beside:    float64((after.beside - before.beside).Nanoseconds()) / 1e3 / n,
		perSecond: n / l.took.Seconds(),
		asked:     (after.checks - before.checks) / n,
		latencies: l.latencies,
	})
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
