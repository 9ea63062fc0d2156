// Package unary serves gRPC's calls of one reply on plain loops over HTTP/2 frames.
//
// It is for the calls that a gateway is asked once a request, which take
// microseconds: Check, ShouldRateLimit. In grpc-go each costs several hand-overs
// between goroutines and some seventy allocations before the handler sees it,
// which is more than the judgement itself (bench/check). Here the goroutine that
// reads a connection answers what it has read, and what has been answered is
// written when there is nothing left to read. A handler that has to wait says so
// (package inline); another goroutine then goes on reading. Or it leaves the call, to
// be answered by somebody else, and the same one goes on.
//
// So it is for streams of messages that are answered once, at their end (Stream): the
// access logs of Envoys, which come some twenty times a second from each of their
// threads. There the hand-overs and the threads that they wake were most of the price
// (bench/outcomes).
//
// Only what these need is here. Streams of replies, compression, and every method without
// a handler are grpc-go's: a connection that begins with one of them is given
// back by Serve, unspoilt, and grpc-go serves it. Envoy keeps a cluster's
// connections apart from those of another cluster, and each of its threads has its own:
// calls on one cluster and streams of config on another, which only the main thread
// has, never meet. Access logs are of the other threads.
//
// Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK), and gRPC over HTTP/2
// (grpc/doc/PROTOCOL-HTTP2.md). Frames and header compression are
// golang.org/x/net's.
package unary

import (
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Handler answers one call: it appends its message to reply, and returns the
// whole. An error is told as its gRPC status (status.Convert). The message is
// the connection's and changes with the next one: it may be read until the
// handler returns or calls inline.Blocks. A handler that panics ends its call
// with INTERNAL, and nothing else. One that has detached its call (inline.Later) returns
// nothing, or an error that ends it.
type Handler func(ctx context.Context, message, reply []byte) ([]byte, error)

// Options bound what one connection may take. A zero is the default.
type Options struct {
	// MaxMessage is how long a message may be, in bytes. Default 4 MiB, gRPC's.
	MaxMessage int
	// MaxHeaders bounds the headers of a call, in bytes as RFC 9113 counts them
	// (section 6.5.2). Default 64 KiB.
	MaxHeaders int
	// MaxStreams bounds the calls at once. Default 1024.
	MaxStreams int
	// HandshakeTime bounds the time until the client's first frame. Default 10 s.
	HandshakeTime time.Duration
	// A client from which nothing has come for KeepaliveTime is asked whether it
	// is there, and is taken for gone after KeepaliveWait. Defaults 10 s and 5 s.
	KeepaliveTime, KeepaliveWait time.Duration
	// Foreign is told of each connection that carries calls of ours and then one
	// that is not: the client has to open another one for it. Nil tells nobody.
	Foreign func(client net.Addr, method string)
	// Panicked is told what a handler panicked with, on its goroutine. Nil tells
	// nobody.
	Panicked func(method string, fault any)
}

// Server answers calls on any number of connections.
type Server struct {
	options  Options
	handlers map[string]Handler
	traced   atomic.Bool
	streams  map[string]func(caller any) Stream

	mu       sync.Mutex // guards what follows
	conns    map[*conn]bool
	draining bool
	gone     sync.Cond // a connection has ended
}

// New returns a server without handlers.
func New(o Options) *Server {
	o.MaxMessage = cmp.Or(o.MaxMessage, 4<<20)
	o.MaxHeaders = cmp.Or(o.MaxHeaders, 64<<10)
	o.MaxStreams = cmp.Or(o.MaxStreams, 1024)
	o.HandshakeTime = cmp.Or(o.HandshakeTime, 10*time.Second)
	o.KeepaliveTime = cmp.Or(o.KeepaliveTime, 10*time.Second)
	o.KeepaliveWait = cmp.Or(o.KeepaliveWait, 5*time.Second)
	s := &Server{options: o, handlers: map[string]Handler{}, streams: map[string]func(any) Stream{}, conns: map[*conn]bool{}}
	s.gone.L = &s.mu
	return s
}

// Handle sets the handler of a method, as "/package.Service/Method". All are
// set before the first Serve.
func (s *Server) Handle(method string, h Handler) { s.handlers[method] = h }

// ReadTraces has the trace contexts of calls read from here on (inline.TraceparentOf), or
// not any more. At first they are not.
func (s *Server) ReadTraces(on bool) { s.traced.Store(on) }

// Serve answers the calls of a connection until it ends, and closes it. Where
// the first call is not plainly one that a handler is there for, it returns the
// connection instead, for another server to begin from the client's first byte;
// that server's settings replace those that the client has been told. The caller is
// whoever is at the other end, in the words of those who open streams.
func (s *Server) Serve(nc net.Conn, caller any) (rest net.Conn) {
	c := newConn(s, nc, caller)
	if !s.enter(c) {
		nc.Close()
		return nil
	}
	defer s.leave(c)
	return c.serve()
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.gone.Broadcast()
}

// GracefulStop tells all clients to go elsewhere, answers what they have asked
// until then, and returns when every connection has ended. Stop ends its waiting.
func (s *Server) GracefulStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for c := range s.conns {
		go c.drain() // which may wait for a client that does not read
	}
	for len(s.conns) > 0 {
		s.gone.Wait()
	}
}

// Stop closes every connection. Handlers in flight see their contexts end.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for c := range s.conns {
		c.close()
	}
}
