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

// roomy is a message that has room of its own for its bytes: so they are copied once,
// and whoever receives many messages has one place for all of them.
type roomy interface {
	// Room is where so many bytes are written. Afterwards they are the message.
	Room(size int) []byte
}

// Unmarshal implements encoding.CodecV2. An encoding.BinaryUnmarshaler must not keep
// the bytes that it is given.
func (c codec) Unmarshal(data mem.BufferSlice, message any) error {
	if m, ok := message.(roomy); ok {
		data.CopyTo(m.Room(data.Len()))
		return nil
	}
	m, ok := message.(enc.BinaryUnmarshaler)
	if !ok {
		return c.CodecV2.Unmarshal(data, message)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return m.UnmarshalBinary(whole.ReadOnlyData())
}
