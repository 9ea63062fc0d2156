package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
)

// target is a server that is asked, a process of this machine.
type target struct {
	rig.PID
	addr   string
	server *rig.Server // nil of a rival
}

// row is one kind of call to one server.
type row struct {
	what        string
	descriptors int
	of          kind
	target      target
	conn        *rig.Connection
	messages    [][]byte
	next        int
	rounds      []round
}

// kind is what a row stands for, by which it is judged.
type kind string

const (
	kindRival  kind = "rival"
	kindMemory kind = "memory"
	kindFiles  kind = "files"
	kindCheck  kind = "check"
)

// round is what a row has come to once. What is a call's is of a decision, which
// may be one on three descriptors.
type round struct {
	cpu, redisCPU float64 // µs a call
	perSecond     float64
	commands      float64 // a call
	latencies     []time.Duration
}

// bench is one run.
type bench struct {
	options
	dir      string
	progress io.Writer
	started  time.Time
	built    *rig.Gatewright
	gateway  *gateway
	redis    *rig.Redis
	servers  []*rig.Server
}

// measure is the report.
func measure(ctx context.Context, o options, progress io.Writer) (_ string, err error) {
	if err := o.validate(); err != nil {
		return "", err
	}
	b := &bench{options: o, progress: progress, started: time.Now()}
	if b.dir, err = os.MkdirTemp("", "gw-bench-"); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.redis == "" {
		b.redis, err = rig.StartRedis(ctx, b.dir)
	} else {
		b.redis, err = rig.UseRedis(ctx, o.redis)
	}
	if err != nil {
		return "", err
	}
	if b.gateway, err = newGateway(); err != nil {
		return "", err
	}
	b.say("building gatewright")
	if b.built, err = rig.Build(ctx, b.dir); err != nil {
		return "", err
	}
	text := ""
	for _, part := range []func(context.Context) (string, error){b.decisions, b.inFleet, b.manyKeys} {
		more, err := part(ctx)
		if err != nil {
			return "", err
		}
		text += more
	}
	return rig.Machine(ctx) + "\n" + text, nil
}

