package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// controlPlane is Gatewright's own compiler and xDS server in this process, with
// no file before it: what is measured is the way from a config to Envoy.
type controlPlane struct {
	server *xds.Server
	grpc   *grpc.Server
	addr   string
	end    context.CancelFunc
	served chan error // what Serve returned; nil before it is called
	plan   *plan.Plan
	extent string // of what it serves
	envoy  *process
}

// startControlPlane serves a gateway to a real Envoy, and returns when that
// answers a question.
func (b *bench) startControlPlane(ctx context.Context, g *gateway, first question) (_ *controlPlane, err error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	streams, end := context.WithCancel(ctx)
	c := &controlPlane{
		server: xds.NewServer(streams, slog.New(slog.DiscardHandler), prometheus.NewRegistry()),
		grpc:   grpc.NewServer(),
		addr:   "unix:" + filepath.Join(dir, "grpc"),
		end:    end,
	}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	c.server.Register(c.grpc)
	accesslogv3.RegisterAccessLogServiceServer(c.grpc, noOutcomes{})
	if err := c.apply(ctx, g.config()); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "grpc"))
	if err != nil {
		return nil, fmt.Errorf("listening for Envoy: %w", err)
	}
	c.served = make(chan error, 1)
	go func() { c.served <- c.grpc.Serve(listener) }()
	if c.envoy, err = b.startEnvoy(ctx, c.addr, nil); err != nil {
		return nil, err
	}
	return c, answers(ctx, g.address, first)
}

// apply compiles a config on top of the one before, and publishes it: what
// gatewright does once it has read a file. It returns when every Envoy has
// acknowledged it.
func (c *controlPlane) apply(ctx context.Context, next *config.Config) error {
	options := plan.Options{Previous: c.plan}
	if c.plan != nil {
		options.Form = c.plan.Form
	}
	compiled, err := plan.Compile(next, options)
	if err != nil {
		return err
	}
	resources, err := served(compiled)
	if err != nil {
		return err
	}
	published, err := c.server.Publish(ctx, resources)
	switch {
	case err != nil:
		return fmt.Errorf("publishing: %w", err)
	case len(published.SetAside) > 0:
		return fmt.Errorf("publishing: %v", published.SetAside)
	case !published.Settled:
		return fmt.Errorf("publishing: Envoy does not answer")
	}
	c.plan, c.extent = compiled, extent(resources)
	return nil
}

// stop ends Envoy and the server.
func (c *controlPlane) stop() {
	if c.envoy != nil {
		c.envoy.stop()
	}
	c.end()
	c.grpc.Stop()
	if c.served != nil {
		<-c.served // nil after Stop
	}
}

// noOutcomes takes the access logs of Envoys, and throws them away.
type noOutcomes struct {
	accesslogv3.UnimplementedAccessLogServiceServer
}

// StreamAccessLogs takes one.
func (noOutcomes) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}
