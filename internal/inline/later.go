package inline

import "context"

// Later is a call that may be answered when its handler has returned, so that no
// goroutine waits for what the answer depends on.
type Later interface {
	// Detach takes the answer out of the handler's hands: from here on the call is
	// under way until Answer, unless the handler ends it with an error. It is called on
	// the goroutine of the handler, and once. As LeaveReading, it waits where too many
	// calls are under way.
	Detach()
	// Answer ends a detached call with what the reply appends to memory, on any
	// goroutine. Only its first call does something; that of a call which the client
	// has taken back has its reply made for nobody. It waits for no client. It returns the
	// memory for the next reply, and the connection that is to be flushed for this one:
	// nil where somebody else is about to.
	Answer(memory []byte, reply Reply) (rest []byte, unwritten Flusher)
}

// Reply is the answer to a call.
type Reply interface {
	// AppendReply appends the message, and returns the whole. An error, or a panic, is
	// told as one of a handler is.
	AppendReply(memory []byte) ([]byte, error)
}

// Flusher is a connection that something is to be written to.
type Flusher interface {
	// Flush writes it, or has it written: it does not wait for the client.
	Flush()
}

// LaterOf is the call of a context; nil where that cannot be answered later.
func LaterOf(ctx context.Context) Later {
	l, _ := ctx.Value(key{}).(Later)
	return l
}

// Answers are given one after another; what goes on one connection is written
// together. The zero value is ready. It is for one goroutine.
type Answers struct {
	memory    []byte
	unwritten []Flusher
}

// Give answers a detached call.
func (a *Answers) Give(call Later, reply Reply) {
	var to Flusher
	if a.memory, to = call.Answer(a.memory, reply); to != nil {
		a.unwritten = append(a.unwritten, to)
	}
}

// Flush has all be written that was given since the last time.
func (a *Answers) Flush() {
	for _, to := range a.unwritten {
		to.Flush()
	}
	clear(a.unwritten)
	a.unwritten = a.unwritten[:0]
}
