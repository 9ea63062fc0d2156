package unary

import (
	"bytes"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// maxReplay bounds what a client may say before its first call. Its settings are
// some 50 bytes.
const maxReplay = 16 << 10

// replay is what a client has said, for a server that the connection is handed
// to. Pings are not in it, which have been answered.
type replay struct {
	frames bytes.Buffer
	// unacknowledged counts the SETTINGS that have not been acknowledged.
	unacknowledged int
}

func (r *replay) settings(f *http2.SettingsFrame) error {
	all := make([]http2.Setting, 0, f.NumSettings())
	_ = f.ForeachSetting(func(s http2.Setting) error {
		all = append(all, s)
		return nil
	})
	r.unacknowledged++
	_ = http2.NewFramer(&r.frames, nil).WriteSettings(all...)
	return r.bound()
}

func (r *replay) windowUpdate(f *http2.WindowUpdateFrame) error {
	_ = http2.NewFramer(&r.frames, nil).WriteWindowUpdate(f.StreamID, f.Increment)
	return r.bound()
}

func (r *replay) bound() error {
	if r.frames.Len() > maxReplay {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// headers are the last that is replayed: they open the call that is another
// server's.
func (r *replay) headers(id uint32, block []byte, ends bool) {
	w := http2.NewFramer(&r.frames, nil)
	first := block[:min(len(block), maxFrame)]
	rest := block[len(first):]
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: ends, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		next := rest[:min(len(rest), maxFrame)]
		rest = rest[len(next):]
		_ = w.WriteContinuation(id, len(rest) == 0, next)
	}
}

// handOver returns the connection as it was before anything was read from it.
// Whoever has it may write: what we have said comes before.
func (c *conn) handOver() net.Conn {
	c.flush()
	if err := c.net.SetReadDeadline(time.Time{}); err != nil {
		c.net.Close() // which its next owner notices
	}
	said := append([]byte(http2.ClientPreface), c.replay.frames.Bytes()...)
	unread, _ := c.input.Peek(c.input.Buffered())
	return &replayedConn{Conn: c.net, said: append(said, unread...)}
}

// replayedConn is a connection of which something has been read before.
type replayedConn struct {
	net.Conn
	said []byte
}

func (c *replayedConn) Read(p []byte) (int, error) {
	if len(c.said) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.said)
	if c.said = c.said[n:]; len(c.said) == 0 {
		c.said = nil
	}
	return n, nil
}
