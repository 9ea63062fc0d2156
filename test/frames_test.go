package test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/floods"
)

// frames is a connection of HTTP/2, spoken frame by frame.
type frames struct{ *floods.Frames }

// field is a header of HTTP/2, with the bytes as they are.
type field = floods.Field

// frames is a connection of HTTP/2 to a listener, for as long as the test.
func (g *gateway) frames(listener string, settings ...http2.Setting) *frames {
	g.t.Helper()
	f, err := floods.Open(g.listeners[listener], settings...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { f.Conn.Close() })
	return &frames{f}
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
