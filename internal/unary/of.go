package unary

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Of is the handler of a method as protoc-gen-go-grpc declares it.
func Of[Request any, Reply proto.Message, Message interface {
	*Request
	proto.Message
}](method func(context.Context, Message) (Reply, error)) Handler {
	return func(ctx context.Context, message, reply []byte) ([]byte, error) {
		in := Message(new(Request))
		if err := proto.Unmarshal(message, in); err != nil {
			return nil, status.Errorf(codes.Internal, "reading the message: %v", err)
		}
		out, err := method(ctx, in)
		if err != nil {
			return nil, err
		}
		return proto.MarshalOptions{}.MarshalAppend(reply, out)
	}
}
