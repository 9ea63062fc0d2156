package unary_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/unary"
)

// TestFaultsOfAConnection end it, with the code that says why, and nothing else.
func TestFaultsOfAConnection(t *testing.T) {
	t.Parallel()
	s := serving(t, echo, unary.Options{})
	for name, c := range map[string]struct {
		do   func(r *raw)
		want string
	}{
		"no preface":        {func(r *raw) { io.WriteString(r.conn, strings.Repeat("GET / HTTP/1.1\r\n", 3)) }, "goaway PROTOCOL_ERROR"},
		"no settings first": {func(r *raw) { io.WriteString(r.conn, http2.ClientPreface); r.WritePing(false, [8]byte{}) }, "goaway PROTOCOL_ERROR"},
		"an even stream":    {func(r *raw) { r.greet(); r.head(2) }, "goaway PROTOCOL_ERROR"},
		"data of no stream": {func(r *raw) { r.greet(); r.WriteData(1, true, nil) }, "goaway PROTOCOL_ERROR"},
		"a reset of none":   {func(r *raw) { r.greet(); r.WriteRSTStream(1, 0) }, "goaway PROTOCOL_ERROR"},
		"a window of none":  {func(r *raw) { r.greet(); r.WriteWindowUpdate(1, 1) }, "goaway PROTOCOL_ERROR"},
		"a promise": {func(r *raw) {
			r.greet()
			r.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, "goaway PROTOCOL_ERROR"},
		"a window over the top":    {func(r *raw) { r.greet(); r.WriteWindowUpdate(0, 1<<31-1) }, "goaway FLOW_CONTROL_ERROR"},
		"a setting over the top":   {func(r *raw) { r.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, "goaway FLOW_CONTROL_ERROR"},
		"a frame over the top":     {func(r *raw) { r.greet(); r.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 17<<10)) }, "goaway FRAME_SIZE_ERROR"},
		"headers that do not end":  {func(r *raw) { r.greet(); r.flood() }, "goaway ENHANCE_YOUR_CALM"},
		"headers cut by data":      {func(r *raw) { r.greet(); r.cut(); r.WriteData(1, true, nil) }, "goaway PROTOCOL_ERROR"},
		"no header compression":    {func(r *raw) { r.greet(); r.garbage() }, "goaway COMPRESSION_ERROR"},
		"settings without an end":  {func(r *raw) { r.greet(); r.settingsFlood() }, "goaway ENHANCE_YOUR_CALM"},
		"a call under an old name": {func(r *raw) { r.greet(); r.ask(3, ""); r.outcome(); r.garbageAt(1) }, "goaway COMPRESSION_ERROR"},
		"padding longer than frame": {func(r *raw) {
			r.greet()
			r.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, []byte{200, 0})
		}, "goaway PROTOCOL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := connect(t, s)
			r.AllowIllegalWrites = true
			c.do(r)
			r.expect(outcome{status: c.want})
			r.expect(outcome{status: "closed"})
			if rest := <-r.served; rest != nil {
				t.Error("the connection was handed over")
			}
		})
	}
}

// flood sends headers without an end. Their server may have closed.
func (r *raw) flood() {
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
	for range 10 {
		if r.WriteContinuation(1, false, make([]byte, 16<<10)) != nil {
			return
		}
	}
}

func (r *raw) cut() {
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields()})
}

func (r *raw) garbage() { r.garbageAt(1) }

func (r *raw) garbageAt(id uint32) {
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
}

func (r *raw) settingsFlood() {
	for range 5000 {
		if r.WriteSettings(http2.Setting{ID: 0x99, Val: 1}) != nil {
			return
		}
	}
}

