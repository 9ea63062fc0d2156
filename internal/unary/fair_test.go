package unary_test

import (
	"bytes"
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/unary"
)

// TestCallsLeaveRoomForOthers: calls that compute, one after the other without
// an end, do not keep the goroutines of others, such as a call that was preempted,
// from running.
func TestCallsLeaveRoomForOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const calls = 500
	var n, done atomic.Int64
	var ran atomic.Bool
	var ranAt int64 = -1
	s := serving(t, func(ctx context.Context, _, reply []byte) ([]byte, error) {
		i := n.Add(1)
		if i == 1 {
			go ran.Store(true)
		}
		inline.Blocks(ctx)
		for end := time.Now().Add(50 * time.Microsecond); time.Now().Before(end); {
		}
		if ran.Load() && ranAt < 0 {
			ranAt = i
		}
		done.Add(1)
		return append(reply, 1), nil
	}, unary.Options{MaxStreams: calls})
	r, server := unserved(t)
	r.greet()
	var all bytes.Buffer // sent at once, so that the server does not wait for any
	r.Framer = http2.NewFramer(&all, r.conn)
	for id := range uint32(calls) {
		r.ask(2*id+1, "")
	}
	if _, err := r.conn.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
	go s.Serve(server, nil)
	for end := time.Now().Add(soon); done.Load() < calls; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the calls were not answered")
		}
	}
	if ranAt < 0 || ranAt > 10 {
		t.Errorf("another goroutine ran only with call %d of %d", ranAt, calls)
	}
}
