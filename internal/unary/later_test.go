package unary_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/unary"
)

// left is a call that its handler has left.
type left struct {
	inline.Later
	ctx     context.Context
	message string
}

// AppendReply implements inline.Reply: it says what the call has said, or does what
// that asks for.
func (l left) AppendReply(memory []byte) ([]byte, error) {
	switch l.message {
	case "denied":
		return append(memory, "lost"...), status.Error(codes.PermissionDenied, "no")
	case "other":
		return nil, nil
	case "panic":
		panic("as the test wants")
	case "long":
		return append(memory, make([]byte, long)...), nil
	}
	return append(memory, l.message...), nil
}

// long is how long the reply to "long" is.
const long = 60 << 10

// leaving is a handler that leaves each call, but for those that say "now".
func leaving(to chan<- left) unary.Handler {
	return func(ctx context.Context, message, reply []byte) ([]byte, error) {
		m := string(message)
		if strings.HasPrefix(m, "now") {
			return append(reply, m...), nil
		}
		l := left{inline.LaterOf(ctx), ctx, m}
		l.Detach()
		to <- l
		return nil, nil
	}
}

// give answers calls together.
func give(calls ...left) {
	var answers inline.Answers
	for _, l := range calls {
		answers.Give(l, l)
	}
	answers.Flush()
}

// TestAnswersLater: calls that are left get their own replies, in any order and on any
// connection; those behind them do not wait.
func TestAnswersLater(t *testing.T) {
	t.Parallel()
	calls := make(chan left, 100)
	s := serving(t, leaving(calls), unary.Options{})
	clients := []*raw{open(t, s), open(t, s)}
	var waiting []left
	for i := range 20 {
		for c, r := range clients {
			r.ask(uint32(4*i+1), fmt.Sprintf("%d of %d", i, c))
			waiting = append(waiting, <-calls)
			r.ask(uint32(4*i+3), "now")
			r.expect(outcome{stream: uint32(4*i + 3), status: "0", message: "now"})
		}
	}
	give(waiting[7])
	clients[1].expect(outcome{stream: 13, status: "0", message: "3 of 1"})
	give(waiting[7], waiting[7]) // once more is once
	waiting = append(waiting[:6], waiting[8:]...)
	for i, j := 0, len(waiting)-1; i < j; i, j = i+1, j-1 {
		waiting[i], waiting[j] = waiting[j], waiting[i]
	}
	give(waiting...)
	for c, r := range clients {
		for i := 19; i >= 0; i-- {
			if i != 3 {
				r.expect(outcome{stream: uint32(4*i + 1), status: "0", message: fmt.Sprintf("%d of %d", i, c)})
			}
		}
	}
}

// TestFaultsOfLaterAnswers: what fails when it is answered later, or when its handler
// has detached it, is told as what fails at once.
func TestFaultsOfLaterAnswers(t *testing.T) {
	t.Parallel()
	calls := make(chan left, 1)
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		l := left{inline.LaterOf(ctx), ctx, string(message)}
		if l.message == "blocked before" {
			inline.Blocks(ctx)
		}
		l.Detach()
		switch l.message {
		case "panic at once":
			panic("as the test wants")
		case "error at once":
			return nil, errors.New("no status")
		}
		calls <- l
		return []byte("nothing"), nil // which counts for nothing
	}, unary.Options{})
	r := open(t, s)
	id := uint32(1)
	for message, want := range map[string]outcome{
		"fine":           {status: "0", message: "fine"},
		"blocked before": {status: "0", message: "blocked before"},
		"denied":         {status: "7", words: "no"},
		"other":          {status: "2", words: "the handler has returned another slice than it was given"},
		"panic":          {status: "13", words: "the call could not be answered"},
		"panic at once":  {status: "13", words: "the call could not be answered"},
		"error at once":  {status: "2", words: "no status"},
	} {
		r.ask(id, message)
		if !strings.HasSuffix(message, "at once") {
			give(<-calls)
		}
		want.stream = id
		r.expect(want)
		id += 2
	}
}

