package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// ownSocket is where the Envoy that `run` starts reaches this process while
// GATEWRIGHT_GRPC_ADDR is a port: a Unix socket in a folder of this user alone. So
// the child needs no certificate, none of its own can expire, and the private keys
// of listeners are sent to nobody else.
type ownSocket struct {
	listener net.Listener
	dir      string
}

func newOwnSocket() (_ *ownSocket, err error) {
	// Not the state directory: a socket's path is at most 107 bytes.
	dir, err := os.MkdirTemp("", "gatewright-grpc-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the socket of Envoy: %w", err)
	}
	l, err := listenUnix(filepath.Join(dir, "grpc.sock"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening for the Envoy of this process: %w", err), os.RemoveAll(dir))
	}
	return &ownSocket{l, dir}, nil
}

// close stops listening, unless the server has already, and removes the folder.
func (s *ownSocket) close() error {
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// addr is the socket as GATEWRIGHT_GRPC_ADDR would have it.
func (s *ownSocket) addr() string { return "unix:" + s.listener.Addr().String() }
