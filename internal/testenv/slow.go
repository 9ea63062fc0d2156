package testenv

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Slow is a TCP proxy on loopback that holds back what the server says. It ends
// with the test.
type Slow struct {
	// Addr is where it listens.
	Addr string

	delay atomic.Int64
}

// StartSlow starts one before the server at a Unix socket. It delays nothing yet.
func StartSlow(t testing.TB, socket string) *Slow {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Slow{Addr: listener.Addr().String()}
	var all sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(client, socket, done) })
		}
	})
	return s
}

// Delay is how long each piece of a reply is held back from now on.
func (s *Slow) Delay(d time.Duration) { s.delay.Store(int64(d)) }

func (s *Slow) serve(client net.Conn, socket string, done <-chan struct{}) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(server, client) // until one of them ends
		_ = server.Close()
	})
	ended := make(chan struct{})
	both.Go(func() {
		select {
		case <-done:
			_ = client.Close()
			_ = server.Close()
		case <-ended:
		}
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			break
		}
		select {
		case <-time.After(time.Duration(s.delay.Load())):
		case <-done:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			break
		}
	}
	_ = client.Close()
	_ = server.Close()
	close(ended)
	both.Wait()
}
