package rig

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Connection makes calls of one method, many at once, with as little of its own
// as can be: it has the same machine as the server. It is for one goroutine.
type Connection struct {
	conn    net.Conn
	out     *bufio.Writer
	in      *bufio.Reader
	frames  *http2.Framer
	headers callHeaders
	next    uint32 // stream
	window  int64  // of what may be sent on the connection
	waiting [][]byte
	began   map[uint32]time.Time
	body    map[uint32][]byte
	wrong   func(reply []byte) error
	resting chan error // says how the rest after the last load has ended; nil before the first
}

// Loaded is what a load has come to.
type Loaded struct {
	Calls     int
	Took      time.Duration
	Latencies []time.Duration
}

// Dial connects to a server of gRPC, without TLS, for calls of a method, as
// "/package.Service/Method". Every reply is shown to wrong, whose error ends the
// load.
func Dial(addr, method string, wrong func(reply []byte) error) (*Connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c := &Connection{
		conn: conn, out: bufio.NewWriterSize(conn, 128<<10), in: bufio.NewReaderSize(conn, 128<<10),
		next: 1, window: 65535, began: map[uint32]time.Time{}, body: map[uint32][]byte{}, wrong: wrong,
	}
	c.frames = http2.NewFramer(c.out, c.in)
	c.frames.SetReuseFrames()
	c.headers = newCallHeaders(addr, method)
	_, err = c.out.WriteString(http2.ClientPreface)
	return c, errors.Join(err,
		c.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		c.frames.WriteWindowUpdate(0, 1<<30))
}

// callHeaders are those of Envoy, as it sends them: the first time in full, and
// then as references to what was sent before.
type callHeaders struct{ first, again []byte }

func newCallHeaders(addr, method string) callHeaders {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	encoded := func() []byte {
		b.Reset()
		for _, h := range [][2]string{
			{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", addr},
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

// Load makes calls with the messages in turn, so many at once, until more says
// no, and waits for the last. The first reply that is wrong ends it.
func (c *Connection) Load(streams int, message func() []byte, more func(calls int) bool) (Loaded, error) {
	if err := c.wake(); err != nil {
		return Loaded{}, err
	}
	l, err := c.load(streams, message, more)
	if err == nil {
		c.rest()
	}
	return l, err
}

func (c *Connection) load(streams int, message func() []byte, more func(calls int) bool) (Loaded, error) {
	began := time.Now()
	var l Loaded
	made := 0
	for ; made < streams && more(made); made++ {
		c.waiting = append(c.waiting, message())
	}
	for l.Calls < made {
		if err := c.send(); err != nil {
			return l, err
		}
		took, err := c.receive()
		if err != nil {
			return l, fmt.Errorf("after %d calls: %w", l.Calls, err)
		}
		if took == 0 {
			continue
		}
		l.Calls++
		l.Latencies = append(l.Latencies, took)
		if more(made) {
			c.waiting = append(c.waiting, message())
			made++
		}
	}
	l.Took = time.Since(began)
	return l, nil
}

// rest answers the server until wake.
func (c *Connection) rest() {
	c.resting = make(chan error, 1)
	go func() { c.resting <- c.answer() }()
}

// wake ends the rest, if there is one. An error is that the connection is gone.
func (c *Connection) wake() error {
	if c.resting == nil {
		return nil
	}
	err := c.conn.SetReadDeadline(time.Now())
	if rested := <-c.resting; !errors.Is(rested, os.ErrDeadlineExceeded) {
		return fmt.Errorf("while nothing was asked: %w", rested)
	}
	c.resting = nil
	return errors.Join(err, c.conn.SetReadDeadline(time.Time{}))
}

// answer reads frames, and answers them, until reading fails: only whole ones, so
// that none is lost when its time is over.
func (c *Connection) answer() error {
	const head = 9
	for {
		start, err := c.in.Peek(head)
		if err != nil {
			return err
		}
		if _, err := c.in.Peek(head + (int(start[0])<<16 | int(start[1])<<8 | int(start[2]))); err != nil {
			return err
		}
		if _, err := c.receive(); err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
	}
}

// send writes the calls that wait, as far as the window goes, and has them go
// when there is nothing more to be read first.
func (c *Connection) send() error {
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
func (c *Connection) receive() (took time.Duration, err error) {
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

// ended looks at the reply of a call. One that fails has nothing but trailers.
func (c *Connection) ended(stream uint32) (time.Duration, error) {
	took := max(1, time.Since(c.began[stream]))
	body := c.body[stream]
	delete(c.began, stream)
	delete(c.body, stream)
	if len(body) < 5 {
		return 0, errors.New("a call has failed")
	}
	return took, c.wrong(body[5:])
}
