package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// smallCache is how many tokens the server remembers that is to remember none
// until it comes again.
const smallCache = 16

// row is one kind of call to one server.
type row struct {
	what     string
	server   *rig.Server
	conn     *rig.Connection
	messages [][]byte
	next     int
	rounds   []round
}

// round is what a row has come to once.
type round struct {
	cpu       float64 // µs a call
	perSecond float64
	mallocs   float64 // a call
	latencies []time.Duration
}

// bench is one run.
type bench struct {
	options
	dir      string
	progress io.Writer
	started  time.Time
	issuer   *issuer
	servers  []*rig.Server
	built    *rig.Gatewright
	// bare are the µs of CPU of one verification by crypto/rsa, in each round.
	bare []float64
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
	defer func() {
		for _, s := range b.servers {
			s.Stop()
		}
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	rows, err := b.rows(ctx)
	if err != nil {
		return "", err
	}
	for i := range o.rounds {
		b.say("round %d of %d", i+1, o.rounds)
		for j := range rows {
			if err := b.measure(ctx, rows[(i+j)%len(rows)]); err != nil {
				return "", err
			}
		}
		if err := b.measureBare(); err != nil {
			return "", err
		}
	}
	flood, err := b.flood(ctx)
	if err != nil {
		return "", err
	}
	memory, err := b.memory(ctx)
	if err != nil {
		return "", err
	}
	return b.table(ctx, rows) + flood + memory, nil
}

// rows starts the servers, and makes what they are asked.
func (b *bench) rows(ctx context.Context) ([]*row, error) {
	var err error
	if b.issuer, err = newIssuer(); err != nil {
		return nil, err
	}
	b.say("building gatewright")
	if b.built, err = rig.Build(ctx, b.dir); err != nil {
		return nil, err
	}
	b.say("signing %d tokens", b.tokens+b.fresh)
	seen, err := b.issuer.messages("RS256", 0, b.tokens)
	if err != nil {
		return nil, err
	}
	fresh, err := b.issuer.messages("RS256", b.tokens, b.fresh)
	if err != nil {
		return nil, err
	}
	database := "sqlite:" + filepath.Join(b.dir, "keys.db")
	keyed, err := b.issuer.keyMessages(ctx, database, b.tokens)
	if err != nil {
		return nil, err
	}
	asIs, err := b.noop(ctx, kindDefault)
	if err != nil {
		return nil, err
	}
	tuned, err := b.noop(ctx, kindTuned)
	if err != nil {
		return nil, err
	}
	loop, err := b.noop(ctx, kindLoop)
	if err != nil {
		return nil, err
	}
	ours, err := b.gatewright(ctx, "GATEWRIGHT_DATABASE_URL="+database)
	if err != nil {
		return nil, err
	}
	forgetful, err := b.gatewright(ctx, "GATEWRIGHT_DATABASE_URL="+database, fmt.Sprint("GATEWRIGHT_TOKEN_CACHE_ENTRIES=", smallCache))
	if err != nil {
		return nil, err
	}
	rows := []*row{
		{what: noopDefault, server: asIs, messages: seen}, {what: noopTuned, server: tuned, messages: seen},
		{what: noopLoop, server: loop, messages: seen},
		{what: jwtSeen, server: ours, messages: seen}, {what: keySeen, server: ours, messages: keyed},
		{what: jwtFresh, server: forgetful, messages: fresh},
	}
	for _, r := range rows {
		if r.conn, err = dial(r.server, passes); err != nil {
			return nil, fmt.Errorf("%s: %w", r.what, err)
		}
		// Once all that there is: from then on it has been seen.
		if _, err := r.load(b.streams, func(calls int) bool { return calls < len(r.messages) }); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// noop starts a server that judges nothing.
func (b *bench) noop(ctx context.Context, kind string) (*rig.Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return b.keep(rig.StartServer(ctx, b.dir, "/metrics", func(s *rig.Server) *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", childVariable, kind, s.GRPC, s.Admin))
		return cmd
	}))
}

// gatewright starts `gatewright serve`, and returns when it has the config.
func (b *bench) gatewright(ctx context.Context, env ...string) (*rig.Server, error) {
	return b.gatewrightFor(ctx, b.issuer, env...)
}

// gatewrightFor is gatewright with the config of an issuer.
func (b *bench) gatewrightFor(ctx context.Context, i *issuer, env ...string) (*rig.Server, error) {
	return b.keep(b.built.Serve(ctx, i.config, env...))
}

// keep keeps a server that has been started, to be stopped in the end.
func (b *bench) keep(s *rig.Server, err error) (*rig.Server, error) {
	if err == nil {
		b.servers = append(b.servers, s)
	}
	return s, err
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
	before, err := r.server.Metrics(ctx)
	if err != nil {
		return err
	}
	cpu, err := r.server.CPU()
	if err != nil {
		return err
	}
	end := time.Now().Add(b.time)
	l, err := r.load(b.streams, func(int) bool { return time.Now().Before(end) })
	if err != nil {
		return err
	}
	after, err := r.server.CPU()
	if err != nil {
		return err
	}
	then, err := r.server.Metrics(ctx)
	if err != nil {
		return err
	}
	const hits, mallocs = `gatewright_token_cache_lookups_total{result="hit"}`, "go_memstats_mallocs_total"
	if again := then[hits] - before[hits]; r.what == jwtFresh && again > float64(l.Calls)/100 {
		return fmt.Errorf("%s: %v of %d were remembered: more -fresh tokens are needed", r.what, again, l.Calls)
	}
	r.rounds = append(r.rounds, round{
		cpu:       float64((after - cpu).Microseconds()) / float64(l.Calls),
		perSecond: float64(l.Calls) / l.Took.Seconds(),
		mallocs:   (then[mallocs] - before[mallocs]) / float64(l.Calls),
		latencies: l.Latencies,
	})
	return nil
}

// measureBare verifies one signature again and again, by crypto/rsa alone, and
// takes the CPU time of its own thread.
func (b *bench) measureBare() error {
	digest := sha256.Sum256([]byte("a token"))
	signature, err := rsa.SignPKCS1v15(nil, b.issuer.RSA, crypto.SHA256, digest[:])
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	const times = 2000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadCPU()
	if err != nil {
		return err
	}
	for range times {
		if err := rsa.VerifyPKCS1v15(&b.issuer.RSA.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
	}
	after, err := threadCPU()
	b.bare = append(b.bare, float64((after-before).Microseconds())/times)
	return err
}

// threadCPU is how long this thread has run.
func threadCPU() (time.Duration, error) {
	const ofThread = 1 // RUSAGE_THREAD, of Linux
	var u syscall.Rusage
	if err := syscall.Getrusage(ofThread, &u); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
