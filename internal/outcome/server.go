// Package outcome learns how requests ended. Every Envoy streams its access
// log here (envoy.service.accesslog.v3); each entry becomes an Outcome, which
// is handed to those who asked for it: the metrics here, and later the
// breakers and the rollouts.
//
// Nothing in the path of a request waits for this stream: Envoy drops entries
// when it is slow or gone.
package outcome

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// Sink takes outcomes. It must not block, and may be called by several
// goroutines at once.
type Sink func(Outcome)

// Server is Envoy's access log service.
type Server struct {
	log    *slog.Logger
	sinks  []Sink
	unread prometheus.Counter
}

// NewServer returns a server that hands each outcome to every sink, in order, and
// registers its metric.
func NewServer(log *slog.Logger, reg prometheus.Registerer, sinks ...Sink) *Server {
	s := &Server{log: log, sinks: sinks, unread: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatewright_outcomes_unread_total",
		Help: "Messages of Envoys' access logs of which some entry could not be read, and was left out.",
	})}
	reg.MustRegister(s.unread)
	return s
}

// Register offers the server on a gRPC server, to clients that have all of their calls
// on one connection (Stream is for the others). That must have a codec that writes
// messages where they want them, as that of package door.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: accesslogv3.AccessLogService_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "StreamAccessLogs", ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return s.serve(stream) },
		}},
		Metadata: accesslogv3.AccessLogService_ServiceDesc.Metadata,
	}, s)
}

// Stream takes the messages of one log as they are, where no generated code has read
// them: it is a stream of package door. The zero value is not ready.
type Stream struct {
	server *Server
	reader Reader
}

// Stream begins a log.
func (s *Server) Stream() *Stream { return &Stream{server: s} }

// Take takes a message, of which nothing is kept. It returns no error: what cannot be
// read is counted, and ends nothing.
func (l *Stream) Take(text []byte) error {
	l.server.take(&l.reader, asText(text))
	return nil
}

// Reply is the answer to the end of a log: a StreamAccessLogsResponse, which has no
// fields.
func (l *Stream) Reply(reply []byte) ([]byte, error) { return reply, nil }

// Node is the Envoy that a message says to be from; see message.GetNode.
func (l *Stream) Node(text []byte) *corev3.Node { return nodeOf(asText(text)) }

// serve takes the log of one Envoy's thread until it ends. What cannot be read of it
// is counted, and ends nothing: the rest is not worth less.
func (s *Server) serve(stream grpc.ServerStream) error {
	r, m := &Reader{}, &message{}
	for {
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(&accesslogv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return fmt.Errorf("receiving access logs: %w", err)
		}
		s.take(r, m.text())
	}
}

// take takes one message. A sink that panics costs what is left of it.
func (s *Server) take(r *Reader, text string) {
	defer func() {
		if fault := recover(); fault != nil {
			s.unread.Inc()
			s.log.Error("taking an outcome panicked", "fault", fault, "stack", string(debug.Stack()))
		}
	}()
	if r.Read(text, s.sink) != nil {
		s.unread.Inc()
	}
}

// sink hands an outcome to all who asked for it.
func (s *Server) sink(o Outcome) {
	for _, sink := range s.sinks {
		sink(o)
	}
}
