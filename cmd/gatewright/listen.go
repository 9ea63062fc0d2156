package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/door"
)

// listenGRPC opens the address on which Envoys reach Gatewright. Without TLS
// it must not be reachable from other machines: whoever reaches it can read
// the whole config. What is set and would mean nothing is refused: somebody
// believes in it.
func listenGRPC(s processSettings, d door.Settings) (net.Listener, error) {
	if path, ok := strings.CutPrefix(s.GRPCAddr, "unix:"); ok {
		if d.TLS() {
			return nil, fmt.Errorf("GATEWRIGHT_GRPC_ADDR=%s: only this user can open a socket, and there is no TLS on it: "+
				"use host:port, or take GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_KEY and GATEWRIGHT_GRPC_CA away", s.GRPCAddr)
		}
		l, err := listenUnix(path)
		if err != nil {
			return nil, fmt.Errorf("listening for Envoys (GATEWRIGHT_GRPC_ADDR=%s): %w", s.GRPCAddr, err)
		}
		return l, nil
	}
	switch {
	case d.TLS() && s.GRPCPlaintext:
		return nil, errors.New("GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC=true: the port has TLS (GATEWRIGHT_GRPC_CERT): take one of the two away")
	case !d.TLS() && !s.GRPCPlaintext && !isLoopback(s.GRPCAddr):
		return nil, fmt.Errorf("GATEWRIGHT_GRPC_ADDR=%s: other machines could reach it, and it is not encrypted: "+
			"use a loopback address or unix:PATH, or set GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_KEY and GATEWRIGHT_GRPC_CA, "+
			"or say GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC=true", s.GRPCAddr)
	}
	l, err := net.Listen("tcp", s.GRPCAddr)
	if err != nil {
		return nil, fmt.Errorf("listening for Envoys (GATEWRIGHT_GRPC_ADDR=%s): %w", s.GRPCAddr, plain(err))
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
