package door

import (
	"bytes"
	"errors"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// plain is a message that encodes itself.
type plain struct {
	data []byte
	err  error
}

func (p *plain) UnmarshalBinary(data []byte) error { p.data = bytes.Clone(data); return p.err }
func (p *plain) MarshalBinary() ([]byte, error)    { return p.data, p.err }

// roomyText is a message that has room of its own.
type roomyText struct{ text [100]byte }

func (r *roomyText) Room(size int) []byte { return r.text[:size] }

// TestCodec: generated messages go over the wire as ever, others as they say,
// whole or in pieces.
func TestCodec(t *testing.T) {
	t.Parallel()
	c := newCodec()
	message := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{"route": "r"}}}
	data, err := c.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var back authv3.CheckRequest
	if err := c.Unmarshal(data, &back); err != nil || !proto.Equal(message, &back) {
		t.Errorf("%v, %v", &back, err)
	}
	var kept plain
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("gate"), mem.SliceBuffer("wright")}, &kept); err != nil || string(kept.data) != "gatewright" {
		t.Errorf("%q, %v", kept.data, err)
	}
	var room roomyText
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("gate"), mem.SliceBuffer("wright")}, &room); err != nil || string(room.text[:10]) != "gatewright" {
		t.Errorf("%q, %v", room.text[:10], err)
	}
	if data, err = c.Marshal(&kept); err != nil || string(data.Materialize()) != "gatewright" {
		t.Errorf("%q, %v", data.Materialize(), err)
	}
	kept.err = errors.New("a fault")
	if _, err := c.Marshal(&kept); !errors.Is(err, kept.err) {
		t.Errorf("%v", err)
	}
	if _, err := c.Marshal("no message"); err == nil {
		t.Error("anything is a message")
	}
	if c.Name() != "proto" {
		t.Errorf("it is called %q", c.Name())
	}
}
