package door

import (
	"context"
	"crypto/x509"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// guard checks every call, of whatever service: what the handshake has seen to
// already must not depend on how the handshake was set up.
type guard struct {
	refusals   *refusals
	bindNodeID bool
}

func (g guard) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c, refused := callerOf(ctx)
	if refused == nil {
		b := g.binding(c)
		refused = b.checkMessage(req)
	}
	if refused != nil {
		return nil, g.refuse(*refused, c)
	}
	return handler(ctx, req)
}

func (g guard) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	c, refused := callerOf(stream.Context())
	if refused != nil {
		return g.refuse(*refused, c)
	}
	s := &boundStream{ServerStream: stream, binding: g.binding(c)}
	err := handler(srv, s)
	if refused := s.refusal(); refused != nil {
		// Handlers take an error of Recv for the end of the stream, which it
		// may be without a fault. The client is to know what it was.
		return g.refuse(*refused, c)
	}
	return err
}

func (g guard) refuse(r refusal, c caller) error {
	g.refusals.add(r, c.addr)
	return r.err()
}

// binding is what the caller's messages are held to.
func (g guard) binding(c caller) binding {
	if !g.bindNodeID {
		return binding{}
	}
	return binding{certificate: c.certificate}
}

// caller is who makes a call.
type caller struct {
	addr net.Addr
	// certificate is nil for one on a Unix socket.
	certificate *x509.Certificate
}

// callerOf tells who makes a call, or why it is refused.
func callerOf(ctx context.Context) (caller, *refusal) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, &refusal{noCertificate, "the call is of nobody known"}
	}
	return callerBy(p.Addr, p.AuthInfo)
}

// callerBy is the caller on a connection.
func callerBy(addr net.Addr, info credentials.AuthInfo) (caller, *refusal) {
	c := caller{addr: addr}
	if info, ok := info.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
		c.certificate = info.State.VerifiedChains[0][0]
		return c, nil
	}
	if isLocal(addr) {
		return c, nil
	}
	return c, &refusal{noCertificate, "the connection has no verified client certificate"}
}

// boundStream is a stream whose messages are checked before its handler sees
// them.
type boundStream struct {
	grpc.ServerStream

	mu      sync.Mutex // guards what follows: a handler may receive in a goroutine of its own
	binding binding
	refused *refusal
}

// RecvMsg receives a message that the caller may send. After one that it may
// not there are no more.
func (s *boundStream) RecvMsg(m any) error {
	if r := s.refusal(); r != nil {
		return r.err()
	}
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused = s.binding.checkMessage(m); s.refused != nil {
		return s.refused.err()
	}
	return nil
}

func (s *boundStream) refusal() *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}
