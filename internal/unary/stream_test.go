package unary_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/unary"
)

// streamMethod is a method that has many messages and one reply.
const streamMethod = "/a.B/Tell"

// gathered is a stream that keeps what it is told, and replies with all of it.
type gathered struct {
	caller any
	all    []string
	taken  chan<- string // nil for nobody
}

// Take implements unary.Stream.
func (g *gathered) Take(message []byte) error {
	switch m := string(message); m {
	case "denied":
		return status.Error(codes.PermissionDenied, "no")
	case "panic":
		panic("as the test wants")
	default:
		g.all = append(g.all, m)
		if g.taken != nil {
			g.taken <- m
		}
	}
	return nil
}

// Reply implements unary.Stream.
func (g *gathered) Reply(reply []byte) ([]byte, error) {
	if len(g.all) == 1 && g.all[0] == "no reply" {
		return nil, errors.New("no status")
	}
	return fmt.Appendf(reply, "%v %v", g.caller, g.all), nil
}

// streaming is a server of calls and of streams. What streams are told, it tells on.
func streaming(t testing.TB, o unary.Options, taken chan<- string) *unary.Server {
	t.Helper()
	s := serving(t, echo, o)
	s.HandleStream(streamMethod, func(caller any) unary.Stream { return &gathered{caller: caller, taken: taken} })
	return s
}

func (r *raw) openStream(id uint32, instead ...string) {
	r.t.Helper()
	r.head(id, append(instead, ":path", streamMethod)...)
}

// TestStreams: their messages are taken as they come, in parts or many at once, beside
// calls and other streams on the same connection, and answered when all have come.
func TestStreams(t *testing.T) {
	t.Parallel()
	taken := make(chan string, 10)
	r := open(t, streaming(t, unary.Options{}, taken))
	r.openStream(1)
	r.openStream(3)
	long := strings.Repeat("x", 40<<10)
	r.must(r.WriteData(1, false, append(framed("a"), framed("")...)))
	for _, want := range []string{"a", ""} {
		if got := <-taken; got != want {
			t.Fatalf("taken %q, want %q", got, want)
		}
	}
	rest := framed(long) // in three frames, with others between them
	r.must(r.WriteData(1, false, rest[:16<<10]))
	r.must(r.WriteData(3, false, framed("of another stream")))
	r.must(r.WriteData(1, false, rest[16<<10:32<<10]))
	r.ask(5, "a call")
	r.expect(outcome{stream: 5, status: "0", message: "a call"})
	r.must(r.WriteData(1, false, append(rest[32<<10:], framed("z")[:3]...)))
	r.must(r.WriteData(1, true, framed("z")[3:]))
	r.expect(outcome{stream: 1, status: "0", message: "<nil> [a  " + long + " z]"})
	r.must(r.WriteData(3, false, framed("b")))
	r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true})) // trailers
	r.expect(outcome{stream: 3, status: "0", message: "<nil> [of another stream b]"})
	r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: r.fields(":path", streamMethod), EndStream: true, EndHeaders: true}))
	r.expect(outcome{stream: 7, status: "0", message: "<nil> []"})
}

// TestStreamsKnowTheirCaller: who opens a stream is told for whom.
func TestStreamsKnowTheirCaller(t *testing.T) {
	t.Parallel()
	s := streaming(t, unary.Options{}, nil)
	r, server := unserved(t)
	go func() { r.served <- s.Serve(server, "edge-7") }()
	r.greet()
	r.openStream(1) // and so the connection is one of the loop's
	r.must(r.WriteData(1, true, framed("a")))
	r.expect(outcome{stream: 1, status: "0", message: "edge-7 [a]"})
}

