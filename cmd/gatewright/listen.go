package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/gatewright/gatewright/config"
)

// listenGRPC opens the address on which Envoys reach Gatewright. As long as it
// has no TLS, it must not be reachable from other machines: whoever reaches it
// can read the whole config.
func listenGRPC(s processSettings) (net.Listener, error) {
	if path, ok := strings.CutPrefix(s.GRPCAddr, "unix:"); ok {
		return listenUnix(path)
	}
	if !s.GRPCPlaintext && !isLoopback(s.GRPCAddr) {
		return nil, fmt.Errorf("GATEWRIGHT_GRPC_ADDR=%s: other machines could reach it, and it is not encrypted: "+
			"use a loopback address or unix:PATH, or say GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC=true", s.GRPCAddr)
	}
	l, err := net.Listen("tcp", s.GRPCAddr)
	if err != nil {
		return nil, fmt.Errorf("listening for Envoys (GATEWRIGHT_GRPC_ADDR=%s): %w", s.GRPCAddr, plain(err))
	}
	return l, nil
}

// listenUnix opens a socket that only this user can use. The socket of an
// earlier process that nobody listens on is replaced; one in use is not.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close() // only to see whether somebody is there
		return nil, fmt.Errorf("listening for Envoys (GATEWRIGHT_GRPC_ADDR=unix:%s): another process listens there", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing a stale socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening for Envoys (GATEWRIGHT_GRPC_ADDR=unix:%s): %w", path, plain(err))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the socket to others: %w", err), l.Close())
	}
	return l, nil
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// freeForEnvoy checks that the listeners' addresses are free, before Envoy is
// started: Envoy would only refuse the listener, or, where another Envoy of
// this user has the port, silently share it.
func freeForEnvoy(listeners []*config.Listener) error {
	var errs []error
	for _, l := range listeners {
		probe, err := net.Listen("tcp", l.Address)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %q (%s): %w", l.Name, l.Address, plain(err)))
			continue
		}
		errs = append(errs, probe.Close())
	}
	return errors.Join(errs...)
}

// plain is the reason of a network error without the addresses that our own
// message has already.
func plain(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
