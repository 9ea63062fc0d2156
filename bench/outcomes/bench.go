package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// The config: so many routes, each to one of the backends, all of which have a
// breaker; and some of them with a canary beside it, in a rollout.
const (
	routes   = 100
	backends = 5
	rollouts = 10
)

func routeName(i int) string   { return fmt.Sprintf("get-users-%d", i) }
func backendName(i int) string { return fmt.Sprintf("users-v%d", i) }

// gatewayConfig is what the gatewright serves.
func gatewayConfig() []byte {
	var out strings.Builder
	out.WriteString("listeners: [{name: public, address: 127.0.0.1:8080}]\n" +
		// Nobody takes the spans: none are made of what the entries tell.
		"tracing: {otlp: {backend: collector}, errors: false, exemplars: user}\n" +
		"backends:\n  collector: {endpoints: [127.0.0.1:4317], protocol: grpc}\n")
	for i := range backends {
		fmt.Fprintf(&out, "  %s: {endpoints: [127.0.0.1:%d], breaker: {}}\n", backendName(i), 9100+i)
	}
	out.WriteString("routes:\n")
	for i := range routes {
		stable, canary := backendName(i%backends), backendName((i+1)%backends)
		to := fmt.Sprintf("to: [{backend: %s}]", stable)
		if i < rollouts {
			to = fmt.Sprintf("to: [{backend: %s, weight: 100}, {backend: %s, weight: 0}], rollout: {backend: %s, steps: [50, 100], every: 1h}", stable, canary, canary)
		}
		fmt.Fprintf(&out, "  - {name: %s, match: {path: /users/%d}, auth: public, %s}\n", routeName(i), i, to)
	}
	return []byte(out.String())
}

// row is one kind of log.
type row struct {
	what    string
	entries int           // of a message
	every   time.Duration // between two messages of a stream. 0: as fast as they are taken
	change  change

	messages [][]byte
	rounds   []round
}

// round is what a row has come to once.
type round struct {
	outcomes  int
	perSecond float64
	cpu       float64 // µs an outcome
}

func rows() []*row {
	return []*row{
		{what: "routes without a verdict", entries: entriesPerMessage, change: unjudged},
		{what: "requests with an API key", entries: entriesPerMessage, change: judged},
		{what: "each tenth has failed, in three ways", entries: entriesPerMessage, change: failing},
		{what: "each is counted in flight by two limits", entries: entriesPerMessage, change: inFlight},
		{what: "each is in a trace that is recorded, and may be an exemplar", entries: entriesPerMessage, change: traced},
		{what: "4 000 requests a second on four threads of Envoys, each sent after 50 ms", entries: 50, every: 50 * time.Millisecond, change: judged},
	}
}

// streams are the threads of Envoys that send at once.
const streams = 4

// bench is one run.
type bench struct {
	options
	progress io.Writer
	started  time.Time
	server   *rig.Server
	conns    []*grpc.ClientConn // one for each stream, as the threads of an Envoy have them
	idle     float64            // CPU that the server uses without any log, as a share of a core
}

