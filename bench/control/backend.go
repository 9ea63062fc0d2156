package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// backends are services on ports of their own that answer every request with
// their name.
type backends struct{ servers []*backendServer }

type backendServer struct {
	name   string
	addr   string
	server *http.Server
	ended  chan error
}

// onceOnly begins the paths after which a backend closes the connection, so that
// routes by the thousand do not leave a connection each.
const onceOnly = "/once/"

// startBackends starts one for each name. Two may have one.
func startBackends(names ...string) (*backends, error) {
	b := &backends{}
	for _, name := range names {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listening for a backend: %w", err), b.close())
		}
		s := &backendServer{name: name, addr: listener.Addr().String(), ended: make(chan error, 1)}
		s.server = &http.Server{Handler: s}
		go func() { s.ended <- s.server.Serve(listener) }()
		b.servers = append(b.servers, s)
	}
	return b, nil
}

// ServeHTTP implements http.Handler.
func (s *backendServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, onceOnly) {
		w.Header().Set("Connection", "close")
	}
	_, _ = io.WriteString(w, s.name) // an error is the client's to notice
}

// at is the i-th, counted round.
func (b *backends) at(i int) *backendServer { return b.servers[i%len(b.servers)] }

// close ends all of them.
func (b *backends) close() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.server.Close())
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
