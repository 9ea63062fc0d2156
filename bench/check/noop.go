package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/heap"
	"github.com/gatewright/gatewright/internal/telemetry"
)

// childVariable asks this program, in its environment, to be a server that
// judges nothing: "KIND GRPC-ADDRESS METRICS-ADDRESS".
const childVariable = "BENCH_CHECK_CHILD"

// The kinds of such a server: gRPC as it comes; with the options and the heap of
// Gatewright; and Gatewright's port, on which calls are not grpc-go's, with a
// handler that does not even read the message.
const (
	kindDefault = "default"
	kindTuned   = "tuned"
	kindLoop    = "loop"
)

// noop lets everybody pass, by the generated types.
type noop struct {
	authv3.UnimplementedAuthorizationServer
}

func (noop) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{
		Status:       &statuspb.Status{},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
	}, nil
}

// unread answers without reading the message.
func unread(_ context.Context, _, reply []byte) ([]byte, error) {
	return append(reply, "\x0a\x00\x1a\x00"...), nil
}

// port is a server that can be asked.
type port interface {
	Serve(net.Listener) error
}

// newNoop is the server of a kind.
func newNoop(kind string) (port, error) {
	if kind == kindDefault {
		server := grpc.NewServer()
		authv3.RegisterAuthorizationServer(server, noop{})
		return server, nil
	}
	d, err := door.New(door.Settings{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	server := d.NewServer()
	switch kind {
	case kindTuned: // what has no handler is grpc-go's
		authv3.RegisterAuthorizationServer(server, noop{})
	case kindLoop:
		server.Handle(authv3.Authorization_Check_FullMethodName, unread)
	default:
		return nil, fmt.Errorf("no server is called %q", kind)
	}
	return server, nil
}

func runChild(asked string) error {
	fields := strings.Fields(asked)
	if len(fields) != 3 {
		return fmt.Errorf("%s=%q: want KIND ADDRESS ADDRESS", childVariable, asked)
	}
	server, err := newNoop(fields[0])
	if err != nil {
		return err
	}
	if fields[0] != kindDefault {
		defer heap.Raise(heap.Floor)()
	}
	listener, err := net.Listen("tcp", fields[1])
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	var group errgroup.Group
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error {
		handler := promhttp.HandlerFor(telemetry.NewRegistry(), promhttp.HandlerOpts{})
		return http.ListenAndServe(fields[2], handler)
	})
	// The parent ends this process; who is left without one has nothing to do.
	err = group.Wait()
	fmt.Fprintln(os.Stderr, err)
	return err
}
