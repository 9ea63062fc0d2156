package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/xds"
)

// startPatience is how long an Envoy may take until it is live. With a hundred
// thousand routes on one host it needs several seconds.
const startPatience = 2 * time.Minute

// startEnvoy starts an Envoy whose control plane is at a gRPC address, and
// returns when it is live. change may alter its bootstrap. It has one worker
// thread, so that its requests a second are those of one core, and it has the
// bootstrap of `gatewright run`.
func (b *bench) startEnvoy(ctx context.Context, control string, change func(*bootstrapv3.Bootstrap)) (*process, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "admin.sock")
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: filepath.Base(dir), ControlCluster: xds.ControlCluster, CallCluster: xds.CallCluster, EnvoysCluster: xds.EnvoysCluster, ControlAddr: control, Admin: "unix:" + socket,
	})
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(bootstrap)
	}
	file := filepath.Join(dir, "bootstrap.pb")
	if err := writeMessage(file, bootstrap); err != nil {
		return nil, err
	}
	p, err := startProcess(dir, nil, b.envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	go func() {
		select {
		case <-p.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := envoy.NewAdmin(socket).WaitReady(ctx); err != nil {
		if died := p.died(); died != nil {
			return nil, died
		}
		p.stop()
		return nil, fmt.Errorf("waiting until Envoy is live: %w\n%s", err, p.stderr.String())
	}
	return p, nil
}

// writeMessage writes a file that Envoy takes for a message by its name, *.pb.
func writeMessage(file string, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", m, err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("writing %T: %w", m, err)
	}
	return nil
}