// TestFaultsOfAStream end it, with what gRPC says of them, and nothing else: what is
// still under way to it is passed over, and the next stream is served.
func TestFaultsOfAStream(t *testing.T) {
	t.Parallel()
	r := open(t, streaming(t, unary.Options{MaxMessage: 1000}, nil))
	id := uint32(1)
	for name, c := range map[string]struct {
		data []byte
		want outcome
	}{
		"compressed":          {append([]byte{1}, framed("a")[1:]...), outcome{status: "12", words: "the message is compressed, which is not understood here"}},
		"of an unknown kind":  {append([]byte{2}, framed("a")[1:]...), outcome{status: "13", words: "the message begins with a flag that gRPC does not have"}},
		"too long":            {framed(strings.Repeat("x", 1001)), outcome{status: "8", words: "the message is too long"}},
		"said to be too long": {[]byte{0, 0xff, 0xff, 0xff, 0xff, 1}, outcome{status: "8", words: "the message is too long"}},
		"refused":             {framed("denied"), outcome{status: "7", words: "no"}},
		"a panic":             {framed("panic"), outcome{status: "13", words: "the call could not be answered"}},
		"refused, the second": {append(framed("a"), framed("denied")...), outcome{status: "7", words: "no"}},
	} {
		for _, size := range []int{1, 6, len(c.data)} {
			t.Run(fmt.Sprint(name, " by ", size), func(t *testing.T) {
				r.t = t
				r.openStream(id)
				for rest := c.data; len(rest) > 0; rest = rest[min(size, len(rest)):] {
					r.must(r.WriteData(id, false, rest[:min(size, len(rest))]))
				}
				c.want.stream = id
				r.expect(c.want)
				r.expect(outcome{stream: id, status: "reset NO_ERROR"})
				r.must(r.WriteData(id, true, framed("late")))
				r.openStream(id + 2)
				r.must(r.WriteData(id+2, true, framed("next")))
				r.expect(outcome{stream: id + 2, status: "0", message: "<nil> [next]"})
			})
			id += 4
		}
	}
}

// TestEndsOfAStream: one that ends within a message is told so, and so is one that has
// no reply, or more to say when it has ended.
func TestEndsOfAStream(t *testing.T) {
	t.Parallel()
	r := open(t, streaming(t, unary.Options{}, nil))
	for i, c := range []struct {
		data []byte
		want outcome
	}{
		{framed("hello")[:8], outcome{status: "13", words: "the stream has ended within a message"}},
		{framed("hello")[:2], outcome{status: "13", words: "the stream has ended within a message"}},
		{framed("no reply"), outcome{status: "2", words: "no status"}},
		{framed("next"), outcome{status: "0", message: "<nil> [next]"}},
	} {
		c.want.stream = uint32(2*i + 1)
		r.openStream(c.want.stream)
		r.must(r.WriteData(c.want.stream, true, c.data))
		r.expect(c.want)
		r.must(r.WriteData(c.want.stream, true, c.data)) // which is for nobody
	}
}

// TestStreamsWithADeadline take nothing after it.
func TestStreamsWithADeadline(t *testing.T) {
	t.Parallel()
	r := open(t, streaming(t, unary.Options{}, nil))
	r.openStream(1, "grpc-timeout", "1n")
	r.must(r.WriteData(1, false, framed("late")))
	r.expect(outcome{stream: 1, status: "4", words: "context deadline exceeded"})
}

// TestStreamsAreGivenRoom: what a stream may send is given back to it as it is taken,
// although it is never answered; and so are streams that end for a fault.
func TestStreamsAreGivenRoom(t *testing.T) {
	t.Parallel()
	s := serving(t, echo, unary.Options{})
	s.HandleStream(streamMethod, func(any) unary.Stream { return &gathered{all: []string{"no reply"}, taken: make(chan string, 1000)} })
	r := open(t, s)
	room := map[uint32]int{0: 65535, 1: 256 << 10}
	send := func(id uint32, data []byte) {
		for room[id] < len(data) || room[0] < len(data) {
			f, err := r.ReadFrame()
			r.must(err)
			if w, ok := f.(*http2.WindowUpdateFrame); ok {
				room[w.StreamID] += int(w.Increment)
			}
		}
		room[id] -= len(data)
		room[0] -= len(data)
		r.must(r.WriteData(id, false, data))
	}
	r.openStream(1)
	message := framed(strings.Repeat("x", 15<<10))
	for range 9 << 20 / len(message) { // more than twice what is under way at most
		send(1, message)
	}
	for i := range 9 << 20 / len(message) {
		id := uint32(2*i + 3)
		r.openStream(id)
		room[id] = 256 << 10
		send(id, append([]byte{1}, message[1:]...)) // compressed, and so refused
		delete(room, id)
	}
}

