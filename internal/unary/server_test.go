package unary_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/unary"
)

// soon bounds what a test waits for.
const soon = 30 * time.Second

// echo answers with the message.
func echo(_ context.Context, message, reply []byte) ([]byte, error) {
	return append(reply, message...), nil
}

// serving is a server of one handler.
func serving(t testing.TB, h unary.Handler, o unary.Options) *unary.Server {
	t.Helper()
	s := unary.New(o)
	s.Handle(method, h)
	t.Cleanup(s.Stop)
	return s
}

// TestReplies: what a handler returns is what the client gets.
func TestReplies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 20<<10) // 320 KiB: many frames, and more than the windows
	s := serving(t, func(_ context.Context, message, reply []byte) ([]byte, error) {
		switch m := string(message); m {
		case "denied":
			return append(reply, "lost"...), status.Error(codes.PermissionDenied, "a % and a ü\n")
		case "plain":
			return nil, errors.New("no status")
		case "other":
			return nil, nil
		case "panic":
			panic("as the test wants")
		case "long":
			return append(reply, long...), nil
		default:
			return append(reply, m...), nil
		}
	}, unary.Options{})
	r := open(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	r.must(r.WriteWindowUpdate(0, 1<<20))
	id := uint32(1)
	for message, want := range map[string]outcome{
		"":       {status: "0"},
		"hello":  {status: "0", message: "hello"},
		"long":   {status: "0", message: long},
		"denied": {status: "7", words: "a %25 and a %C3%BC%0A"},
		"plain":  {status: "2", words: "no status"},
		"other":  {status: "2", words: "the handler has returned another slice than it was given"},
		"panic":  {status: "13", words: "the call could not be answered"},
	} {
		r.ask(id, message)
		want.stream = id
		r.expect(want)
		id += 2
	}
}

// TestMessagesInParts: a message in frames of any size, with trailers after it or
// an empty frame, is that message.
func TestMessagesInParts(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{}))
	message := strings.Repeat("x", 300)
	for i, size := range []int{1, 2, 5, 100, 304, 305, 1000} {
		id := uint32(4*i + 1)
		r.head(id)
		rest := framed(message)
		for len(rest) > 0 {
			n := min(size, len(rest))
			r.must(r.WriteData(id, false, rest[:n]))
			rest = rest[n:]
		}
		r.must(r.WriteData(id, true, nil))
		r.expect(outcome{stream: id, status: "0", message: message})

		r.head(id + 2)
		r.must(r.WriteDataPadded(id+2, false, framed(message), make([]byte, 200)))
		r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: id + 2, BlockFragment: nil, EndStream: true, EndHeaders: true}))
		r.expect(outcome{stream: id + 2, status: "0", message: message})
	}
}

// TestLongMessagesAreGivenRoom: what a client may send is given back to it as it
// is taken, for one message and for all.
func TestLongMessagesAreGivenRoom(t *testing.T) {
	t.Parallel()
	s := serving(t, func(_ context.Context, message, reply []byte) ([]byte, error) {
		return fmt.Append(reply, len(message)), nil
	}, unary.Options{})
	r := open(t, s)
	const long = 3 << 20
	for id := uint32(1); id < 9; id += 2 { // of more in all than a connection's window
		r.head(id)
		rest, room := framed(strings.Repeat("x", long)), 256<<10
		for len(rest) > 0 {
			n := min(len(rest), 16<<10)
			for room < n {
				if f, err := r.ReadFrame(); err != nil {
					t.Fatal(err)
				} else if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == id {
					room += int(w.Increment)
				}
			}
			r.must(r.WriteData(id, n == len(rest), rest[:n]))
			rest, room = rest[n:], room-n
		}
		r.expect(outcome{stream: id, status: "0", message: fmt.Sprint(long)})
	}
}

