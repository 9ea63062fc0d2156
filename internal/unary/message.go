package unary

import (
	"encoding/binary"
	"errors"
	"runtime"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/inline"
)

// prefix is what gRPC has before a message: whether it is compressed, and its
// length in four bytes.
const prefix = 5

var (
	errNoMessage  = status.Error(codes.Internal, "the call has no message")
	errNotOne     = status.Error(codes.Internal, "the call has not exactly one message")
	errCompressed = status.Error(codes.Unimplemented, "the message is compressed, which is not understood here")
	errTooLong    = status.Error(codes.ResourceExhausted, "the message is too long")
	errPanicked   = status.Error(codes.Internal, "the call could not be answered")
)

// takeData takes a message, or a part of it. What is more than the flow control
// allows was taken already when it could be noticed, so the bounds of messages
// are what counts.
func (c *conn) takeData(f *http2.DataFrame, buffer *[]byte) (stillReader bool, err error) {
	if f.StreamID > c.lastCall {
		return true, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.giveBack(f.Length)
	k := c.find(f.StreamID)
	switch {
	case k == nil:
		return true, nil // it was under way when its call was refused
	case k.answering:
		return true, k.streamError(http2.ErrCodeStreamClosed)
	case k.stream != nil:
		return true, c.takeOfStream(k, f)
	case len(k.received) == 0 && f.StreamEnded():
		return c.takeMessage(k, f.Data(), buffer), nil
	}
	if c.held += len(f.Data()); c.held > max(maxHeld, c.server.options.MaxMessage) {
		return true, c.refuse(k, errTooLong)
	}
	k.received = append(k.received, f.Data()...)
	if length := declared(k.received); length > c.server.options.MaxMessage || len(k.received) > prefix+length {
		return true, c.refuse(k, errTooLong)
	}
	if f.StreamEnded() {
		return c.takeMessage(k, k.received, buffer), nil
	}
	c.giveBackOf(k, f.Length)
	return true, nil
}

// declared is how long a message says it is, and 0 where that has not come.
func declared(framed []byte) int {
	if len(framed) < prefix {
		return 0
	}
	return int(binary.BigEndian.Uint32(framed[1:]))
}

// giveBack lets the client send as much again.
func (c *conn) giveBack(n uint32) {
	if c.unread += n; c.unread < connWindow/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.framer.WriteWindowUpdate(0, c.unread)
	c.unread = 0
}

// giveBackOf lets the client send as much again of one message.
func (c *conn) giveBackOf(k *call, n uint32) {
	if k.unread += n; k.unread < window/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.framer.WriteWindowUpdate(k.id, k.unread)
	k.unread = 0
}

// find is a call that is not over, or nil.
func (c *conn) find(id uint32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

// refuse answers a call whose message is not wanted, whatever more of it comes.
func (c *conn) refuse(k *call, why error) error {
	c.held -= len(k.received)
	k.received, k.answering = nil, true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(k, nil, why)
	return c.framer.WriteRSTStream(k.id, http2.ErrCodeNo)
}

// takeMessage answers a call. stillReader is false where its handler had to
// wait: another goroutine reads, and this one must not touch the connection's
// reading any more.
func (c *conn) takeMessage(k *call, framed []byte, buffer *[]byte) (stillReader bool) {
	c.held -= len(k.received)
	k.received, k.answering = nil, true
	k.reading.Store(true)
	reply, err := c.answer(k, framed, append((*buffer)[:0], make([]byte, prefix)...))
	stillReader = k.reading.CompareAndSwap(true, false)
	if k.detached {
		if err != nil {
			var answers inline.Answers
			answers.Give(k, failed{err})
			answers.Flush()
		}
		return stillReader
	}
	c.mu.Lock()
	c.end(k, reply, err)
	long := len(c.out) > flushAt
	c.mu.Unlock()
	k.end()
	if cap(reply) <= maxKept {
		*buffer = reply[:0]
	}
	if !stillReader {
		<-c.running
		// Calls that have waited for the same are often answered at the same time:
		// one of them writes for all.
		runtime.Gosched()
	}
	if !stillReader || long {
		c.flush()
	}
	return stillReader
}

// answer calls the handler, if there is a message for it.
func (c *conn) answer(k *call, framed, reply []byte) (_ []byte, err error) {
	defer c.catch(k, &err)
	switch {
	case len(framed) == 0:
		return nil, errNoMessage
	case framed[0] == 1:
		return nil, errCompressed
	case len(framed) < prefix, framed[0] != 0, declared(framed) != len(framed)-prefix:
		return nil, errNotOne
	case declared(framed) > c.server.options.MaxMessage:
		return nil, errTooLong
	}
	reply, err = k.handler(k, framed[prefix:], reply)
	if k.detached {
		return nil, err
	}
	return whole(reply, err)
}

// whole is a handler's reply, if it has been appended to what the handler was given.
func whole(reply []byte, err error) ([]byte, error) {
	if err == nil && len(reply) < prefix {
		return nil, errors.New("the handler has returned another slice than it was given")
	}
	return reply, err
}

// catch makes a panic the error of its call. It is deferred.
func (c *conn) catch(k *call, err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	if told := c.server.options.Panicked; told != nil {
		told(k.method, fault)
	}
	*err = errPanicked
}
