package door_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/internal/door"
)

// raw speaks HTTP/2 frame by frame, to send what no client library would.
type raw struct {
	*http2.Framer
	t    testing.TB
	conn net.Conn
}

func (h *house) raw() *raw {
	h.t.Helper()
	conn, err := net.Dial("unix", h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		h.t.Fatal(err)
	}
	r := &raw{Framer: http2.NewFramer(conn, conn), t: h.t, conn: conn}
	if err := r.WriteSettings(); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// headers opens a stream for a Check with these headers instead of the usual.
func (r *raw) headers(stream uint32, instead map[string]string) error {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"},
		{Name: ":path", Value: authv3.Authorization_Check_FullMethodName},
		{Name: ":authority", Value: "gatewright"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	} {
		if v, ok := instead[f.Name]; ok && v == "" {
			continue
		} else if ok {
			f.Value = v
		}
		if err := e.WriteField(f); err != nil {
			return err
		}
	}
	return r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
}

// outcome reads until the stream has ended or the connection has, and returns
// the grpc-status, or "reset", or "closed".
func (r *raw) outcome(stream uint32) string {
	r.t.Helper()
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := r.ReadFrame()
		var streamErr http2.StreamError
		switch {
		case errors.As(err, &streamErr):
			continue
		case isTimeout(err):
			r.t.Fatal("no answer at all")
		case err != nil:
			return "closed"
		}
		if frame.Header().StreamID != stream {
			continue
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					return h.Value
				}
			}
			if f.StreamEnded() {
				return "HTTP " + f.PseudoValue("status")
			}
		}
	}
}

// message is a CheckRequest as gRPC frames it.
func message(t testing.TB) []byte {
	t.Helper()
	body, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: map[string]string{"route": "none"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// TestMalformedHeaders: a call that is none is refused, and the server goes on.
func TestMalformedHeaders(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	for name, instead := range map[string]map[string]string{
		"no :authority":      {":authority": ""},
		"no :path":           {":path": ""},
		"a :path of one":     {":path": "x"},
		"no :method":         {":method": ""},
		"GET":                {":method": "GET"},
		"no content type":    {"content-type": ""},
		"not gRPC":           {"content-type": "text/html"},
		"no such service":    {":path": "/no.such.Service/Method"},
		"no such method":     {":path": "/envoy.service.auth.v3.Authorization/Open"},
		"a path that climbs": {":path": "/../envoy.service.auth.v3.Authorization/Check"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.raw()
			if err := r.headers(1, instead); err != nil {
				t.Fatal(err)
			}
			_ = r.WriteData(1, true, message(t)) // it may have ended already
			if got := r.outcome(1); got == "0" && name != "no :authority" {
				t.Error("it was served")
			}
			if err := check(soon(t), h.local()); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestTinyFrames: a message in frames of one byte, with empty ones between, is
// that message.
func TestTinyFrames(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	r := h.raw()
	if err := r.headers(1, nil); err != nil {
		t.Fatal(err)
	}
	whole := message(t)
	for i := range whole {
		for range 100 {
			if err := r.WriteData(1, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.WriteData(1, i == len(whole)-1, whole[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.outcome(1); got != "0" {
		t.Errorf("grpc-status %s, want 0", got)
	}
}

// TestResetFlood: streams opened and reset as fast as they can be written
// (CVE-2023-44487) do not keep others from being served.
func TestResetFlood(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	r := h.raw()
	go io.Copy(io.Discard, r.conn) // until the connection is closed
	for i := range uint32(20_000) {
		stream := 2*i + 1
		if r.headers(stream, nil) != nil || r.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break // the server has had enough of it
		}
		if i%5_000 == 0 {
			if err := check(soon(t), h.local()); err != nil {
				t.Errorf("after %d resets: %v", i, err)
			}
		}
	}
	if err := check(soon(t), h.local()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
