// Command quickstart is what `make run` starts: demo backends and a demo
// identity provider at the addresses that a config names, the gateway beside
// them, and, when it is ready, the lines to try it with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatewright/gatewright/config"
)

func main() {
	file := flag.String("c", "examples/quickstart/gateway.yaml", "the gateway's config")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *file)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "quickstart: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) (err error) {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	servers, err := startDemo(c)
	defer func() { err = errors.Join(err, servers.Close()) }()
	if err != nil {
		return err
	}
	gateway, err := newGateway(file)
	if err != nil {
		return err
	}
	key, err := gateway.createKey(ctx)
	if err != nil {
		return err
	}
	return gateway.run(ctx, func() { printTour(os.Stdout, c, file, key) })
}

// gateway is the program under cmd/gatewright, as `make build` puts it beside
// this one.
type gateway struct {
	program string
	file    string
	env     []string
	admin   string
}

func newGateway(file string) (*gateway, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking for the gateway: %w", err)
	}
	g := &gateway{
		program: filepath.Join(filepath.Dir(self), "gatewright"),
		file:    file,
		env:     os.Environ(),
		admin:   os.Getenv("GATEWRIGHT_ADMIN_ADDR"),
	}
	if g.admin == "" {
		g.admin = "127.0.0.1:9002"
	}
	if os.Getenv("GATEWRIGHT_DATABASE_URL") == "" {
		const folder = ".gatewright"
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("making a folder for the API keys: %w", err)
		}
		g.env = append(g.env, "GATEWRIGHT_DATABASE_URL=sqlite:"+filepath.Join(folder, "quickstart.db"))
	}
	return g, nil
}

func (g *gateway) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.program, args...)
	cmd.Env = g.env
	cmd.Stderr = os.Stderr
	return cmd
}

// createKey makes an API key for this run.
func (g *gateway) createKey(ctx context.Context) (string, error) {
	out, err := g.command(ctx, "keys", "create", "--name", "quickstart", "--tenant", "acme",
		"--permission", "users:read", "--ttl", "24h", "-o", "json").Output()
	if err != nil {
		return "", fmt.Errorf("creating an API key: %w", err)
	}
	return keyOf(out)
}

// run runs the gateway until it ends: by itself, or because we were asked to.
func (g *gateway) run(ctx context.Context, ready func()) error {
	// Not ended with the context: at a terminal it gets the signal itself, and
	// by whatever else we are ended we pass it on; it takes time to drain.
	cmd := g.command(context.WithoutCancel(ctx), "run", "-c", g.file)
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	waiting, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	go func() {
		if waitReady(waiting, "http://"+g.admin+"/readyz") == nil {
			ready()
		}
	}()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the gateway ended: %w", err)
		}
		return nil
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		return <-ended
	}
}

func waitReady(ctx context.Context, url string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