// TestWhatStreamsHoldIsBounded: what a connection has sent of messages that are not
// whole is at most 16 MiB, however many streams it is on, and what is taken back is not
// counted.
func TestWhatStreamsHoldIsBounded(t *testing.T) {
	t.Parallel()
	r := open(t, streaming(t, unary.Options{}, nil))
	begin := func(id uint32, n int) {
		r.openStream(id)
		data := framed(strings.Repeat("x", 4<<20))[:n]
		for ; len(data) > 0; data = data[min(len(data), 16<<10):] {
			if r.WriteData(id, false, data[:min(len(data), 16<<10)]) != nil {
				t.Fatal("the connection has ended")
			}
		}
	}
	got := make(chan outcome, 10)
	go func() { // else neither side would go on
		defer close(got)
		for {
			o := r.outcome()
			if o.status == "closed" {
				return
			}
			got <- o
		}
	}()
	for i := range uint32(8) { // one after the other: 24 MiB
		begin(2*i+1, 3<<20)
		r.must(r.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
	}
	for i := range uint32(5) { // at once: 15 MiB
		begin(2*i+17, 3<<20)
	}
	begin(27, 2<<20)
	if o := <-got; o != (outcome{stream: 27, status: "8", words: "the message is too long"}) {
		t.Errorf("the sixth: %+v", o)
	}
	if o := <-got; o != (outcome{stream: 27, status: "reset NO_ERROR"}) {
		t.Errorf("the sixth: %+v", o)
	}
	r.ask(29, "a call")
	if o := <-got; o != (outcome{stream: 29, status: "0", message: "a call"}) {
		t.Errorf("a call: %+v", o)
	}
	r.conn.Close()
}

// TestStreamsOfAServerThatStops go on until their clients end them.
func TestStreamsOfAServerThatStops(t *testing.T) {
	t.Parallel()
	taken := make(chan string, 10)
	s := streaming(t, unary.Options{}, taken)
	r, stopped := open(t, s), open(t, s)
	for _, one := range []*raw{r, stopped} {
		one.openStream(1)
		one.must(one.WriteData(1, false, framed("a")))
		<-taken
	}
	stopping := stop(t, s)
	r.answerPings()
	r.must(r.WriteData(1, false, framed("b")))
	if got := <-taken; got != "b" {
		t.Errorf("taken %q, want b", got)
	}
	stopping.goesOn()
	r.must(r.WriteData(1, true, framed("c")))
	r.expect(outcome{stream: 1, status: "0", message: "<nil> [a b c]"})
	r.expect(outcome{status: "closed"})
	r.conn.Close()
	stopping.goesOn()
	s.Stop()
	stopping.ends()
	stopped.expect(outcome{status: "closed"})
}

// TestStreamsInAnyParts: whatever the frames are in which they come, messages are those
// that were sent, in their order.
func TestStreamsInAnyParts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	s := unary.New(unary.Options{})
	s.HandleStream(streamMethod, func(any) unary.Stream { return &keeper{&mu, &got} })
	t.Cleanup(s.Stop)
	r := open(t, s)
	id := uint32(1)
	rapid.Check(t, func(t *rapid.T) {
		r.openStream(id)
		var want []string
		var sent []byte
		for range rapid.IntRange(0, 20).Draw(t, "messages") {
			m := strings.Repeat("m", rapid.SampledFrom([]int{0, 1, 4, 5, 6, 100, 20_000}).Draw(t, "length")) + fmt.Sprint(len(want))
			want, sent = append(want, m), append(sent, framed(m)...)
		}
		for len(sent) > 0 {
			n := min(len(sent), rapid.SampledFrom([]int{0, 1, 4, 5, 6, 200, 16 << 10}).Draw(t, "frame"))
			r.must(r.WriteData(id, false, sent[:n]))
			sent = sent[n:]
		}
		r.must(r.WriteData(id, true, nil))
		r.expect(outcome{stream: id, status: "0"})
		id += 2
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%d messages, want %d as they were", len(got), len(want))
		}
		got = nil
	})
}

// keeper keeps what it is told elsewhere.
type keeper struct {
	mu  *sync.Mutex
	all *[]string
}

// Take implements unary.Stream.
func (k *keeper) Take(message []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	*k.all = append(*k.all, string(message))
	return nil
}

// Reply implements unary.Stream.
func (k *keeper) Reply(reply []byte) ([]byte, error) { return reply, nil }
