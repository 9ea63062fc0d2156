package door

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/unary"
)

// Stream takes the messages of a call that has many, which say of which Envoy they are.
type Stream interface {
	unary.Stream
	// Node is the Envoy that a message says to be from, nil where it says none or
	// cannot be read.
	Node(message []byte) *corev3.Node
}

// bound is a stream as the caller may send it: where nodes are bound to certificates,
// its messages are checked before the stream sees them. It is what boundStream is to
// grpc-go; whether the caller may come in at all was asked when it connected.
func (d *Door) bound(s Stream, from caller) unary.Stream {
	if !d.settings.BindNodeID || from.certificate == nil {
		return s
	}
	return &boundMessages{Stream: s, binding: binding{certificate: from.certificate}, guard: guard{refusals: d.refusals}, from: from}
}

type boundMessages struct {
	Stream

	binding binding
	guard   guard
	from    caller
}

// Take implements unary.Stream.
func (b *boundMessages) Take(message []byte) error {
	if refused := b.binding.check(b.Node(message)); refused != nil {
		return b.guard.refuse(*refused, b.from)
	}
	return b.Stream.Take(message)
}
