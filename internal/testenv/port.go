package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
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

// FreeAddr is Addr for programs that are no tests, as benches are. The port stays
// this process's own among all that ask here, until it ends: other tests run at the
// same time, and a process that is stopped for a while wants its port again.
func FreeAddr() (string, error) {
	for range 2000 {
		port := nextPort.Add(1)
		mine, err := reserve(port)
		if err != nil {
			return "", err
		}
		if !mine {
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
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

// reserved are the lock files of this process's ports. They are closed by its end.
var (
	reservedMu sync.Mutex
	reserved   []*os.File
)

// reserve takes a port for this process, if no other one has it.
func reserve(port int32) (mine bool, err error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gatewright-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("reserving a port: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(int(port))), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("reserving a port: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, f.Close() // another process has it
	}
	reservedMu.Lock()
	defer reservedMu.Unlock()
	reserved = append(reserved, f)
	return true, nil
}
