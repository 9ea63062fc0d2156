// Package inline is the word between a server that answers calls on the
// goroutine that reads their connection, and whatever such a call may have to
// wait for.
//
// To answer where one reads is what makes a short call cheap: nothing is handed
// from goroutine to goroutine. But a call that waits would keep all those behind
// it waiting. So who is about to wait says so, and another goroutine goes on
// reading. Or no goroutine waits: the call is left, to be answered by whoever has
// what it waits for (Later).
package inline

import "context"

type key struct{}

// Reader is a call that keeps its connection from being read.
type Reader interface {
	// LeaveReading has another goroutine read from here on. Only its first call
	// does something.
	LeaveReading()
}

// Blocks tells the server of a call that the call is about to wait (for a
// database, for another server), or to compute for longer than a goroutine
// costs. It is called on the goroutine of the call's handler, and is cheap
// enough to be called where it is not sure. After it the handler must not read
// the message that it was given any more; see the server. A context that is not
// of such a call is left alone.
func Blocks(ctx context.Context) {
	if r, ok := ctx.Value(key{}).(Reader); ok {
		r.LeaveReading()
	}
}

// Traced is a call whose caller may have said which trace it is a part of.
type Traced interface {
	// Traceparent is what it has said (W3C Trace Context), as it came, or empty where it
	// has not, or where the server was not asked to read it.
	Traceparent() string
}

// TraceparentOf is what the caller of the context's call has said of its trace. A context
// that is not of such a call has nothing.
func TraceparentOf(ctx context.Context) (traceparent string, ok bool) {
	if call, ok := ctx.Value(key{}).(Traced); ok {
		return call.Traceparent(), true
	}
	return "", false
}

// IsKey reports whether a context's Value is asked for the Reader, which it
// returns where it is one.
func IsKey(k any) bool {
	_, ok := k.(key)
	return ok
}
