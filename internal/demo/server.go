package demo

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a running HTTP server. It speaks HTTP/1.1, and HTTP/2 without TLS
// to who begins with its preface, as Envoy does towards http2 and grpc backends.
type Server struct {
	listener net.Listener
	server   *http.Server
	ended    chan error // what Serve returned
}

// Start listens on addr and then serves handler. Port 0 is any free port. When
// Start returns without error, connections are accepted; the caller calls Close
// in the end.
func Start(addr string, handler http.Handler) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &Server{
		listener: listener,
		server: &http.Server{
			Handler:           handler,
			Protocols:         &protocols,
			ReadHeaderTimeout: 10 * time.Second,
		},
		ended: make(chan error, 1),
	}
	go func() { s.ended <- s.server.Serve(listener) }()
	return s, nil
}

// Addr returns the host and port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns http:// and Addr.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Close ends the server and every connection to it at once. It is called once.
func (s *Server) Close() error {
	err := s.server.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("closing the server on %s: %w", s.Addr(), err)
	}
	return nil
}
