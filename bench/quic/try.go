package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// result is what became of the handshakes.
type result struct {
	replaced, made, torn, failed int
	kept                         string // what became of a connection that was there first
}

// try replaces certificates in one way while clients make handshakes.
func try(ctx context.Context, o options, w way) (r result, err error) {
	dir, err := os.MkdirTemp("", "quic-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	port, err := freePort()
	if err != nil {
		return r, err
	}
	if err := put(dir, port, 0, w); err != nil {
		return r, err
	}
	if err := os.WriteFile(filepath.Join(dir, "envoy.yaml"), []byte(bootstrap(dir)), 0o600); err != nil {
		return r, err
	}
	// A chain that drains watches its file, and a user has a hundred watches.
	envoy, err := rig.StartProcess(exec.Command(o.envoy, "-c", filepath.Join(dir, "envoy.yaml"), "--concurrency", "1", "-l", "error",
		"--use-dynamic-base-id", "--drain-time-s", "3"))
	if err != nil {
		return r, err
	}
	defer envoy.Stop()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	kept, err := first(ctx, address)
	if err != nil {
		return r, fmt.Errorf("the first handshake: %w", err)
	}
	defer kept.CloseWithError(0, "")

	ctx, cancel := context.WithTimeout(ctx, o.time)
	defer cancel()
	var mu sync.Mutex // guards r
	var clients sync.WaitGroup
	for range o.clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				err := handshake(ctx, address)
				mu.Lock()
				switch {
				case err == nil:
					r.made++
				case ctx.Err() != nil:
				case torn(err):
					r.torn++
				default:
					r.failed++
				}
				mu.Unlock()
			}
		})
	}
	for n := 1; ctx.Err() == nil; n++ {
		if err := put(dir, port, n, w); err != nil {
			return r, err
		}
		r.replaced = n
		select {
		case <-ctx.Done():
		case <-time.After(o.every):
		}
	}
	clients.Wait()
	if err := envoy.Died(); err != nil {
		return r, err
	}
	r.kept = "goes on"
	if err := context.Cause(kept.Context()); err != nil {
		r.kept = "was closed"
	}
	return r, nil
}

// put puts the n-th certificate in place.
func put(dir string, port, n int, w way) error {
	secret, err := secretFile()
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, w.secret(n)), secret); err != nil {
		return err
	}
	text := w.listeners(dir, port, n)
	if now, err := os.ReadFile(filepath.Join(dir, "listeners.yaml")); err == nil && string(now) == text {
		return nil
	}
	return replace(filepath.Join(dir, "listeners.yaml"), text)
}

// dial makes a connection. Whom the certificate is of is not looked at, only whether who
// shows it has its key.
func dial(ctx context.Context, address string) (*quic.Conn, error) {
	c := &tls.Config{ServerName: serverName, InsecureSkipVerify: true, NextProtos: []string{"h3"}}
	return quic.DialAddr(ctx, address, c, &quic.Config{HandshakeIdleTimeout: 10 * time.Second, KeepAlivePeriod: 5 * time.Second})
}

func handshake(ctx context.Context, address string) error {
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	return conn.CloseWithError(0, "")
}

// first waits for an Envoy that has just been started.
func first(ctx context.Context, address string) (*quic.Conn, error) {
	var conn *quic.Conn
	var err error
	for range 50 {
		one, cancel := context.WithTimeout(ctx, time.Second)
		conn, err = dial(one, address)
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// torn tells a handshake with the certificate of before and the key of after.
func torn(err error) bool {
	var broken *quic.TransportError
	return errors.As(err, &broken) && strings.Contains(broken.Error(), "invalid signature by the server certificate")
}

func freePort() (int, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port, nil
}
