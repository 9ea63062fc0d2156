package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// nextPort is the next port that Addr tries. It begins at a place that differs
// from one test process to the next, below the ports that the kernel gives to
// outgoing connections: one of those could take a port between the moment it is
// found free and the moment it is listened on.
var nextPort = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(int32(10_000 + os.Getpid()%70*300))
	return &n
}()

// Addr returns a loopback address that nobody listens on, for a process that
// has to be told its port. Each call returns another.
func Addr(t testing.TB) string {
	t.Helper()
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// FreeAddr is Addr for programs that are no tests, as benches are.
func FreeAddr() (string, error) {
	for range 2000 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("closing the listener on %s: %w", addr, err)
		}
		return addr, nil
	}
	return "", errors.New("no free port")
}
