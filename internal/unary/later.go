package unary

import (
	"time"

	"github.com/gatewright/gatewright/internal/inline"
)

// A handler that has to wait may leave its call to be answered later (package
// inline), and return. Then no goroutine waits with it, and who answers many calls
// at once writes once to each connection.

// Detach implements inline.Later. The call counts among those that run beside the
// reader, of which LeaveReading tells.
func (k *call) Detach() {
	if k.reading.Load() {
		k.conn.running <- struct{}{}
	}
	k.detached = true
}

// Answer implements inline.Later.
func (k *call) Answer(memory []byte, reply inline.Reply) (rest []byte, unwritten inline.Flusher) {
	if k.answered.Swap(true) {
		return memory, nil
	}
	c := k.conn
	out, err := c.made(k, reply, append(memory[:0], make([]byte, prefix)...))
	c.mu.Lock()
	c.end(k, out, err)
	if !c.unwritten {
		c.unwritten, unwritten = true, (*later)(c)
	}
	c.mu.Unlock()
	<-c.running
	k.end()
	if out != nil && cap(out) <= maxKept {
		memory = out
	}
	return memory[:0], unwritten
}

// made has a reply be made.
func (c *conn) made(k *call, reply inline.Reply, memory []byte) (_ []byte, err error) {
	defer c.catch(k, &err)
	return whole(reply.AppendReply(memory))
}

// failed is the answer of a handler that has failed after it had detached its call.
type failed struct{ error }

// AppendReply implements inline.Reply.
func (f failed) AppendReply([]byte) ([]byte, error) { return nil, f.error }

// later is a connection of which calls have been answered by who must not wait
// for its client.
type later conn

// Flush implements inline.Flusher. It writes what there is room for at once, and has
// another goroutine write the rest.
func (l *later) Flush() {
	c := (*conn)(l)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwritten = false
	if c.writing {
		return // who is at it takes this along
	}
	if c.socket != nil && len(c.out) > 0 && !c.closed && !c.shut {
		c.writing = true
		c.writeAtOnce()
		c.writing = false
	}
	if (len(c.out) > 0 || c.leaving) && !c.closed {
		go c.flush()
	}
}

// writeAtOnce is write, as far as it needs not wait for the client.
func (c *conn) writeAtOnce() {
	now := c.out
	c.out, c.since = c.spare[:0], time.Now()
	c.mu.Unlock()
	n := c.socket.writeAtOnce(now)
	c.mu.Lock()
	if n < len(now) {
		c.out = append(now[n:], c.out...)
		now = nil
	}
	if c.spare = now[:0]; cap(now) > maxKept {
		c.spare = nil
	}
	c.written.Broadcast()
}
