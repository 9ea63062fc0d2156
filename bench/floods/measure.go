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
	envoy         rig.PID
	public, hasty string
	others        *http.Client
}

func start(ctx context.Context, dir string, o options) (*bench, error) {
	b := &bench{options: o, app: startBackend(), others: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	err := b.launch(ctx, dir)
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// startBackend speaks HTTP/1.1, and HTTP/2 to who begins with it.
func startBackend() *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	return s
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
backends: {app: {endpoints: [%q], protocol: %s}}
routes: [{name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 30s}]
`, b.public, b.hasty, b.app.Listener.Addr(), b.backend)
	b.gateway, err = built.Run(ctx, []byte(config), "GATEWRIGHT_ENVOY="+b.options.envoy, "GATEWRIGHT_ENVOY_CONCURRENCY=1", "GATEWRIGHT_DRAIN_DELAY=0s", "GATEWRIGHT_DRAIN_TIMEOUT=1s")
	if err != nil {
		return err
	}
	b.envoy, err = b.gateway.Child()
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
	var all [kinds]window
	var p99s [kinds][]float64
	// Some attacks wait for the gateway, and have not all the writes that they may have.
	first, err := b.window(ctx, a, besideAttack, b.rate)
	if err != nil {
		return "", err
	}
	rate := max(1, int(float64(first.writes)/first.took.Seconds()))
	for i := range b.rounds {
		for j := range kinds {
			kind := (i + j) % kinds
			w, err := b.window(ctx, a, kind, [kinds]int{besideHarmless: rate, besideAttack: b.rate}[kind])
			if err != nil {
				return "", err
			}
			p99s[kind] = append(p99s[kind], float64(rig.Quantile(w.times, 0.99)))
			all[kind].add(w)
		}
	}
	ratio := rig.Ratio(p99s[besideAttack], p99s[besideHarmless])
	p99 := func(kind int) time.Duration {
		return time.Duration(rig.Median(p99s[kind])).Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("| %s | %d | %.0f | %.0f → %.0f | %s | %s | %s | %.2f | %s |\n", a.Name, a.Connections,
		float64(all[besideAttack].writes)/all[besideAttack].took.Seconds(),
		all[besideHarmless].cost(all[alone]), all[besideAttack].cost(all[alone]),
		p99(alone), p99(besideHarmless), p99(besideAttack), ratio, rig.Yes(ratio <= mostOfP99)), nil
}

// window is what happened in a while.
type window struct {
	times     []time.Duration // of somebody else's requests
	writes    int64           // of the attacker
	cpu, took time.Duration   // of Envoy's CPU, and in all
}

func (w *window) add(more window) {
	w.times = append(w.times, more.times...)
	w.writes += more.writes
	w.cpu += more.cpu
	w.took += more.took
}

// cost is the time of Envoy's CPU that a write takes beyond what somebody else's requests
// take alone, in microseconds.
func (w *window) cost(alone window) float64 {
	others := alone.cpu.Seconds() / alone.took.Seconds() * w.took.Seconds()
	return 1e6 * (w.cpu.Seconds() - others) / float64(max(1, w.writes))
}

// window is what somebody else feels for a while. An attack has lasted for some time
// before, with so many writes a second at most.
func (b *bench) window(ctx context.Context, a floods.Attack, kind, rate int) (w window, err error) {
	cpu, err := b.envoy.CPU()
	if err != nil {
		return w, err
	}
	began := time.Now()
	if kind == alone {
		time.Sleep(settling)
		if w.times, err = b.ask(ctx); err != nil {
			return w, err
		}
	} else if err = b.beside(ctx, a, kind == besideHarmless, rate, &w); err != nil {
		return w, err
	}
	w.took = time.Since(began)
	after, err := b.envoy.CPU()
	w.cpu = after - cpu
	return w, err
}

// beside is that beside an attacker.
func (b *bench) beside(ctx context.Context, a floods.Attack, harmless bool, rate int, w *window) error {
	attacker, err := b.attack(a, harmless, rate)
	if err != nil {
		return err
	}
	time.Sleep(settling)
	w.times, err = b.ask(ctx)
	writes, failed, stopped := attacker.stop()
	w.writes = writes
	if harmless && failed > 0 {
		stopped = errors.Join(stopped, fmt.Errorf("%d harmless requests failed", failed))
	}
	return errors.Join(err, stopped)
}

// ask is how long somebody else's requests take. Each counts from when it was due: those
// who ask do not wait for each other.
func (b *bench) ask(ctx context.Context) (times []time.Duration, err error) {
	end := time.Now().Add(b.time)
	for at := time.Now(); at.Before(end); at = at.Add(time.Second / othersRate) {
		time.Sleep(time.Until(at))
		if err := send(b.others, "http://"+b.public+"/good", nil); err != nil {
			return nil, fmt.Errorf("somebody else: %w", err)
		}
		times = append(times, time.Since(at))
	}
	return times, ctx.Err()
}

// attacker is a process that attacks.
type attacker struct {
	*rig.Process
	input  io.Closer
	output io.Reader
}

// attack starts one. It has one core at most, and only what others leave of it: what it
// takes away is not the gateway's to give.
func (b *bench) attack(a floods.Attack, harmless bool, rate int) (*attacker, error) {
	addr := b.public
	if a.Hasty && !harmless {
		addr = b.hasty
	}
	cmd := exec.Command("nice", "-n", "10", b.program, "-attacker", a.Name, "-addr", addr, "-rate", fmt.Sprint(rate), fmt.Sprintf("-harmless=%t", harmless))
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
