package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// connection makes calls of Check, many at once, with as little of its own as
// can be: it has the same machine as the server. It is for one goroutine.
type connection struct {
	conn    net.Conn
	out     *bufio.Writer
	in      *bufio.Reader
	frames  *http2.Framer
	headers callHeaders
	next    uint32 // stream
	window  int64  // of what may be sent on the connection
	waiting [][]byte
	began   map[uint32]time.Time
	// refused: each call must be a denial, where otherwise each must let its
	// request pass.
	refused bool
	body    map[uint32][]byte
}

// loaded is what a load has come to.
type loaded struct {
	calls     int
	took      time.Duration
	latencies []time.Duration
}

func dial(addr string) (*connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c := &connection{
		conn: conn, out: bufio.NewWriterSize(conn, 128<<10), in: bufio.NewReaderSize(conn, 128<<10),
		next: 1, window: 65535, began: map[uint32]time.Time{}, body: map[uint32][]byte{},
	}
	c.frames = http2.NewFramer(c.out, c.in)
	c.frames.SetReuseFrames()
	c.headers = newCallHeaders(addr)
	_, err = c.out.WriteString(http2.ClientPreface)
	return c, errors.Join(err,
		c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		c.frames.WriteWindowUpdate(0, 1<<30))
}

// callHeaders are those of Envoy, as it sends them: the first time in full, and
// then as references to what was sent before.
type callHeaders struct{ first, again []byte }

func newCallHeaders(addr string) callHeaders {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	encoded := func() []byte {
		b.Reset()
		for _, h := range [][2]string{
			{":method", "POST"}, {":scheme", "http"}, {":path", "/envoy.service.auth.v3.Authorization/Check"}, {":authority", addr},
			{"te", "trailers"}, {"grpc-timeout", "1000m"}, {"content-type", "application/grpc"}, {"x-envoy-internal", "true"}, {"x-forwarded-for", "10.0.0.1"},
		} {
			_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
		}
		return bytes.Clone(b.Bytes())
	}
	return callHeaders{first: encoded(), again: encoded()}
}

// next are those of the next call.
func (h *callHeaders) next() []byte {
	now := h.first
	h.first = h.again
	return now
}

// load makes calls with the messages in turn, so many at once, until more says
// no, and waits for the last. Each must let its request pass, or be a denial
// where c.refused says so.
func (c *connection) load(streams int, message func() []byte, more func(calls int) bool) (loaded, error) {
	began := time.Now()
	var l loaded
	made := 0
	for ; made < streams && more(made); made++ {
		c.waiting = append(c.waiting, message())
	}
	for l.calls < made {
		if err := c.send(); err != nil {
			return l, err
		}
		took, err := c.receive()
		if err != nil {
			return l, fmt.Errorf("after %d calls: %w", l.calls, err)
		}
		if took == 0 {
			continue
		}
		l.calls++
		l.latencies = append(l.latencies, took)
		if more(made) {
			c.waiting = append(c.waiting, message())
			made++
		}
	}
	l.took = time.Since(began)
	return l, nil
}

// send writes the calls that wait, as far as the window goes, and has them go
// when there is nothing more to be read first.
func (c *connection) send() error {
	for len(c.waiting) > 0 && c.window >= int64(len(c.waiting[0])+5) {
		message := c.waiting[0]
		c.waiting = c.waiting[1:]
		data := binary.BigEndian.AppendUint32(make([]byte, 1, len(message)+5), uint32(len(message)))
		data = append(data, message...)
		if err := errors.Join(
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.headers.next(), EndHeaders: true}),
			c.frames.WriteData(c.next, true, data)); err != nil {
			return fmt.Errorf("sending a call: %w", err)
		}
		c.window -= int64(len(data))
		c.began[c.next] = time.Now()
		c.next += 2
	}
	if c.in.Buffered() > 0 {
		return nil
	}
	if err := c.out.Flush(); err != nil {
		return fmt.Errorf("sending calls: %w", err)
	}
	return nil
}

// receive reads one frame. It returns how long the call took that it ends, if
// it ends one.
func (c *connection) receive() (took time.Duration, err error) {
	frame, err := c.frames.ReadFrame()
	if err != nil {
		return 0, fmt.Errorf("reading an answer: %w", err)
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return 0, c.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return 0, c.frames.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		}
	case *http2.DataFrame:
		c.body[f.StreamID] = append(c.body[f.StreamID], f.Data()...)
	case *http2.HeadersFrame: // in the end, those of the trailers; they need not be decoded
		if f.StreamEnded() {
			return c.ended(f.StreamID)
		}
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return 0, fmt.Errorf("the server ends it: %v", frame)
	}
	return 0, nil
}

// allowed is how the answer begins that lets a request pass: after the five
// bytes of gRPC, a status that is there and is OK. A call that fails has no
// answer but trailers.
var allowed = []byte{0x0a, 0x00}

func (c *connection) ended(stream uint32) (time.Duration, error) {
	took := max(1, time.Since(c.began[stream]))
	body := c.body[stream]
	delete(c.began, stream)
	delete(c.body, stream)
	if len(body) < 5 || bytes.HasPrefix(body[5:], allowed) == c.refused {
		return 0, fmt.Errorf("a request passed: %t, which is wrong: %q", c.refused, body)
	}
	return took, nil
}