func (b *bench) close() error {
	for _, s := range b.servers {
		s.Stop()
	}
	var err error
	if b.redis != nil {
		err = b.redis.Stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// serve starts a gatewright, that is stopped in the end.
func (b *bench) serve(ctx context.Context, settings ...string) (*rig.Server, error) {
	s, err := b.built.Serve(ctx, b.gateway.config, settings...)
	if err == nil {
		b.servers = append(b.servers, s)
	}
	return s, err
}

// redisTimeout is so long that no decision is ever made without Redis: on a machine
// whose cores are all busy, that would be a decision that costs less.
const redisTimeout = "GATEWRIGHT_REDIS_TIMEOUT=5s"

// onRedis is the setting of who counts in the run's Redis.
func (b *bench) onRedis() string { return "GATEWRIGHT_REDIS_URL=redis://" + b.redis.Addr }

// decisions is the part of the report on what a decision costs.
func (b *bench) decisions(ctx context.Context) (string, error) {
	if b.rounds == 0 {
		return "", nil
	}
	rows, err := b.rows(ctx)
	if err != nil {
		return "", err
	}
	for i := range b.rounds {
		b.say("round %d of %d", i+1, b.rounds)
		for j := range rows {
			if err := b.measure(ctx, rows[(i+j)%len(rows)]); err != nil {
				return "", err
			}
		}
	}
	return table(rows), nil
}

// rows starts the servers, and makes what they are asked.
func (b *bench) rows(ctx context.Context) ([]*row, error) {
	files := filepath.Join(b.dir, "files")
	if err := errors.Join(os.Mkdir(files, 0o700), os.WriteFile(filepath.Join(files, "bench.yaml"), []byte(rivalConfig), 0o600)); err != nil {
		return nil, fmt.Errorf("writing the rival's config: %w", err)
	}
	shared, err := b.serve(ctx, b.onRedis(), redisTimeout, "GATEWRIGHT_RATELIMIT_CONFIG_DIR="+files)
	if err != nil {
		return nil, err
	}
	alone, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	var rows []*row
	add := func(of kind, what string, descriptors int, t target, messages [][]byte, err error) error {
		if !b.only.has(what, descriptors) {
			return err
		}
		r := &row{what: what, descriptors: descriptors, of: of, target: t, messages: messages}
		rows = append(rows, r)
		if err == nil {
			err = b.connect(r)
		}
		if err != nil {
			return fmt.Errorf("%s, %d descriptors: %w", what, descriptors, err)
		}
		return nil
	}
	for _, n := range []int{1, len(parts)} {
		for _, other := range b.rivals {
			messages, err := rivals(b.users, n)
			if err := add(kindRival, "envoyproxy/ratelimit, "+other.Name, n, target{PID: other.PID, addr: other.Addr}, messages, err); err != nil {
				return nil, err
			}
		}
		for _, c := range consistencies {
			messages, err := ours(c, b.users, n)
			if err := add(kind(c), "gatewright, "+string(c), n, targetOf(shared), messages, err); err != nil {
				return nil, err
			}
		}
		messages, err := rivals(b.users, n)
		if err := add(kindFiles, "gatewright, with the rival's config", n, targetOf(shared), messages, err); err != nil {
			return nil, err
		}
		messages, err = ours(config.Exact, b.users, n)
		if err := add(kindMemory, "gatewright, in memory", n, targetOf(alone), messages, err); err != nil {
			return nil, err
		}
	}
	messages, err := b.gateway.checks(b.users)
	return rows, add(kindCheck, "Check: a JWT seen before and one exact limit", 1, targetOf(shared), messages, err)
}

func targetOf(s *rig.Server) target { return target{PID: s.PID, addr: s.GRPC, server: s} }

// connect connects a row, and asks once all that it has: from then on it has been
// seen.
func (b *bench) connect(r *row) (err error) {
	method, wrong := rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, admits
	if r.of == kindCheck {
		method, wrong = authv3.Authorization_Check_FullMethodName, passes
	}
	if r.conn, err = rig.Dial(r.target.addr, method, wrong); err != nil {
		return err
	}
	_, err = r.load(b.streams, func(calls int) bool { return calls < len(r.messages) })
	return err
}

func (r *row) load(streams int, more func(int) bool) (rig.Loaded, error) {
	l, err := r.conn.Load(streams, func() []byte {
		r.next++
		return r.messages[r.next%len(r.messages)]
	}, more)
	if err != nil {
		return l, fmt.Errorf("%s: %w", r.what, err)
	}
	return l, nil
}

// measure loads a row once.
func (b *bench) measure(ctx context.Context, r *row) error {
	before, err := b.spent(ctx, r)
	if err != nil {
		return err
	}
	end := time.Now().Add(b.time)
	l, err := r.load(b.streams, func(int) bool { return time.Now().Before(end) })
	if err != nil {
		return err
	}
	after, err := b.spent(ctx, r)
	if err != nil {
		return err
	}
	if err := r.target.countsInRedis(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	calls := float64(l.Calls)
	r.rounds = append(r.rounds, round{
		cpu:       float64((after.cpu - before.cpu).Microseconds()) / calls,
		redisCPU:  float64((after.redisCPU - before.redisCPU).Microseconds()) / calls,
		perSecond: calls / l.Took.Seconds(),
		commands:  float64(after.commands-before.commands) / calls,
		latencies: l.Latencies,
	})
	return nil
}

// countsInRedis fails of a gatewright that has decided without its Redis.
func (t target) countsInRedis(ctx context.Context) error {
	if t.server == nil {
		return nil
	}
	metrics, err := t.server.Metrics(ctx)
	if err != nil {
		return err
	}
	if n := metrics["gatewright_ratelimit_store_errors_total"]; n > 0 {
		return fmt.Errorf("%v calls of Redis have failed", n)
	}
	return nil
}

// spent is what the processes have used until now.
type spent struct {
	cpu, redisCPU time.Duration
	commands      int64
}

func (b *bench) spent(ctx context.Context, r *row) (s spent, err error) {
	if s.cpu, err = r.target.CPU(); err != nil {
		return s, err
	}
	if s.redisCPU, err = b.redis.CPU(); err != nil {
		return s, err
	}
	s.commands, err = b.redis.Commands(ctx)
	return s, err
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
