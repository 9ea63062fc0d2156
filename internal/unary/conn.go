package unary

import (
	"bufio"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// inputBuffer is what is read from a connection at once: some dozens of
	// Checks.
	inputBuffer = 64 << 10
	// maxFrame is the longest frame on either side: the shortest that both may
	// rely on (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// window is how much of one message may be under way, connWindow of all.
	// Everything that comes is taken at once, so they bound a client for the time
	// of a round trip only.
	window     = 256 << 10
	connWindow = 4 << 20
	// maxHeld bounds what is kept of messages that are not whole yet, or of one
	// message where that may be longer.
	maxHeld = 16 << 20
)

// conn is one connection.
//
// One goroutine at a time reads it, and answers what it reads: the reader. What
// only the reader touches needs no lock; it is handed on with the reading.
type conn struct {
	server *Server
	caller any // as Serve was told
	net    net.Conn
	socket *socket       // net's; nil where that is none, as of TLS
	wire   io.ReadWriter // by what bytes come and go: the socket, or net
	framer *http2.Framer
	// ended is closed when nobody reads any more.
	ended chan struct{}
	// heard counts what has been read; see watch.
	heard atomic.Uint64

	// The reader's.
	input   *bufio.Reader
	decoder *hpack.Decoder
	head    head
	// known is the block that head is of, where the same one would come to the same
	// now; else it is empty.
	known []byte
	// block is what has come of headers that several frames carry; they are those
	// of the stream blockOf, and blockEnds tells that they end it.
	block     []byte
	blockOf   uint32
	blockEnds bool
	// greeted: the client has begun as one of HTTP/2 does. begun: there has been a
	// call of ours, so the connection is. Until then replay is what another server
	// has to be told.
	greeted, begun bool
	replay         replay
	// lastCall is the last stream that the client has opened.
	lastCall uint32
	// held counts the bytes of messages that are not whole, unread what the client
	// has not been given back of the connection's window.
	held   int
	unread uint32
	// room is the memory for a message that comes in parts, while none has it.
	room []byte
	// foreign: the first call is another server's.
	foreign bool

	// running has an element for each handler that another goroutine reads beside.
	running chan struct{}

	mu sync.Mutex // guards what follows, and the framer's writing side
	// calls are those that have no reply yet, or not all of it.
	calls map[uint32]*call
	// behind are those whose reply waits for the client to take more, in their
	// order.
	behind []*call
	// sendWindow is how much the client takes in all, startWindow how much on a
	// new stream.
	sendWindow, startWindow int64
	// out is what is to be written, spare the memory for what comes after it.
	out, spare []byte
	// unwritten: who has answered a detached call is about to flush.
	unwritten bool
	// writing: a goroutine is at it. It takes along what is added meanwhile.
	writing bool
	// since is when its last write began.
	since   time.Time
	written sync.Cond
	// sentAway: the client has been told to make its calls elsewhere. leaving: it knows,
	// no calls are taken after lastTaken, and the connection ends with the last of those
	// before it.
	sentAway  bool
	leaving   bool
	lastTaken uint32
	// shut: everything has been written. closed: nothing can be any more.
	shut, closed bool
	// resting are goroutines that have read and wait for another turn.
	resting []chan struct{}
}

func newConn(s *Server, nc net.Conn, caller any) *conn {
	c := &conn{
		server: s, caller: caller, net: nc, socket: socketOf(nc), ended: make(chan struct{}),
		calls:      map[uint32]*call{},
		running:    make(chan struct{}, s.options.MaxStreams),
		sendWindow: 65535, startWindow: 65535, // RFC 9113, section 6.9.2
	}
	c.written.L = &c.mu
	if c.wire = nc; c.socket != nil {
		c.wire = c.socket
	}
	c.input = bufio.NewReaderSize((*source)(c), inputBuffer)
	c.framer = http2.NewFramer((*sink)(c), c.input)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.decoder = hpack.NewDecoder(4<<10, c.head.add)
	c.decoder.SetMaxStringLength(s.options.MaxHeaders)
	c.head.most = s.options.MaxHeaders
	return c
}

// source is the connection as it is read: whatever has been answered goes out
// before one waits for more.
type source conn

func (s *source) Read(p []byte) (int, error) {
	c := (*conn)(s)
	c.flush()
	n, err := c.wire.Read(p)
	c.heard.Add(1)
	return n, err
}

// sink is where the framer writes to. The connection's mutex is held.
type sink conn

func (s *sink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

// serve serves the connection to its end, or returns it; see Server.Serve.
func (c *conn) serve() (rest net.Conn) {
	c.greet()
	w := newWatch(c)
	c.read()
	<-c.ended
	w.end()
	if c.foreign {
		return c.handOver()
	}
	c.close()
	return nil
}

// greet tells the client what it may do. It is given until then to be a client
// of HTTP/2.
func (c *conn) greet() {
	// A connection that cannot have a deadline is told of by the first read.
	_ = c.net.SetReadDeadline(time.Now().Add(c.server.options.HandshakeTime))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.server.options.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.server.options.MaxHeaders)},
	)
}

// read reads and answers until the connection ends, or another goroutine reads.
func (c *conn) read() {
	buffer := replies.Get().(*[]byte)
	defer replies.Put(buffer)
	for {
		stillReader, err := c.readFrame(buffer)
		if !stillReader {
			return
		}
		if err == nil {
			continue
		}
		c.foreign = errors.Is(err, errForeign)
		c.fail(err)
		close(c.ended)
		return
	}
}

