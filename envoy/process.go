package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	// firstBackoff and maxBackoff bound the pause before a restart.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// stableAfter is how long an Envoy has to live for its next death to be
	// the first one again.
	stableAfter = 30 * time.Second
	// hopelessAfter is how many deaths in a row, by an Envoy that never became
	// ready, mean that it cannot run at all.
	hopelessAfter = 4
	// killAfter is how long Envoy may take to exit once it was told to.
	killAfter = 5 * time.Second
)

// ErrHopeless means that Envoy cannot run: it keeps dying before it is ready.
var ErrHopeless = errors.New("envoy does not stay up")

// ProcessOptions say how to run an Envoy.
type ProcessOptions struct {
	// Binary is the path of the executable.
	Binary string
	// Bootstrap are the options of its bootstrap; Admin is set by the process.
	Bootstrap BootstrapOptions
	// Concurrency is the number of worker threads. 0 is one for each core.
	Concurrency int
	// DrainDelay is how long new connections are still taken once Envoy is to end,
	// and DrainTimeout bounds how long requests in flight are waited for after that.
	// 0 does not wait.
	DrainDelay, DrainTimeout time.Duration
	// ListenerDrain is how long the connections of a listener that has changed, or
	// has gone, may go on: their clients are told to leave meanwhile, sooner or later,
	// and then they are closed. It is rounded to seconds; 0 is Envoy's own, 10m.
	ListenerDrain time.Duration
	// Stdout receives Envoy's access log, Stderr what else it says. With an
	// *os.File, Envoy writes to it directly.
	Stdout, Stderr io.Writer
	Log            *slog.Logger
}

// Process is an Envoy as a child of this process: started again when it dies,
// and drained before it is stopped.
type Process struct {
	o     ProcessOptions
	dir   string
	admin *Admin
	args  []string
}

// NewProcess prepares a folder with the bootstrap. Close removes it.
func NewProcess(o ProcessOptions) (*Process, error) {
	// Not the state directory: a socket's path is at most 107 bytes.
	dir, err := os.MkdirTemp("", "gatewright-envoy-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for Envoy: %w", err)
	}
	p := &Process{o: o, dir: dir}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Process) prepare() error {
	socket := filepath.Join(p.dir, "admin.sock")
	p.admin = NewAdmin(socket)
	p.o.Bootstrap.Admin = "unix:" + socket
	bootstrap, err := BootstrapYAML(p.o.Bootstrap)
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "bootstrap.yaml")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		return fmt.Errorf("writing Envoy's bootstrap: %w", err)
	}
	p.args = []string{
		"-c", file,
		// Each run has an Envoy of its own: no shared memory with another.
		"--disable-hot-restart",
		"--log-level", "warning",
		// A line for each body that is too long, with the path and its query: clients
		// could fill the log, and secrets stand in it. The access log has the request.
		"--component-log-level", "http:critical",
		"--log-format", "envoy %L %n: %v",
		// Envoy's default is 10 s, long for somebody who watches the log.
		"--file-flush-interval-msec", "200",
	}
	if seconds := int(p.o.ListenerDrain.Round(time.Second) / time.Second); seconds > 0 {
		p.args = append(p.args, "--drain-time-s", strconv.Itoa(seconds))
	}
	if p.o.Concurrency > 0 {
		p.args = append(p.args, "--concurrency", strconv.Itoa(p.o.Concurrency))
	}
	return nil
}

// Close removes the folder. Call it when Run has returned.
func (p *Process) Close() error {
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("removing Envoy's folder: %w", err)
	}
	return nil
}

// Admin is Envoy's admin interface.
func (p *Process) Admin() *Admin { return p.admin }

// Run keeps an Envoy running until the context ends, then drains and stops it.
// It returns nil after that, and ErrHopeless when Envoy does not stay up.
func (p *Process) Run(ctx context.Context) error {
	// The kernel kills the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	backoff, deaths := firstBackoff, 0
	for {
		started := time.Now()
		ready, err := p.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if ready {
			deaths = 0
		} else if deaths++; deaths >= hopelessAfter {
			return fmt.Errorf("%w: it died %d times before it was ready, at last with: %w", ErrHopeless, deaths, err)
		}
		if time.Since(started) > stableAfter {
			backoff = firstBackoff
		}
		p.o.Log.Error("envoy died; starting it again", "exit", err.Error(), "in", backoff.String())
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}
		backoff = min(backoff*2, maxBackoff)
	}
}

// runOnce runs one Envoy to its end. The error says how it ended.
func (p *Process) runOnce(ctx context.Context) (ready bool, err error) {
	cmd := exec.Command(p.o.Binary, p.args...)
	cmd.Env = environ(os.Environ())
	cmd.Stdout, cmd.Stderr = p.o.Stdout, p.o.Stderr
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("starting %s: %w", p.o.Binary, err)
	}
	p.o.Log.Info("envoy started", "pid", cmd.Process.Pid)

	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	watch, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	live := make(chan struct{})
	go func() {
		if p.admin.WaitReady(watch) == nil {
			close(live)
		}
	}()

	select {
	case err := <-exited:
		return isClosed(live), exitError(err)
	case <-ctx.Done():
	}
	p.drain()
	return isClosed(live), p.stop(cmd, exited)
}

// drain lets requests in flight end: clients are told to go, no new connection is
// taken any more, and those that stay are waited for.
func (p *Process) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.DrainDelay+p.o.DrainTimeout)
	defer cancel()
	if err := p.admin.Drain(ctx, p.o.DrainDelay); err != nil && p.o.DrainTimeout > 0 {
		p.o.Log.Warn("envoy was not drained in time", "error", err.Error(), "after", p.o.DrainTimeout.String())
	}
}

// stop ends Envoy, and returns when it is gone.
func (p *Process) stop(cmd *exec.Cmd, exited <-chan error) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have died by itself
	select {
	case err := <-exited:
		return exitError(err)
	case <-time.After(killAfter):
		p.o.Log.Warn("envoy does not exit; killing it", "pid", cmd.Process.Pid)
		_ = cmd.Process.Kill()
		return exitError(<-exited)
	}
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
