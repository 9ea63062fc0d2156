package floods

import (
	"errors"
	"os"
	"time"
)

// Patience is how long an attack goes on that nobody ends.
const Patience = time.Minute

// Attack is what many connections do to a listener, again and again.
type Attack struct {
	// Name tells it from others of the same version of HTTP.
	Name string
	// Hasty attacks wait for a time-out. They come to a listener of which times are short.
	Hasty bool
	// Connections is how many there are at once.
	Connections int
	// Holds is how much of Envoy's memory one of them may hold while it is there, in
	// bytes.
	Holds int
	// Bytes is about how much one write of it has, before it is framed and encrypted.
	Bytes int
	// One is one of them. It returns when the gateway has ended the connection, or what
	// was asked on it, and an error where that has not happened in Patience. Before each
	// write that is not the first it calls pace, which may wait.
	One func(addr string, pace func()) error
}

// What a connection may hold. One that asks for little has buffers. With HTTP/1.1 it has its headers, of 60 KiB, as they came
// and one by one: they are not counted before the last has come, so there may be 15 000,
// of a hundred bytes each. With HTTP/2 it is what the bounds of frames leave (1 000 answers to PINGs
// and SETTINGS, 10 000 frames in all), and for each of a hundred streams its state, headers
// of 60 KiB, what is buffered on both sides, 32 KiB each, and what is read before that is noticed.
const (
	kib       = 1 << 10
	inBuffers = 96 * kib
	inOne     = (60 + 1500) * kib
	inFrames  = 1024 * kib
	inStreams = 100 * (40 + 60 + 3*32) * kib
)

// unlessLasting is an error where a connection was not ended, and nil where it was.
func unlessLasting(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the gateway ends neither the connection nor what is asked on it")
	}
	return nil
}
