package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// upstream is a backend that answers with the method and the path of what it
// takes for a request, and tells the request lines of all of them.
type upstream struct {
	addr     string
	requests func() string
	// wires are all that has come over each of its connections, where it is kept.
	wires func() []string
}

func noWires() []string { return nil }

// upstreams are HTTP/1.1 servers of three families, by name. Each reads what is
// doubtful in its own way.
func upstreams(t *testing.T) map[string]upstream {
	t.Helper()
	nginx := testenv.StartNginx(t)
	return map[string]upstream{
		"go":     goUpstream(t),
		"nginx":  {addr: nginx.Addr, requests: func() string { return nginx.Requests(t) }, wires: noWires},
		"python": pythonUpstream(t),
	}
}

func goUpstream(t *testing.T) upstream {
	t.Helper()
	seen := &testenv.Output{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(seen, "%s %s %s\n", r.Method, r.RequestURI, r.Proto)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the gateway has cut the request off
		}
		fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI)
	})}
	recorded := &recording{Listener: listener}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(recorded) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return upstream{addr: listener.Addr().String(), requests: seen.String, wires: recorded.wires}
}

// recording is a listener that keeps what comes over its connections.
type recording struct {
	net.Listener
	mu  sync.Mutex // guards all
	all []*testenv.Output
}

func (r *recording) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	wire := &testenv.Output{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, wire)
	return recordedConn{conn, io.TeeReader(conn, wire)}, nil
}

func (r *recording) wires() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, wire := range r.all {
		out = append(out, wire.String())
	}
	return out
}

type recordedConn struct {
	net.Conn
	read io.Reader
}

func (c recordedConn) Read(b []byte) (int, error) { return c.read.Read(b) }

func pythonUpstream(t *testing.T) upstream {
	t.Helper()
	seen, addr := &testenv.Output{}, testenv.Addr(t)
	cmd := testenv.NoOrphan(exec.Command("python3", "testdata/upstream.py", addr))
	cmd.Stdout = seen
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Python: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	eventually(t, "Python's server answers", func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return upstream{addr: addr, requests: seen.String, wires: noWires}
}

// count is how many requests the upstream has taken, but for what the tests
// themselves have asked it.
func (u upstream) count() int {
	n := 0
	for line := range strings.Lines(u.requests()) {
		if !strings.HasPrefix(line, "GET /ready ") {
			n++
		}
	}
	return n
}