// TestNotOneMessage: what is no message, or more than one, is refused, and the
// next call is served.
func TestNotOneMessage(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{MaxMessage: 1000}))
	id := uint32(1)
	for name, c := range map[string]struct {
		data   []byte
		status string
	}{
		"nothing":             {nil, "13"},
		"less than a prefix":  {[]byte{0, 0}, "13"},
		"cut":                 {framed("hello")[:8], "13"},
		"two":                 {append(framed("a"), framed("b")...), "13"},
		"compressed":          {append([]byte{1}, framed("a")[1:]...), "12"},
		"of an unknown kind":  {append([]byte{2}, framed("a")[1:]...), "13"},
		"too long":            {framed(strings.Repeat("x", 1001)), "8"},
		"said to be too long": {[]byte{0, 0xff, 0xff, 0xff, 0xff, 1}, "13"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.head(id)
			r.must(r.WriteData(id, true, c.data))
			if got := r.outcome(); got.stream != id || got.status != c.status {
				t.Errorf("whole: %+v, want status %s", got, c.status)
			}
			r.head(id + 2)
			if len(c.data) > 0 {
				r.must(r.WriteData(id+2, false, c.data))
			}
			r.must(r.WriteData(id+2, true, nil))
			if got := r.outcome(); got.stream != id+2 || got.status != c.status && got.status != "8" {
				t.Errorf("in two parts: %+v, want status %s", got, c.status)
			}
			if got := r.outcomeUnlessReset(id+2, id+4); got != (outcome{stream: id + 4, status: "0", message: "next"}) {
				t.Errorf("the next call: %+v", got)
			}
		})
		id += 6
	}
	r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndStream: true, EndHeaders: true}))
	r.expect(outcome{stream: id, status: "13", words: "the call has no message"})
}

// outcomeUnlessReset makes another call, and is its outcome: a stream that was
// refused in the middle is reset, too, so that its client stops.
func (r *raw) outcomeUnlessReset(refused, id uint32) outcome {
	r.t.Helper()
	r.ask(id, "next")
	got := r.outcome()
	if got == (outcome{stream: refused, status: "reset NO_ERROR"}) {
		got = r.outcome()
	}
	return got
}

// TestSlowCallsHoldUpNobody: while a handler waits that says so, others are
// answered on the same connection, and its own reply comes when it has it.
func TestSlowCallsHoldUpNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		if m := string(message); m == "slow" {
			inline.Blocks(ctx)
			inline.Blocks(ctx) // once more is once
			<-release
			return append(reply, m...), nil
		}
		return append(reply, message...), nil
	}, unary.Options{})
	r := open(t, s)
	for i := range uint32(50) {
		r.ask(4*i+1, "slow")
		r.ask(4*i+3, "fast")
		r.expect(outcome{stream: 4*i + 3, status: "0", message: "fast"})
	}
	close(release)
	seen := map[uint32]bool{}
	for range 50 {
		got := r.outcome()
		if got.message != "slow" || got.status != "0" || seen[got.stream] {
			t.Fatalf("%+v", got)
		}
		seen[got.stream] = true
	}
}

// TestCallsThatAreTakenBack: their contexts end, their replies are not sent, and
// no more handlers run than calls may be at once, however many are taken back
// while theirs runs (CVE-2023-44487).
func TestCallsThatAreTakenBack(t *testing.T) {
	t.Parallel()
	const most = 10
	var mu sync.Mutex
	running, highest, began := 0, 0, 0
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		if string(message) == "last" {
			return append(reply, message...), nil
		}
		mu.Lock()
		running, began = running+1, began+1
		highest = max(highest, running)
		mu.Unlock()
		inline.Blocks(ctx)
		derived, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		<-derived.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("a call that was taken back ended with %v", ctx.Err())
		}
		mu.Lock()
		running--
		mu.Unlock()
		return append(reply, "unwanted"...), nil
	}, unary.Options{MaxStreams: most})
	r := open(t, s)
	id := uint32(1)
	for range 500 {
		r.ask(id, "slow")
		r.must(r.WriteRSTStream(id, http2.ErrCodeCancel))
		id += 2
	}
	r.ask(id, "last")
	r.expect(outcome{stream: id, status: "0", message: "last"})
	mu.Lock()
	defer mu.Unlock()
	if began != 500 || highest > most+1 {
		t.Errorf("%d handlers were called, at most %d at once; want 500, at most %d", began, highest, most+1)
	}
}

// TestCallsAtOnce: one more than there may be is refused by itself.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		if string(message) == "slow" {
			inline.Blocks(ctx)
			<-release
		}
		return append(reply, "done"...), nil
	}, unary.Options{MaxStreams: 3})
	r := open(t, s)
	r.ask(1, "slow")
	r.ask(3, "slow")
	r.head(5)
	r.ask(7, "x")
	r.expect(outcome{stream: 7, status: "reset REFUSED_STREAM"})
	r.must(r.WriteData(5, true, framed("x")))
	r.expect(outcome{stream: 5, status: "0", message: "done"})
	r.ask(9, "x")
	r.expect(outcome{stream: 9, status: "0", message: "done"})
	close(release)
	for range 2 {
		if got := r.outcome(); got.message != "done" {
			t.Errorf("%+v", got)
		}
	}
}

