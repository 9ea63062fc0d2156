package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/internal/floods"
	"github.com/gatewright/gatewright/internal/testenv"
)

const (
	// othersRate is how many requests a second somebody else makes, on one connection that
	// is kept.
	othersRate = 400
	// settling is how long an attack lasts before it is measured what others feel.
	settling = 500 * time.Millisecond
	// mostOfP99 is how much of the p99 beside harmless requests the one beside an attack
	// may be.
	mostOfP99 = 1.2
)

// bench is a gateway under attack: an Envoy with one worker, and a backend that answers at
// once.
type bench struct {
	options
	program       string
	app           *httptest.Server
	gateway       *rig.Server
	public, hasty string
	others        *http.Client
}

func start(ctx context.Context, dir string, o options) (*bench, error) {
	b := &bench{options: o, app: httptest.NewServer(http.HandlerFunc(answer)), others: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	err := b.launch(ctx, dir)
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

var long = strings.Repeat("long ", 200_000)

// answer is the backend's: a megabyte for /long, and else as many bytes as were sent.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/long" {
		_, _ = io.WriteString(w, long) // the attacker does not want it
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // an attacker's has no end
	_, _ = io.WriteString(w, "well")
}

func (b *bench) launch(ctx context.Context, dir string) error {
	var err error
	if b.program, err = os.Executable(); err != nil {
		return err
	}
	for _, addr := range []*string{&b.public, &b.hasty} {
		if *addr, err = testenv.FreeAddr(); err != nil {
			return err
		}
	}
	built, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`listeners:
  - {name: public, address: %q}
  - {name: hasty, address: %q, bounds: {headersTimeout: 700ms, requestTimeout: 700ms, streamIdleTimeout: 700ms, idleTimeout: 700ms}}
backends: {app: {endpoints: [%q]}}
routes: [{name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 30s}]
`, b.public, b.hasty, b.app.Listener.Addr())
	b.gateway, err = built.Run(ctx, []byte(config), "GATEWRIGHT_ENVOY="+b.envoy, "GATEWRIGHT_ENVOY_CONCURRENCY=1", "GATEWRIGHT_DRAIN_DELAY=0s", "GATEWRIGHT_DRAIN_TIMEOUT=1s")
	return err
}

func (b *bench) stop() {
	b.others.CloseIdleConnections()
	if b.gateway != nil {
		b.gateway.Stop()
	}
	b.app.Close()
}

// The kinds of time that somebody else is measured in.
const (
	alone = iota
	besideHarmless
	besideAttack
	kinds
)

// measure is the row of an attack. The kinds take turns, and begin in turn, since a machine
// is not as fast in one moment as in the next.
func (b *bench) measure(ctx context.Context, a floods.Attack) (string, error) {
	var all [kinds][]time.Duration
	var p99s [kinds][]float64
	var rate float64
	for i := range b.rounds {
		for j := range kinds {
			kind := (i + j) % kinds
			times, writes, err := b.window(ctx, a, kind)
			if err != nil {
				return "", err
			}
			all[kind] = append(all[kind], times...)
			p99s[kind] = append(p99s[kind], float64(rig.Quantile(times, 0.99)))
			if kind == besideAttack {
				rate += writes / float64(b.rounds)
			}
		}
	}
	ratio := rig.Ratio(p99s[besideAttack], p99s[besideHarmless])
	return fmt.Sprintf("| %s | %d | %.0f | %s | %s | %s | %.2f | %s |\n", a.Name, a.Connections, rate,
		rig.Quantile(all[alone], 0.99), rig.Quantile(all[besideHarmless], 0.99), rig.Quantile(all[besideAttack], 0.99), ratio, rig.Yes(ratio <= mostOfP99)), nil
}

// window is what somebody else feels for a while: how long each request took, and how many
// writes a second the attacker had.
func (b *bench) window(ctx context.Context, a floods.Attack, kind int) (times []time.Duration, writes float64, err error) {
	if kind != alone {
		attacker, err := b.attack(a, kind == besideHarmless)
		if err != nil {
			return nil, 0, err
		}
		began := time.Now()
		defer func() {
			var n, failed int64
			n, failed, stopped := attacker.stop()
			writes = float64(n) / time.Since(began).Seconds()
			if kind == besideHarmless && failed > 0 {
				stopped = errors.Join(stopped, fmt.Errorf("%d harmless requests failed", failed))
			}
			err = errors.Join(err, stopped)
		}()
	}
	time.Sleep(settling)
	end := time.Now().Add(b.time)
	for at := time.Now(); at.Before(end); at = at.Add(time.Second / othersRate) {
		time.Sleep(time.Until(at))
		if err := send(b.others, "http://"+b.public+"/good", nil); err != nil {
			return nil, 0, fmt.Errorf("somebody else: %w", err)
		}
		times = append(times, time.Since(at)) // from when it was due: nobody waits for the one before
	}
	return times, 0, ctx.Err()
}

// attacker is a process that attacks.
type attacker struct {
	*rig.Process
	input  io.Closer
	output io.Reader
}

// attack starts one. It has one core at most, and only what others leave of it: what it
// takes away is not the gateway's to give.
func (b *bench) attack(a floods.Attack, harmless bool) (*attacker, error) {
	addr := b.public
	if a.Hasty && !harmless {
		addr = b.hasty
	}
	cmd := exec.Command("nice", "-n", "10", b.program, "-attacker", a.Name, "-addr", addr, "-rate", fmt.Sprint(b.rate), fmt.Sprintf("-harmless=%t", harmless))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = writer
	p, err := rig.StartProcess(cmd)
	writer.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	return &attacker{Process: p, input: input, output: reader}, nil
}

// stop ends it, and tells how many writes it had, and how many of its connections failed.
func (a *attacker) stop() (writes, failed int64, err error) {
	defer a.Stop()
	if err := a.input.Close(); err != nil {
		return 0, 0, err
	}
	_, err = fmt.Fscan(a.output, &writes, &failed)
	if err != nil {
		err = errors.Join(fmt.Errorf("the attacker does not say what it did: %w", err), a.Died())
	}
	return writes, failed, err
}