// readElsewhere has another goroutine read: one that has read before, where one has
// nothing to do. Its stack is as large as a call needs, while that of a new one grows
// piece by piece, which was a third of what a short call cost.
func (c *conn) readElsewhere() {
	c.mu.Lock()
	n := len(c.resting)
	if n == 0 {
		c.mu.Unlock()
		go c.readInTurns()
		return
	}
	next := c.resting[n-1]
	c.resting = c.resting[:n-1]
	c.mu.Unlock()
	next <- struct{}{}
}

// readInTurns is read, whenever it is this goroutine's turn, and when all have had
// theirs that could run before. A goroutine that is begun or woken runs next on its
// processor; where each has the next one go on, as calls that compute do, others would
// not run there for as long as there is something to read.
func (c *conn) readInTurns() {
	turn := make(chan struct{}, 1)
	for {
		runtime.Gosched()
		c.read()
		if !c.rest(turn) {
			return
		}
	}
}

// maxResting bounds the goroutines that wait for a turn to read. More of them end.
const maxResting = 128

// rest waits for a turn, and is false where there will be none.
func (c *conn) rest(turn chan struct{}) bool {
	c.mu.Lock()
	if c.closed || len(c.resting) >= maxResting {
		c.mu.Unlock()
		return false
	}
	c.resting = append(c.resting, turn)
	c.mu.Unlock()
	_, ok := <-turn
	return ok
}

// replies are the memory in which replies are put together, one a goroutine.
var replies = sync.Pool{New: func() any { return new(make([]byte, 0, 1<<10)) }}

// errForeign ends the reading without a fault.
var errForeign = errors.New("the connection is another server's")

// readFrame reads one frame and does what it asks. An error ends the connection.
func (c *conn) readFrame(buffer *[]byte) (stillReader bool, err error) {
	frame, err := c.nextFrame()
	if err != nil {
		return true, err
	}
	stillReader, err = c.take(frame, buffer)
	if err == nil {
		return stillReader, nil
	}
	var stream http2.StreamError
	if errors.As(err, &stream) {
		c.reset(stream.StreamID, stream.Code)
		return true, nil
	}
	return true, err
}

// nextFrame reads a frame; before the first one it reads the preface.
func (c *conn) nextFrame() (http2.Frame, error) {
	if c.greeted {
		return c.framer.ReadFrame()
	}
	var preface [len(http2.ClientPreface)]byte
	if _, err := io.ReadFull(c.input, preface[:]); err != nil {
		return nil, err
	}
	if string(preface[:]) != http2.ClientPreface {
		return nil, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return nil, err
	}
	if f, ok := frame.(*http2.SettingsFrame); !ok || f.IsAck() {
		return nil, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.greeted = true
	return frame, c.net.SetReadDeadline(time.Time{})
}

// take does what a frame asks.
func (c *conn) take(frame http2.Frame, buffer *[]byte) (stillReader bool, err error) {
	switch f := frame.(type) {
	case *http2.DataFrame:
		return c.takeData(f, buffer)
	case *http2.HeadersFrame:
		c.blockOf, c.blockEnds = f.StreamID, f.StreamEnded()
		return c.takeFields(f.HeaderBlockFragment(), f.HeadersEnded(), buffer)
	case *http2.ContinuationFrame:
		return c.takeFields(f.HeaderBlockFragment(), f.HeadersEnded(), buffer)
	case *http2.WindowUpdateFrame:
		return true, c.takeWindow(f)
	case *http2.SettingsFrame:
		return true, c.takeSettings(f)
	case *http2.PingFrame:
		c.takePing(f)
	case *http2.RSTStreamFrame:
		return true, c.takeReset(f)
	case *http2.PushPromiseFrame:
		return true, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	// A GOAWAY of the client asks for nothing: it ends the connection when it
	// has its replies. Priorities are not heeded, and unknown frames are passed
	// over (RFC 9113, section 4.1).
	return true, nil
}

// fail tells the client of what ends the connection, if that is a fault of the
// client's.
func (c *conn) fail(err error) {
	var fault http2.ConnectionError
	var ofStream http2.StreamError
	switch {
	case errors.As(err, &fault):
	case errors.As(err, &ofStream):
		// The framer's: of a frame that it has not taken apart. Its headers are
		// missing to all that follow.
		fault = http2.ConnectionError(ofStream.Code)
	case errors.Is(err, http2.ErrFrameTooLarge):
		fault = http2.ConnectionError(http2.ErrCodeFrameSize)
	default:
		return
	}
	c.mu.Lock()
	_ = c.framer.WriteGoAway(c.lastCall, http2.ErrCode(fault), nil)
	c.mu.Unlock()
	c.flush()
}

// close ends the connection and all that is asked on it.
func (c *conn) close() {
	c.mu.Lock()
	c.closed = true
	calls := c.calls
	c.calls, c.behind = map[uint32]*call{}, nil
	for _, turn := range c.resting {
		close(turn)
	}
	c.resting = nil
	c.written.Broadcast()
	c.mu.Unlock()
	for _, k := range calls {
		k.end()
	}
	c.net.Close()
}