// TestDeadlines: the client's is the context's.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		at, ok := ctx.Deadline()
		if string(message) == "wait" {
			inline.Blocks(ctx)
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		if ok {
			return fmt.Append(reply, time.Until(at).Round(time.Minute)), ctx.Err()
		}
		return fmt.Append(reply, "none"), ctx.Err()
	}, unary.Options{})
	r := open(t, s)
	id := uint32(1)
	for timeout, want := range map[string]outcome{
		"":          {status: "0", message: "none"},
		"2H":        {status: "0", message: "2h0m0s"},
		"3M":        {status: "0", message: "3m0s"},
		"300S":      {status: "0", message: "5m0s"},
		"360000m":   {status: "0", message: "6m0s"},
		"99999999H": {status: "0", message: "1000h0m0s"},
		"0n":        {status: "2", words: "context deadline exceeded"},
		"1x":        {status: "reset PROTOCOL_ERROR"},
		"m":         {status: "reset PROTOCOL_ERROR"},
		"-1m":       {status: "reset PROTOCOL_ERROR"},
		"999999999m": {
			status: "reset PROTOCOL_ERROR",
		},
	} {
		if id == 1 { // what the first call must not be is another server's; see TestHandOver
			r.ask(id, "")
			r.outcome()
			id += 2
		}
		r.head(id, "grpc-timeout", timeout)
		r.must(r.WriteData(id, true, framed("")))
		want.stream = id
		r.expect(want)
		id += 2
	}
	r.ask(id, "wait", "grpc-timeout", "20m")
	r.expect(outcome{stream: id, status: "4", words: "context deadline exceeded"})
}

// TestClientsThatTakeLittle: replies are cut to what the client takes, and go on
// when it takes more, in whatever way it says so.
func TestClientsThatTakeLittle(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{}), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	r.ask(1, "hello")
	r.ask(3, "world")
	got := map[uint32]int{}
	read := func(until map[uint32]int) {
		t.Helper()
		for got[1] < until[1] || got[3] < until[3] {
			f, err := r.ReadFrame()
			r.must(err)
			if d, ok := f.(*http2.DataFrame); ok {
				got[d.StreamID] += len(d.Data())
			}
		}
		if got[1] != until[1] || got[3] != until[3] {
			t.Fatalf("got %v bytes, want %v", got, until)
		}
	}
	read(map[uint32]int{1: 3, 3: 3})
	r.must(r.WriteWindowUpdate(3, 2))
	read(map[uint32]int{1: 3, 3: 5})
	r.must(r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	r.must(r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 7}))
	read(map[uint32]int{1: 7, 3: 9})
	r.must(r.WriteWindowUpdate(1, 100))
	r.must(r.WriteWindowUpdate(3, 100))
	read(map[uint32]int{1: 10, 3: 10})
	r.ask(5, "x")
	if got := r.outcome(); got.status != "0" {
		t.Errorf("afterwards: %+v", got)
	}
}

// TestConnectionWindow: all replies together are no more than the client takes.
func TestConnectionWindow(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{}), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	for id := uint32(1); id < 9; id += 2 {
		r.ask(id, strings.Repeat("x", 16<<10-5-9))
	}
	r.must(r.WritePing(false, [8]byte{1}))
	r.ask(9, strings.Repeat("x", 1000))
	r.must(r.WritePing(false, [8]byte{2}))
	sum := 0
	until := func(end func(http2.Frame) bool) {
		t.Helper()
		for {
			f, err := r.ReadFrame()
			r.must(err)
			if d, ok := f.(*http2.DataFrame); ok {
				sum += len(d.Data())
			}
			if end(f) {
				return
			}
		}
	}
	until(func(f http2.Frame) bool {
		p, ok := f.(*http2.PingFrame)
		return ok && p.Data == [8]byte{2}
	})
	if sum != 65535 {
		t.Errorf("%d bytes, want the 65535 of a connection", sum)
	}
	r.must(r.WriteWindowUpdate(0, 1<<20))
	until(func(f http2.Frame) bool {
		return f.Header().StreamID == 9 && f.Header().Flags.Has(http2.FlagDataEndStream)
	})
	if want := 4*(16<<10-9) + 1005; sum != want {
		t.Errorf("%d bytes, want %d", sum, want)
	}
}

