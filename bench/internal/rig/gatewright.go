package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Gatewright is a program that was built from the source that this one stands in.
type Gatewright struct {
	dir     string
	program string
}

// Build builds it into a folder, in which its processes have theirs.
func Build(ctx context.Context, dir string) (*Gatewright, error) {
	g := &Gatewright{dir: dir, program: filepath.Join(dir, "gatewright")}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", g.program, "github.com/gatewright/gatewright/cmd/gatewright")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building gatewright: %w\n%s", err, out)
	}
	return g, nil
}

// Serve starts `gatewright serve` with a config and settings, as NAME=VALUE, and
// returns when it serves that config. No setting is taken over from this process.
func (g *Gatewright) Serve(ctx context.Context, config []byte, settings ...string) (*Server, error) {
	return g.start(ctx, "serve", config, settings)
}

// Run starts `gatewright run` likewise, with its Envoy (GATEWRIGHT_ENVOY).
func (g *Gatewright) Run(ctx context.Context, config []byte, settings ...string) (*Server, error) {
	return g.start(ctx, "run", config, settings)
}

func (g *Gatewright) start(ctx context.Context, command string, config []byte, settings []string) (*Server, error) {
	dir, err := os.MkdirTemp(g.dir, command+"-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), config, 0o600); err != nil {
		return nil, fmt.Errorf("writing the config: %w", err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GATEWRIGHT_") })
	return StartServer(ctx, dir, "/readyz", func(s *Server) *exec.Cmd {
		cmd := exec.Command(g.program, command, "-c", "gateway.yaml")
		cmd.Env = append(append(env, "GATEWRIGHT_GRPC_ADDR="+s.GRPC, "GATEWRIGHT_ADMIN_ADDR="+s.Admin), settings...)
		return cmd
	})
}
