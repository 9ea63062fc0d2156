package authz

import (
	"context"
	"fmt"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Envoy's messages, taken from and brought to the wire without their generated
// types. A CheckRequest has some forty values in as many objects, of which the
// judge reads a few; the reply of a request that passes is some headers and
// words. To build either only to take it apart again was most of what a Check
// cost.

// Register serves s as envoy.service.auth.v3.Authorization. The gRPC server
// must have a codec that has messages of encoding.BinaryUnmarshaler and
// encoding.BinaryMarshaler encode themselves, as that of package door; with
// another one, authv3.RegisterAuthorizationServer serves the same at a higher
// price.
func Register(server grpc.ServiceRegistrar, s *Server) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
		HandlerType: (*authv3.AuthorizationServer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: handleCheck}},
		Metadata:    authv3.Authorization_ServiceDesc.Metadata,
	}, s)
}

func handleCheck(server any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	in := &wireRequest{}
	if err := decode(in); err != nil {
		return nil, err
	}
	s := server.(*Server)
	if interceptor == nil {
		return s.checkWire(ctx, in)
	}
	info := &grpc.UnaryServerInfo{Server: server, FullMethod: authv3.Authorization_Check_FullMethodName}
	return interceptor(ctx, in, info, func(ctx context.Context, message any) (any, error) {
		return s.checkWire(ctx, message.(*wireRequest))
	})
}

// checkWire is Check from and to the wire. Taking the message apart and putting
// the reply together are in it, and not in the codec, where a panic would end
// the process.
func (s *Server) checkWire(ctx context.Context, in *wireRequest) (out wireReply, err error) {
	began := time.Now()
	defer func() {
		if fault := recover(); fault != nil {
			out, err = encodeReply(s.afterPanic(&in.request, fault))
		}
	}()
	rq, err := in.read()
	if err != nil {
		return nil, status.Errorf(codes.Internal, "reading the CheckRequest: %v", err)
	}
	return encodeReply(s.verdict(ctx, rq, began))
}

// Answer is Check for a server that has no use for messages but as they are on
// the wire: it appends the CheckResponse to reply. It is a handler of package
// unary.
func (s *Server) Answer(ctx context.Context, message, reply []byte) (out []byte, err error) {
	began := time.Now()
	in := &wireRequest{text: string(message)}
	defer func() {
		if fault := recover(); fault != nil {
			out, err = appendReply(reply, s.afterPanic(&in.request, fault))
		}
	}()
	rq, err := in.read()
	if err != nil {
		return nil, status.Errorf(codes.Internal, "reading the CheckRequest: %v", err)
	}
	return appendReply(reply, s.verdict(ctx, rq, began))
}

// wireRequest is a CheckRequest as it came.
type wireRequest struct {
	text string
	request
	// room is for the lines of an ordinary request.
	room [24]headerLine
}

// UnmarshalBinary keeps the message; it is read later. What is read of it are
// parts of one copy.
func (w *wireRequest) UnmarshalBinary(data []byte) error {
	w.text = string(data)
	return nil
}

// read returns what the judge reads of the message. The scanner knows what
// Envoys send; of whatever it does not know, and of every fault, the generated
// code has the word.
func (w *wireRequest) read() (*request, error) {
	if w.scan() {
		return &w.request, nil
	}
	m := &authv3.CheckRequest{}
	if err := proto.Unmarshal([]byte(w.text), m); err != nil {
		return nil, err
	}
	w.request = *newRequest(m)
	return &w.request, nil
}

// wireReply is an encoded CheckResponse.
type wireReply []byte

// MarshalBinary returns the message.
func (w wireReply) MarshalBinary() ([]byte, error) { return w, nil }

func encodeReply(v Verdict) (wireReply, error) {
	return appendReply(make([]byte, 0, 512), v)
}

// appendReply appends reply(v) as it goes over the wire. Only a pass, the most
// frequent by far, has an encoder of its own.
func appendReply(b []byte, v Verdict) ([]byte, error) {
	if v.Reason == ReasonAllowed {
		return appendAllowed(b, v), nil
	}
	b, err := proto.MarshalOptions{}.MarshalAppend(b, reply(v))
	if err != nil {
		return nil, fmt.Errorf("encoding the verdict %s: %w", v.Reason, err)
	}
	return b, nil
}

// kept is a part of a request that may stay in memory after it, on its own: the
// message that it is a part of has up to 64 KiB.
func kept(part string) string { return strings.Clone(part) }
