package unary

import (
	"time"

	"golang.org/x/net/http2"
)

// drainPing is ours by which the client tells that it has read what came before.
var drainPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g', '.'}

// lastPossible as the last call of a GOAWAY says that calls which are under way
// are still taken (RFC 9113, section 6.8).
const lastPossible = 1<<31 - 1

// drain has the client leave: it is told so, and when it has read that, what it
// asks is not taken any more. What it has asked is answered.
func (c *conn) drain() {
	c.mu.Lock()
	_ = c.framer.WriteGoAway(lastPossible, http2.ErrCodeNo, nil)
	_ = c.framer.WritePing(false, drainPing)
	c.mu.Unlock()
	c.flush()
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

// watch sees to it that a client which is gone without a word is noticed.
func (c *conn) watch() {
	o := c.server.options
	heard, asked := c.heard.Load(), false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive = time.AfterFunc(o.KeepaliveTime, func() {
		switch now := c.heard.Load(); {
		case c.isOver():
		case c.stuck(), now == heard && asked:
			c.close()
		case now == heard:
			asked = true
			c.again(o.KeepaliveWait)
			c.ping()
		default:
			heard, asked = now, false
			c.again(o.KeepaliveTime)
		}
	})
}

func (c *conn) again(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.over {
		c.alive.Reset(after)
	}
}

// isOver tells that the connection is not watched any more.
func (c *conn) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over || c.closed
}

func (c *conn) ping() {
	c.mu.Lock()
	if !c.over {
		_ = c.framer.WritePing(false, [8]byte{})
	}
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