// TestGoAway: a client that is told to leave has what it asked before, and goes.
func TestGoAway(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		inline.Blocks(ctx)
		close(began)
		<-release
		return append(reply, "late"...), nil
	}, unary.Options{})
	idle, busy := open(t, s), open(t, s)
	busy.ask(1, "x")
	<-began
	if _, err := idle.ReadFrame(); err != nil { // it is served, then
		t.Fatal(err)
	}
	stopping := stop(t, s)
	for _, r := range []*raw{idle, busy} {
		r.answerPings()
	}
	if got := idle.outcome(); got.status != "closed" {
		t.Errorf("one that asked nothing: %+v", got)
	}
	idle.conn.Close()
	stopping.goesOn()
	close(release)
	busy.expect(outcome{stream: 1, status: "0", message: "late"})
	busy.expect(outcome{status: "closed"})
	busy.conn.Close()
	stopping.ends()
	if rest := s.Serve(second(pair(t)), nil); rest != nil {
		t.Error("a connection after the end")
	}
}

func second(_, b net.Conn) net.Conn { return b }

// answerPings reads until the server's last GOAWAY, and answers its pings.
func (r *raw) answerPings() {
	r.t.Helper()
	for n := 0; n < 2; {
		f, err := r.ReadFrame()
		r.must(err)
		switch f := f.(type) {
		case *http2.PingFrame:
			r.must(r.WritePing(true, f.Data))
		case *http2.GoAwayFrame:
			n++
		}
	}
}

// TestGoneWithoutAWord: a client that does not answer a ping is taken for gone,
// and its calls end; one that answers stays.
func TestGoneWithoutAWord(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := serving(t, func(ctx context.Context, _, reply []byte) ([]byte, error) {
		inline.Blocks(ctx)
		<-ctx.Done()
		ended <- ctx.Err()
		return reply, nil
	}, unary.Options{KeepaliveTime: 50 * time.Millisecond, KeepaliveWait: 3 * time.Second})
	r := open(t, s)
	r.ask(1, "x")
	for pings := 0; pings < 2; {
		f, err := r.ReadFrame()
		r.must(err)
		if p, ok := f.(*http2.PingFrame); ok {
			pings++
			r.must(r.WritePing(true, p.Data))
		}
	}
	if got := r.outcome(); got.status != "closed" {
		t.Errorf("%+v", got)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Error("its call goes on")
	}
}

// TestClientThatDoesNotRead: it is not served any further, costs a bounded
// memory, and is taken for gone.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	served := make(chan struct{}, 1<<20)
	s := serving(t, func(_ context.Context, _, reply []byte) ([]byte, error) {
		served <- struct{}{}
		return append(reply, make([]byte, 60<<10)...), nil
	}, unary.Options{KeepaliveTime: 100 * time.Millisecond, KeepaliveWait: 100 * time.Millisecond, MaxStreams: 1 << 20})
	r := open(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	r.must(r.WriteWindowUpdate(0, 1<<30))
	for id := uint32(1); id < 1<<16; id += 2 {
		r.block.Reset()
		if r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndHeaders: true}) != nil || r.WriteData(id, true, framed("")) != nil {
			break // closed
		}
	}
	select {
	case <-r.served:
	case <-time.After(soon):
		t.Fatal("it is still served")
	}
	if n := len(served); n > 200 {
		t.Errorf("%d replies of 60 KiB were made for a client that reads none", n)
	}
}

// graceful is a server that has been asked to stop when all is answered.
type graceful struct {
	t       *testing.T
	stopped chan struct{}
}

func stop(t *testing.T, s *unary.Server) graceful {
	g := graceful{t, make(chan struct{})}
	go func() { s.GracefulStop(); close(g.stopped) }()
	return g
}

// goesOn fails where it has stopped already.
func (g graceful) goesOn() {
	g.t.Helper()
	select {
	case <-g.stopped:
		g.t.Fatal("stopped with a call in flight")
	default:
	}
}

// ends waits until it has stopped.
func (g graceful) ends() {
	g.t.Helper()
	select {
	case <-g.stopped:
	case <-time.After(soon):
		g.t.Error("not stopped when all is answered")
	}
}
