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

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
)

// Sink takes outcomes. It must not block, and may be called by several
// goroutines at once.
type Sink func(Outcome)

// Server is Envoy's access log service.
type Server struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	sinks []Sink
}

// NewServer returns a server that hands each outcome to every sink, in order.
func NewServer(sinks ...Sink) *Server { return &Server{sinks: sinks} }

// Register offers the server on a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	accesslogv3.RegisterAccessLogServiceServer(r, s)
}

// StreamAccessLogs serves one Envoy.
func (s *Server) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return fmt.Errorf("receiving access logs: %w", err)
		}
		for _, entry := range m.GetHttpLogs().GetLogEntry() {
			o, ended := fromEntry(entry)
			if !ended {
				continue
			}
			for _, sink := range s.sinks {
				sink(o)
			}
		}
	}
}
