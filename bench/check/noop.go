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
// Gatewright; and those without even reading the message.
const (
	kindDefault = "default"
	kindTuned   = "tuned"
	kindBytes   = "bytes"
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

// unread is a message of which nothing is read, and an answer that is ready.
type unread struct{}

func (*unread) UnmarshalBinary([]byte) error { return nil }

func (*unread) MarshalBinary() ([]byte, error) { return []byte("\x0a\x00\x1a\x00"), nil }

// bytesService is what is left of a call without its content: gRPC's own work.
var bytesService = grpc.ServiceDesc{
	ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
	HandlerType: (*authv3.AuthorizationServer)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Check", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		message := &unread{}
		return message, decode(message)
	}}},
}

func runChild(asked string) error {
	fields := strings.Fields(asked)
	if len(fields) != 3 {
		return fmt.Errorf("%s=%q: want KIND ADDRESS ADDRESS", childVariable, asked)
	}
	var options []grpc.ServerOption
	switch fields[0] {
	case kindDefault:
	case kindTuned, kindBytes:
		d, err := door.New(door.Settings{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			return err
		}
		options = d.ServerOptions()
		defer heap.Raise(heap.Floor)()
	default:
		return fmt.Errorf("no server is called %q", fields[0])
	}
	listener, err := net.Listen("tcp", fields[1])
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := grpc.NewServer(options...)
	if fields[0] == kindBytes {
		server.RegisterService(&bytesService, noop{})
	} else {
		authv3.RegisterAuthorizationServer(server, noop{})
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
