package unary

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"golang.org/x/net/http2"
)

// Stream takes the messages of one call that has any number of them, and one reply at
// its end: a stream of the client's. It is for one goroutine at a time.
type Stream interface {
	// Take takes one message, which is the connection's: it may be read until Take
	// returns. An error ends the call, as one of a Handler does, and nothing more of
	// it is taken. Take must not wait: nothing else on the connection is served
	// meanwhile.
	Take(message []byte) error
	// Reply appends the reply of a call of which the client has sent all, as a Handler
	// does.
	Reply(reply []byte) ([]byte, error)
}

// HandleStream sets who takes the messages of a method, as Handle does: open is
// called for each call, with the caller that Serve was told. What a client sends more slowly
// than it promises costs the part of a message that has come; a stream without one
// costs no memory but its own. It goes on until the client ends it or goes, or Stop.
func (s *Server) HandleStream(method string, open func(caller any) Stream) { s.streams[method] = open }

var errCut = status.Error(codes.Internal, "the stream has ended within a message")

// takeOfStream takes messages of a stream, and of the last one what has come.
func (c *conn) takeOfStream(k *call, f *http2.DataFrame) error {
	for part := f.Data(); ; {
		framed, rest, err := c.gather(k, part)
		if err == nil && framed != nil {
			err = c.hand(k, framed)
		}
		if err != nil {
			return c.refuse(k, err)
		}
		if framed == nil {
			break
		}
		part = rest
		c.release(k)
	}
	if f.StreamEnded() {
		c.endStream(k)
		return nil
	}
	c.giveBackOf(k, f.Length)
	return nil
}

// gather returns the next message, with its prefix, and what has come behind it. A
// message that is not whole is kept until more of it comes: it returns nil.
func (c *conn) gather(k *call, part []byte) (framed, rest []byte, err error) {
	if len(k.received) == 0 && len(part) >= prefix {
		if err := c.admit(part); err != nil {
			return nil, nil, err
		}
		if n := prefix + declared(part); n <= len(part) {
			return part[:n], part[n:], nil // which needs no copy
		}
	}
	for {
		missing := prefix - len(k.received)
		if missing <= 0 {
			if err := c.admit(k.received); err != nil {
				return nil, nil, err
			}
			if missing = prefix + declared(k.received) - len(k.received); missing == 0 {
				return k.received, part, nil
			}
		}
		if len(part) == 0 {
			return nil, nil, nil
		}
		n := min(missing, len(part))
		if err := c.hold(k, part[:n]); err != nil {
			return nil, nil, err
		}
		part = part[n:]
	}
}

// admit says what is wrong with a message by its prefix.
func (c *conn) admit(framed []byte) error {
	switch {
	case framed[0] == 1:
		return errCompressed
	case framed[0] != 0:
		return errFlag
	case declared(framed) > c.server.options.MaxMessage:
		return errTooLong
	default:
		return nil
	}
}

var errFlag = status.Error(codes.Internal, "the message begins with a flag that gRPC does not have")

// hold keeps a part of a message until all of it is there. The memory is that of the
// message before, of whichever stream: between their messages streams have none.
func (c *conn) hold(k *call, part []byte) error {
	if c.held += len(part); c.held > max(maxHeld, c.server.options.MaxMessage) {
		c.held -= len(part)
		return errTooLong
	}
	if k.received == nil {
		k.received, c.room = c.room, nil
	}
	k.received = append(k.received, part...)
	return nil
}

// release gives back the memory of a message that has been taken.
func (c *conn) release(k *call) {
	c.held -= len(k.received)
	if cap(k.received) <= maxKept && cap(k.received) > cap(c.room) {
		c.room = k.received[:0]
	}
	k.received = nil
}

// hand has a message be taken.
func (c *conn) hand(k *call, framed []byte) (err error) {
	defer c.catch(k, &err)
	if err := k.Err(); err != nil {
		return status.FromContextError(err).Err() // its time is over
	}
	return k.stream.Take(framed[prefix:])
}

// endStream answers a stream of which the client has sent all.
func (c *conn) endStream(k *call) {
	cut := len(k.received) > 0
	c.release(k)
	k.answering = true
	reply, err := c.replyOf(k, cut)
	c.mu.Lock()
	c.end(k, reply, err)
	c.mu.Unlock()
	k.end()
}

// replyOf is the reply of a stream that has ended, within a message or behind one.
func (c *conn) replyOf(k *call, cut bool) (_ []byte, err error) {
	defer c.catch(k, &err)
	if cut {
		return nil, errCut
	}
	return whole(k.stream.Reply(make([]byte, prefix)))
}