// TestLeftCallsThatAreTakenBack: their contexts end, their replies are sent to nobody,
// and no more are under way than calls may be at once (CVE-2023-44487).
func TestLeftCallsThatAreTakenBack(t *testing.T) {
	t.Parallel()
	const most, all = 10, 500
	calls := make(chan left, all)
	s := serving(t, leaving(calls), unary.Options{MaxStreams: most})
	r := open(t, s)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for i := range uint32(all) {
			r.ask(2*i+1, "unwanted")
			r.must(r.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		}
		r.ask(2*all+1, "now")
	}()
	for answered := 0; answered < all; {
		batch := []left{<-calls}
		for end := time.Now().Add(5 * time.Millisecond); len(batch) < most+1 && time.Now().Before(end); {
			select {
			case l := <-calls:
				batch = append(batch, l)
			default:
				time.Sleep(100 * time.Microsecond)
			}
		}
		if len(batch) > most {
			t.Fatalf("more than %d calls are under way", most)
		}
		for _, l := range batch {
			<-l.ctx.Done()
		}
		give(batch...)
		answered += len(batch)
	}
	<-asked
	r.expect(outcome{stream: 2*all + 1, status: "0", message: "now"})
}

// TestLeftCallsOfAClosedConnection: they end, and to answer them does nothing.
func TestLeftCallsOfAClosedConnection(t *testing.T) {
	t.Parallel()
	calls := make(chan left, 3)
	s := serving(t, leaving(calls), unary.Options{})
	r := open(t, s)
	var waiting []left
	for id := uint32(1); id < 7; id += 2 {
		r.ask(id, "x")
		waiting = append(waiting, <-calls)
	}
	r.conn.Close()
	select {
	case <-r.served: // although they wait
	case <-time.After(soon):
		t.Fatal("it is still served")
	}
	for _, l := range waiting {
		if !errors.Is(l.ctx.Err(), context.Canceled) {
			t.Errorf("its call ended with %v", l.ctx.Err())
		}
	}
	give(waiting...)
}

// TestGoAwayWithLeftCalls: a server that stops waits for the calls that were left, and
// the client has their replies.
func TestGoAwayWithLeftCalls(t *testing.T) {
	t.Parallel()
	calls := make(chan left, 2)
	s := serving(t, leaving(calls), unary.Options{})
	r := open(t, s)
	r.ask(1, "a")
	r.ask(3, "b")
	a, b := <-calls, <-calls
	stopping := stop(t, s)
	r.answerPings()
	give(b)
	r.expect(outcome{stream: 3, status: "0", message: "b"})
	stopping.goesOn()
	give(a)
	r.expect(outcome{stream: 1, status: "0", message: "a"})
	r.expect(outcome{status: "closed"})
	r.conn.Close()
	stopping.ends()
}

// TestLaterAnswersWaitForNoClient: one that does not read keeps nobody waiting, and
// gets all of it when it reads. Nor does a call that waits take a goroutine.
func TestLaterAnswersWaitForNoClient(t *testing.T) {
	const n = 200 // more than any socket takes at once
	calls := make(chan left, n)
	s := serving(t, leaving(calls), unary.Options{})
	slow, other := open(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}), open(t, s)
	slow.must(slow.WriteWindowUpdate(0, 1<<30))
	other.ask(1, "now")
	other.expect(outcome{stream: 1, status: "0", message: "now"})
	before := runtime.NumGoroutine()
	for i := range uint32(n) {
		slow.ask(2*i+1, "long")
	}
	var waiting []left
	for range n {
		waiting = append(waiting, <-calls)
	}
	if more := runtime.NumGoroutine() - before; more > n/4 { // other tests have theirs
		t.Errorf("%d goroutines more for %d calls that wait", more, n)
	}
	other.ask(3, "x")
	given := make(chan struct{})
	go func() { give(append(waiting, <-calls)...); close(given) }()
	select {
	case <-given:
	case <-time.After(soon):
		t.Fatal("to answer a client waits for it")
	}
	other.expect(outcome{stream: 3, status: "0", message: "x"})
	read := map[uint32]bool{}
	for range n {
		got := slow.outcome()
		if read[got.stream] || got.status != "0" || len(got.message) != long {
			t.Fatalf("call %d: status %q, %d bytes", got.stream, got.status, len(got.message))
		}
		read[got.stream] = true
	}
}