// TestFaultsOfACall end it alone: the next one on the connection is served.
func TestFaultsOfACall(t *testing.T) {
	t.Parallel()
	s := serving(t, echo, unary.Options{MaxHeaders: 8 << 10})
	for name, c := range map[string]struct {
		do   func(r *raw)
		want string
	}{
		"no :method":           {func(r *raw) { r.head(3, ":method", "") }, "reset PROTOCOL_ERROR"},
		"no :path":             {func(r *raw) { r.head(3, ":path", "") }, "reset PROTOCOL_ERROR"},
		"no :scheme":           {func(r *raw) { r.head(3, ":scheme", "") }, "reset PROTOCOL_ERROR"},
		"GET":                  {func(r *raw) { r.head(3, ":method", "GET") }, "reset PROTOCOL_ERROR"},
		"no gRPC":              {func(r *raw) { r.head(3, "content-type", "text/html") }, "reset PROTOCOL_ERROR"},
		"gRPC in JSON":         {func(r *raw) { r.head(3, "content-type", "application/grpc+json") }, "reset PROTOCOL_ERROR"},
		"gRPC of the web":      {func(r *raw) { r.head(3, "content-type", "application/grpc-web") }, "reset PROTOCOL_ERROR"},
		"a header of HTTP/1":   {func(r *raw) { r.head(3, "connection", "close") }, "reset PROTOCOL_ERROR"},
		"te: gzip":             {func(r *raw) { r.head(3, "te", "gzip") }, "reset PROTOCOL_ERROR"},
		"an unknown :header":   {func(r *raw) { r.head(3, ":odd", "x") }, "reset PROTOCOL_ERROR"},
		"much in its headers":  {func(r *raw) { r.head(3, "x", strings.Repeat("x", 8100)) }, "reset ENHANCE_YOUR_CALM"},
		"headers in the midst": {func(r *raw) { r.head(3); r.head(3) }, "reset PROTOCOL_ERROR"},
		"no room at all":       {func(r *raw) { r.head(3); r.WriteRawFrame(http2.FrameWindowUpdate, 0, 3, make([]byte, 4)) }, "goaway PROTOCOL_ERROR"},
		"too much room":        {func(r *raw) { r.head(3); r.WriteWindowUpdate(3, 1<<31-1) }, "reset FLOW_CONTROL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t, s)
			r.AllowIllegalWrites = true
			r.ask(1, "first")
			r.expect(outcome{stream: 1, status: "0", message: "first"})
			c.do(r)
			want := outcome{stream: 3, status: c.want}
			if strings.HasPrefix(c.want, "goaway") {
				want.stream = 0
				r.expect(want)
				return
			}
			r.expect(want)
			r.WriteData(3, true, framed("what was under way"))
			r.ask(5, "next")
			r.expect(outcome{stream: 5, status: "0", message: "next"})
		})
	}
}

// TestAfterItsEnd: what a client says of a call that is over changes nothing.
func TestAfterItsEnd(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{}))
	r.ask(1, "x")
	r.expect(outcome{stream: 1, status: "0", message: "x"})
	r.must(r.WriteWindowUpdate(1, 10))
	r.must(r.WriteRSTStream(1, http2.ErrCodeCancel))
	r.must(r.WriteData(1, true, framed("again")))
	r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(), EndHeaders: true, EndStream: true}))
	r.must(r.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}))
	r.must(r.WriteRawFrame(0x77, 0, 0, []byte("unknown")))
	r.must(r.WritePriority(1, http2.PriorityParam{StreamDep: 5}))
	r.must(r.WriteGoAway(0, http2.ErrCodeNo, nil))
	r.ask(3, "y")
	r.expect(outcome{stream: 3, status: "0", message: "y"})
}

