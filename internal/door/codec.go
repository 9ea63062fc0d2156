package door

import (
	enc "encoding"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is gRPC's own for protobuf, but for messages that take themselves from
// the wire and bring themselves to it: a service that is called once a request
// need not build all that a generated type has.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(message any) (mem.BufferSlice, error) {
	m, ok := message.(enc.BinaryMarshaler)
	if !ok {
		return c.CodecV2.Marshal(message)
	}
	data, err := m.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", message, err)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal implements encoding.CodecV2. The message must not keep the bytes
// that it is given.
func (c codec) Unmarshal(data mem.BufferSlice, message any) error {
	m, ok := message.(enc.BinaryUnmarshaler)
	if !ok {
		return c.CodecV2.Unmarshal(data, message)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return m.UnmarshalBinary(whole.ReadOnlyData())
}
