package test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is a connection of HTTP/2, spoken frame by frame.
type frames struct {
	*http2.Framer
	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
	last    uint32 // the stream that was begun last
}

// openFrames begins a connection to an address.
func openFrames(addr string, settings ...http2.Setting) (*frames, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return talkInFrames(conn, settings...)
}

// talkInFrames begins HTTP/2 on a connection.
func talkInFrames(conn net.Conn, settings ...http2.Setting) (*frames, error) {
	f := &frames{Framer: http2.NewFramer(conn, conn), conn: conn}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.encoder = hpack.NewEncoder(&f.block)
	err := errors.Join(conn.SetDeadline(time.Now().Add(20*time.Second)), f.preface(), f.WriteSettings(settings...))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

func (f *frames) preface() error {
	_, err := f.conn.Write([]byte(http2.ClientPreface))
	return err
}

// frames is a connection of HTTP/2 to a listener, for as long as the test.
func (g *gateway) frames(listener string, settings ...http2.Setting) *frames {
	g.t.Helper()
	f, err := openFrames(g.listeners[listener], settings...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { f.conn.Close() })
	return f
}

// encoded is a block of headers.
func (f *frames) encoded(fields ...field) []byte {
	f.block.Reset()
	for _, h := range fields {
		_ = f.encoder.WriteField(hpack.HeaderField{Name: h.name, Value: h.value}) // a buffer takes all
	}
	return bytes.Clone(f.block.Bytes())
}

// ask sends the headers of a request.
func (f *frames) ask(stream uint32, method, path string, end bool, more ...field) error {
	block := f.encoded(append([]field{{":method", method}, {":scheme", "http"}, {":authority", "a"}, {":path", path}}, more...)...)
	first, rest := block, []byte(nil)
	if len(block) > 16<<10 {
		first, rest = block[:16<<10], block[16<<10:]
	}
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: rest == nil, EndStream: end})
	for err == nil && len(rest) > 0 {
		n := min(len(rest), 16<<10)
		err = f.WriteContinuation(stream, len(rest) == n, rest[:n])
		rest = rest[n:]
	}
	return err
}

// until reads frames until one is what is looked for. At the end of the connection
// it returns nil.
func (f *frames) until(t testing.TB, what func(http2.Frame) bool) http2.Frame {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("waited in vain for a frame")
		}
		if err != nil {
			return nil
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = f.WriteSettingsAck() // the next read tells
		}
		if what(frame) {
			return frame
		}
	}
}

// status is the answer to a stream: its status, or why there is none.
func (f *frames) status(t testing.TB, stream uint32) string {
	t.Helper()
	switch frame := f.until(t, func(frame http2.Frame) bool {
		switch frame.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
			return frame.Header().StreamID == stream
		}
		return false
	}).(type) {
	case *http2.MetaHeadersFrame:
		return frame.PseudoValue("status")
	case *http2.RSTStreamFrame:
		return "reset: " + frame.ErrCode.String()
	default:
		return "end"
	}
}

// goAway waits for a GOAWAY that names the last stream it will serve.
func (f *frames) goAway(t testing.TB) *http2.GoAwayFrame {
	t.Helper()
	frame := f.until(t, func(frame http2.Frame) bool { _, ok := frame.(*http2.GoAwayFrame); return ok })
	if frame == nil {
		t.Fatal("the connection has ended without a GOAWAY")
	}
	return frame.(*http2.GoAwayFrame)
}
