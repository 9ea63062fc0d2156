package unary

import (
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// drainPing is ours by which the client tells that it has read what came before.
var drainPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g', '.'}

// lastPossible as the last call of a GOAWAY says that calls which are under way
// are still taken (RFC 9113, section 6.8).
const lastPossible = 1<<31 - 1

// drain has the client leave; see sendAway.
func (c *conn) drain() {
	c.mu.Lock()
	c.sendAway()
	c.mu.Unlock()
	c.flush()
}

// sendAway tells the client to make its calls elsewhere. When it has read that, what it
// asks is not taken any more (takePing); what it has asked until then is answered. The
// mutex is held.
func (c *conn) sendAway() {
	if c.sentAway {
		return
	}
	c.sentAway = true
	_ = c.framer.WriteGoAway(lastPossible, http2.ErrCodeNo, nil)
	_ = c.framer.WritePing(false, drainPing)
}

// leave takes no call after the last one. The mutex is held.
func (c *conn) leave(last uint32) {
	if c.leaving {
		return
	}
	c.leaving, c.lastTaken = true, last
	_ = c.framer.WriteGoAway(last, http2.ErrCodeNo, nil)
}

// shutdown says that no more is written, and gives the client some time to take
// note: a connection that is closed while there is something to read loses what
// was written last. The mutex is held.
func (c *conn) shutdown() {
	if c.shut || c.closed {
		return
	}
	c.shut = true
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.net.SetReadDeadline(time.Now().Add(c.server.options.KeepaliveWait)) != nil {
		c.closed = true
		c.net.Close()
	}
}

// watch sees to it that a client which is gone without a word is noticed. It
// does not keep the connection in memory, as a timer that is stopped would, for as
// long as it has not run out.
type watch struct {
	mu    sync.Mutex // held while it looks
	conn  *conn      // nil when it has ended
	timer *time.Timer
	heard uint64 // when it looked last
	asked bool
}

func newWatch(c *conn) *watch {
	w := &watch{conn: c}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(c.server.options.KeepaliveTime, w.look)
	return w
}

// look is called when there should have been a word.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return
	}
	o, heard := w.conn.server.options, w.conn.heard.Load()
	switch silent := heard == w.heard; {
	case w.conn.stuck(), silent && w.asked:
		w.conn.close()
	case silent:
		w.asked = true
		w.timer.Reset(o.KeepaliveWait)
		w.conn.ping()
	default:
		w.heard, w.asked = heard, false
		w.timer.Reset(o.KeepaliveTime)
	}
}

// end returns when the connection is not looked at any more.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.conn = nil
}

func (c *conn) ping() {
	c.mu.Lock()
	_ = c.framer.WritePing(false, [8]byte{})
	c.mu.Unlock()
	c.flush()
}

// stuck tells that the client does not take what is written.
func (c *conn) stuck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.server.options
	return c.writing && time.Since(c.since) > o.KeepaliveTime+o.KeepaliveWait
}
