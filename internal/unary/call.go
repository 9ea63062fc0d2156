package unary

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/inline"
)

// call is one call and the stream that it is on, from its headers to the end of
// its reply. It is the context of its handler, too: most handlers ask a context
// for its Err alone, and need none of what a context of package context is
// made of.
type call struct {
	conn   *conn
	id     uint32
	method string
	// handler answers it, where it has one message; stream takes those that it has where
	// it may have many.
	handler Handler
	stream  Stream
	// deadline is zero where the client has set none.
	deadline time.Time
	// traceparent is what the client has said of its trace, where that is read.
	traceparent string

	// Only who reads touches these: what has come of the message, or of a stream's
	// next one, with gRPC's five bytes before it, and how much of the stream's window the client has
	// not been given back.
	received []byte
	unread   uint32
	// answering: the message is whole, or refused, or the stream's last one has come.
	answering bool

	// reading: the goroutine of the handler is the one that reads the connection.
	reading atomic.Bool
	// detached: the handler has left it to be answered later. It is for the handler's
	// goroutine. answered: it has been.
	detached bool
	answered atomic.Bool

	// The connection's mutex guards these: what may still be sent, and what is
	// left to send of a reply that is longer.
	window int64
	left   []byte

	mu sync.Mutex // guards the rest
	// ended is context.Canceled when the client has taken the call back or gone.
	ended error
	// inner is made when somebody wants to wait for the end.
	inner  context.Context
	cancel context.CancelFunc
}

// LeaveReading implements inline.Reader.
//
// It waits where as many handlers go on beside the reader as calls may be at once,
// which is so only if some of them have been taken back: nothing more is read until
// one of them has ended. That is the bound of what a client can have us do by calls
// that it takes back when they have begun (CVE-2023-44487).
func (k *call) LeaveReading() {
	if !k.reading.Load() {
		return
	}
	k.conn.running <- struct{}{}
	if k.reading.CompareAndSwap(true, false) {
		k.conn.readElsewhere()
	} else {
		<-k.conn.running
	}
}

// Traceparent implements inline.Traced.
func (k *call) Traceparent() string { return k.traceparent }

// Deadline implements context.Context.
func (k *call) Deadline() (time.Time, bool) { return k.deadline, !k.deadline.IsZero() }

// Err implements context.Context.
func (k *call) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ended != nil:
		return k.ended
	case k.inner != nil:
		return k.inner.Err()
	case !k.deadline.IsZero() && !time.Now().Before(k.deadline):
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Done implements context.Context.
func (k *call) Done() <-chan struct{} { return k.waited().Done() }

// Value implements context.Context. What it does not know it asks of the context
// whose Done is its own, by which package context recognizes the two as one and
// spares the goroutine that would watch over k.
func (k *call) Value(key any) any {
	if inline.IsKey(key) {
		return k
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inner == nil {
		return nil
	}
	return k.inner.Value(key)
}

// waited is the context that ends when k does.
func (k *call) waited() context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inner == nil {
		if k.deadline.IsZero() {
			k.inner, k.cancel = context.WithCancel(context.Background())
		} else {
			k.inner, k.cancel = context.WithDeadline(context.Background(), k.deadline)
		}
		if k.ended != nil {
			k.cancel()
		}
	}
	return k.inner
}

// end ends the context: the client wants no reply any more, or has it.
func (k *call) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == nil {
		k.ended = context.Canceled
	}
	if k.cancel != nil {
		k.cancel()
	}
}

// streamError is a fault of the call's stream alone.
func (k *call) streamError(code http2.ErrCode) error {
	return http2.StreamError{StreamID: k.id, Code: code}
}
