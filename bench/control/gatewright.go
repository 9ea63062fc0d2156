package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// gatewright is `gatewright serve` as a process, with the file that it follows.
type gatewright struct {
	*process
	file  string
	grpc  string // its address for Envoys
	admin string
}

// startGatewright starts one on a config, and returns when it serves it.
func (b *bench) startGatewright(ctx context.Context, text []byte) (*gatewright, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	admin, err := testenv.FreeAddr()
	if err != nil {
		return nil, err
	}
	g := &gatewright{file: filepath.Join(dir, "gateway.yaml"), grpc: "unix:" + filepath.Join(dir, "grpc"), admin: admin}
	if _, err := g.write(text); err != nil {
		return nil, err
	}
	env := append(environment(),
		"GATEWRIGHT_GRPC_ADDR="+g.grpc,
		"GATEWRIGHT_ADMIN_ADDR="+admin,
		"GATEWRIGHT_DATABASE_URL=sqlite:"+filepath.Join(dir, "keys.db"))
	if g.process, err = startProcess(dir, env, b.gatewright, "serve", "-c", g.file); err != nil {
		return nil, err
	}
	if err := g.waitReady(ctx); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// environment is our own without any setting of a gateway.
func environment() []string {
	var out []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GATEWRIGHT_") {
			out = append(out, pair)
		}
	}
	return out
}

// write replaces the config file in one step, and says when it did.
func (g *gatewright) write(text []byte) (time.Time, error) {
	next := g.file + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return time.Time{}, fmt.Errorf("writing the config: %w", err)
	}
	at := time.Now()
	if err := os.Rename(next, g.file); err != nil {
		return at, fmt.Errorf("replacing the config: %w", err)
	}
	return at, nil
}

func (g *gatewright) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if err := g.died(); err != nil {
			return err
		}
		err := g.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until gatewright is ready: %w\n%s", err, g.stderr.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (g *gatewright) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", resp.Status)
	}
	return nil
}

// pair is a gatewright and an Envoy that it serves.
type pair struct {
	*gatewright
	envoy *process
}

// startPair starts both, and returns when the gateway answers a question.
func (b *bench) startPair(ctx context.Context, g *gateway, first question) (*pair, error) {
	control, err := b.startGatewright(ctx, g.text())
	if err != nil {
		return nil, err
	}
	proxy, err := b.startEnvoy(ctx, control.grpc, nil)
	if err != nil {
		control.stop()
		return nil, err
	}
	p := &pair{control, proxy}
	if err := answers(ctx, g.address, first); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// answers waits until a gateway gives the right answer.
func answers(ctx context.Context, addr string, q question) error {
	c := newClient(addr)
	defer c.close()
	_, err := c.untilRight(ctx, q)
	return err
}

// stop ends both, Envoy first.
func (p *pair) stop() {
	p.envoy.stop()
	p.gatewright.stop()
}

// died tells of the one that has ended.
func (p *pair) died() error {
	if err := p.envoy.died(); err != nil {
		return err
	}
	return p.gatewright.died()
}
