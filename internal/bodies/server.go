package bodies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// maxBody is the longest body that any route may have rewritten.
	maxBody = 1 << 20
	// maxStreams is how many requests may be under way at once. Each holds a stream
	// until its answer has been rewritten; beyond it they are refused.
	maxStreams = 16_384
	// maxRewriting is how many bodies are rewritten at the same time, by each processor:
	// others wait, so that a flood of them takes no more memory than there is.
	maxRewriting = 4
)

// Options are what a Server needs.
type Options struct {
	// KnownRoute tells whether a config in use has a route of that name: others are not
	// counted by their names.
	KnownRoute func(name string) bool
	// Processors is how many the process has, at least 1.
	Processors int
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Server is Envoy's external processor.
type Server struct {
	extprocv3.UnimplementedExternalProcessorServer

	knownRoute func(string) bool
	log        *slog.Logger
	tasks      tasks
	streams    chan struct{}
	rewriting  chan struct{}
	rewrites   *prometheus.CounterVec
}

// NewServer returns a server, and registers its metric.
func NewServer(o Options) *Server {
	return &Server{
		knownRoute: o.KnownRoute,
		log:        o.Log,
		tasks:      tasks{known: map[string]*Task{}},
		streams:    make(chan struct{}, maxStreams),
		rewriting:  make(chan struct{}, maxRewriting*max(1, o.Processors)),
		rewrites: promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_body_rewrites_total",
			Help: "Bodies that routes with templates were to rewrite, by route, direction (request or response) and result: rewritten, or why not: type, encoding, too-large, not-json or not-fitting.",
		}, []string{"route", "direction", "result"}),
	}
}

// Register offers the server on a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { extprocv3.RegisterExternalProcessorServer(r, s) }

// Process does the task of one request. A stream that ends without an error has
// nothing more to do, so that whatever goes wrong must be one: Envoy would let the
// rest pass as it is.
func (s *Server) Process(stream extprocv3.ExternalProcessor_ProcessServer) (err error) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return status.Error(codes.ResourceExhausted, "too many bodies are under way")
	}
	defer func() {
		if fault := recover(); fault != nil {
			s.log.Error("rewriting a body panicked", "fault", fault, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "rewriting the body failed")
		}
	}()
	x, err := s.exchange(stream.Context())
	if err != nil {
		return err
	}
	for !x.done {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return status.Error(codes.Canceled, "the request has ended") // it may, before an answer
		}
		if err != nil {
			return fmt.Errorf("receiving from Envoy: %w", err)
		}
		answer, err := x.answer(message)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return fmt.Errorf("answering Envoy: %w", err)
		}
	}
	return nil
}

// exchange begins with the task of a call.
func (s *Server) exchange(ctx context.Context) (*exchange, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get(TaskHeader)
	if len(values) != 1 {
		return nil, status.Error(codes.InvalidArgument, "the call has no task: "+TaskHeader)
	}
	task, err := s.tasks.of(values[0])
	if err != nil {
		s.log.Error("a body is not rewritten", "error", err)
		return nil, status.Error(codes.InvalidArgument, "the call has a task that cannot be done")
	}
	return &exchange{server: s, ctx: ctx, task: task}, nil
}

func (s *Server) count(task *Task, direction, result string) {
	route := task.Route
	if !s.knownRoute(route) {
		route = "other"
	}
	s.rewrites.WithLabelValues(route, direction, result).Inc()
}

// Forget drops the series of routes that are no more.
func (s *Server) Forget(routes []string) {
	for _, route := range routes {
		s.rewrites.DeletePartialMatch(prometheus.Labels{"route": route})
	}
}