// measure is the report.
func measure(ctx context.Context, o options, progress io.Writer) (_ string, err error) {
	if err := o.validate(); err != nil {
		return "", err
	}
	b := &bench{options: o, progress: progress, started: time.Now()}
	dir, err := os.MkdirTemp("", "gw-bench-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.say("building gatewright")
	built, err := rig.Build(ctx, dir)
	if err != nil {
		return "", err
	}
	if b.server, err = built.Serve(ctx, gatewayConfig()); err != nil {
		return "", err
	}
	defer b.server.Stop()
	for range streams {
		conn, err := grpc.NewClient(b.server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return "", fmt.Errorf("connecting: %w", err)
		}
		defer conn.Close() //nolint:errcheck // all that was sent has been counted
		b.conns = append(b.conns, conn)
	}
	b.say("gatewright is process %d", b.server.PID)
	wanted := regexp.MustCompile(o.rows) // it has been validated
	all := slices.DeleteFunc(rows(), func(r *row) bool { return !wanted.MatchString(r.what) })
	for _, r := range all {
		if r.messages, err = messages(r.entries, r.change); err != nil {
			return "", err
		}
	}
	if err := b.measureIdle(ctx); err != nil {
		return "", err
	}
	for i := range b.rounds {
		b.say("round %d of %d", i+1, b.rounds)
		for j := range all {
			if err := b.measure(ctx, all[(i+j)%len(all)]); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("%s\n\nWithout any log the process uses %.1f %% of a core, which is taken off.\n%s", rig.Machine(ctx), 100*b.idle, table(all)), nil
}

// measureIdle measures what the server uses by itself.
func (b *bench) measureIdle(ctx context.Context) error {
	b.say("at rest")
	before, err := b.server.CPU()
	if err != nil {
		return err
	}
	wait := time.Duration(b.rounds) * b.time
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := b.server.CPU()
	b.idle = (after - before).Seconds() / wait.Seconds()
	return err
}

// measure loads a row once. All that was sent must have been counted.
func (b *bench) measure(ctx context.Context, r *row) error {
	counted, err := b.counted(ctx)
	if err != nil {
		return err
	}
	before, err := b.server.CPU()
	if err != nil {
		return err
	}
	began := time.Now()
	sent, err := b.load(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	took := time.Since(began)
	after, err := b.server.CPU()
	if err != nil {
		return err
	}
	now, err := b.counted(ctx)
	if err != nil {
		return err
	}
	if got := int(now - counted); got != sent {
		return fmt.Errorf("%s: %d outcomes were sent, %d counted", r.what, sent, got)
	}
	r.rounds = append(r.rounds, round{
		outcomes: sent, perSecond: float64(sent) / took.Seconds(),
		cpu: 1e6 * ((after - before).Seconds() - b.idle*took.Seconds()) / float64(sent),
	})
	return nil
}

// counted is how many outcomes the metrics tell of.
func (b *bench) counted(ctx context.Context) (sum float64, err error) {
	all, err := b.server.Metrics(ctx)
	for name, n := range all {
		if strings.HasPrefix(name, "gatewright_requests_total{") {
			sum += n
		}
	}
	return sum, err
}

// load sends the messages of a row on all streams, and returns how many outcomes
// were in them when all are taken.
func (b *bench) load(ctx context.Context, r *row) (outcomes int, err error) {
	end := time.Now().Add(b.time)
	sent, faults := make([]int, streams), make(chan error, streams)
	for i := range streams {
		go func() {
			var err error
			sent[i], err = b.send(ctx, r, i, end)
			faults <- err
		}()
	}
	for range streams {
		err = errors.Join(err, <-faults)
	}
	for _, n := range sent {
		outcomes += n * r.entries
	}
	return outcomes, err
}

// send sends messages on one stream until the time has come, and waits until they
// are taken.
func (b *bench) send(ctx context.Context, r *row, first int, end time.Time) (sent int, err error) {
	stream, err := b.conns[first].NewStream(ctx, &accesslogv3.AccessLogService_ServiceDesc.Streams[0],
		accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, grpc.ForceCodecV2(asTheyAre{}))
	if err != nil {
		return 0, fmt.Errorf("opening a stream: %w", err)
	}
	for ; time.Now().Before(end); sent++ {
		if err := stream.SendMsg(r.messages[(first*messagesInRotation/streams+sent)%messagesInRotation]); err != nil {
			return sent, fmt.Errorf("sending: %w", err)
		}
		time.Sleep(r.every)
	}
	if err := stream.CloseSend(); err != nil {
		return sent, fmt.Errorf("ending a stream: %w", err)
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		return sent, fmt.Errorf("waiting for the end: %w", err)
	}
	return sent, nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