// TestHandOver: a connection that does not begin with a call of ours is another
// server's from its first byte, with what has been answered left out.
func TestHandOver(t *testing.T) {
	t.Parallel()
	s := serving(t, echo, unary.Options{})
	for name, instead := range map[string][]string{
		"another method":   {":path", "/a.B/Other"},
		"no gRPC":          {"content-type", "text/html"},
		"GET":              {":method", "GET"},
		"malformed":        {"connection", "close"},
		"in several parts": {":path", "/a.B/Other", "x-long", strings.Repeat("x", 40<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := connect(t, s)
			r.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 77}, http2.Setting{ID: 0x99, Val: 5})
			r.must(r.WritePing(false, [8]byte{1}))
			r.must(r.WriteWindowUpdate(0, 99))
			acks := 0
			for ponged := false; !ponged; {
				f, err := r.ReadFrame()
				r.must(err)
				switch f := f.(type) {
				case *http2.SettingsFrame:
					if f.IsAck() {
						acks++
					}
				case *http2.PingFrame:
					ponged = f.IsAck() && f.Data == [8]byte{1}
				}
			}
			if acks != 0 {
				t.Error("the settings were acknowledged, which the other server will do again")
			}
			fields := bytes.Clone(r.fields(instead...))
			first := fields[:min(len(fields), 16<<10)]
			r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(first) == len(fields)}))
			for rest := fields[len(first):]; len(rest) > 0; {
				n := min(len(rest), 16<<10)
				r.must(r.WriteContinuation(1, n == len(rest), rest[:n]))
				rest = rest[n:]
			}
			r.must(r.WriteData(1, true, []byte("what comes after")))

			var rest net.Conn
			select {
			case rest = <-r.served:
			case <-time.After(soon):
				t.Fatal("not handed over")
			}
			if rest == nil {
				t.Fatal("not handed over, but ended")
			}
			var want bytes.Buffer
			want.WriteString(http2.ClientPreface)
			w := http2.NewFramer(&want, nil)
			r.must(w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 77}, http2.Setting{ID: 0x99, Val: 5}))
			r.must(w.WriteWindowUpdate(0, 99))
			r.must(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(first) == len(fields)}))
			for rest := fields[len(first):]; len(rest) > 0; {
				n := min(len(rest), 16<<10)
				r.must(w.WriteContinuation(1, n == len(rest), rest[:n]))
				rest = rest[n:]
			}
			r.must(w.WriteData(1, true, []byte("what comes after")))
			got := make([]byte, want.Len())
			if _, err := io.ReadFull(rest, got); err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%v; replayed %q, want %q", err, got, want.Bytes())
			}
			r.must(r.WritePing(false, [8]byte{3})) // the rest is not ours
			if _, err := io.ReadFull(rest, make([]byte, 17)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestForeignCalls: a client whose connection carries calls of ours, and then one
// that is not, is told to make that one elsewhere; what it has asked is answered, and so
// is what it asks before it has read that.
func TestForeignCalls(t *testing.T) {
	t.Parallel()
	told := make(chan string, 1)
	release := make(chan struct{})
	s := serving(t, func(ctx context.Context, message, reply []byte) ([]byte, error) {
		return slowEcho(ctx, message, reply, release)
	}, unary.Options{Foreign: func(_ net.Addr, method string) { told <- method }})
	r := open(t, s)
	r.ask(1, "slow")
	r.head(3, ":path", "/a.B/Stream")
	r.expect(outcome{stream: 3, status: "reset REFUSED_STREAM"})
	if got := <-told; got != "/a.B/Stream" {
		t.Errorf("told of %q", got)
	}
	r.ask(5, "behind it")
	r.expect(outcome{stream: 5, status: "0", message: "behind it"})
	r.head(7, ":path", "/a.B/Stream")
	r.expect(outcome{stream: 7, status: "reset REFUSED_STREAM"})
	r.must(r.WritePing(true, [8]byte([]byte("leaving.")))) // it has read that
	r.ask(9, "not taken")
	close(release)
	r.expect(outcome{stream: 1, status: "0", message: "slow"})
	r.expect(outcome{status: "closed"})
}

// FuzzConnection: whatever comes, a connection ends without harm.
func FuzzConnection(f *testing.F) {
	var seed bytes.Buffer
	w := http2.NewFramer(&seed, nil)
	w.WriteSettings()
	r := &raw{t: f}
	r.encoder = newEncoder(&r.block)
	for id := uint32(1); id < 9; id += 2 {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(), EndHeaders: true})
		w.WriteData(id, id != 5, framed("hello"))
	}
	for id := uint32(9); id < 13; id += 2 {
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(":path", streamMethod), EndHeaders: true})
		w.WriteData(id, false, append(framed("one"), framed("two")[:6]...))
		w.WriteData(id, id == 9, framed("two")[6:])
	}
	w.WriteRSTStream(5, http2.ErrCodeCancel)
	w.WriteWindowUpdate(0, 10)
	w.WritePing(false, [8]byte{})
	w.WriteGoAway(0, 0, nil)
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, frames []byte) {
		s := unary.New(unary.Options{})
		s.Handle(method, func(ctx context.Context, message, reply []byte) ([]byte, error) {
			return slowEcho(ctx, message, reply, nil)
		})
		s.HandleStream(streamMethod, func(any) unary.Stream { return &gathered{} })
		client, server := pair(t)
		go io.Copy(io.Discard, client)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if rest := s.Serve(server, nil); rest != nil {
				rest.Close()
			}
		}()
		io.WriteString(client, http2.ClientPreface)
		client.Write(frames)
		client.Close()
		select {
		case <-done:
		case <-time.After(soon):
			t.Fatal("the connection does not end")
		}
	})
}

// TestBlocksThatSayTheSame: headers that refer to the table alone are those of the call
// before, unless the table has changed since.
func TestBlocksThatSayTheSame(t *testing.T) {
	t.Parallel()
	r := open(t, serving(t, echo, unary.Options{}))
	call := func(id uint32, block []byte) {
		r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}))
		r.must(r.WriteData(id, true, framed("x")))
	}
	call(1, r.fields())
	r.expect(outcome{stream: 1, status: "0", message: "x"})
	same := bytes.Clone(r.fields())
	if len(same) != len(r.fields()) || same[len(same)-1] <= 0x80 || len(same) > 10 {
		t.Fatalf("the client's encoder does not refer to the table: %x", same)
	}
	for id := uint32(3); id < 9; id += 2 {
		call(id, same)
		r.expect(outcome{stream: id, status: "0", message: "x"})
	}
	call(9, r.fields(":path", method+"X"))
	r.expect(outcome{stream: 9, status: "reset REFUSED_STREAM"})
	call(11, same) // each field is the next one in the table now: there is no path
	r.expect(outcome{stream: 11, status: "reset PROTOCOL_ERROR"})
}
