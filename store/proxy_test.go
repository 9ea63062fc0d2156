package store

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a store and its server, as a network that fails.
type proxy struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	isCut bool
	open  map[net.Conn]bool
}

// startProxy starts one before a server.
func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, server: server, open: map[net.Conn]bool{}}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.forward(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		group.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// cut ends all connections, and every new one.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for conn := range p.open {
		conn.Close()
	}
}

// mend lets connections through again.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = false
}

func (p *proxy) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.isCut {
		p.mu.Unlock()
		return
	}
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	var group sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{client: server, server: client} {
		group.Go(func() {
			_, _ = io.Copy(to, from) // ended by either side
			client.Close()
			server.Close()
		})
	}
	group.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, client)
	delete(p.open, server)
}
