package floods

import (
	"bytes"
	"errors"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Field is a header, its name and its value, with the bytes as they are.
type Field [2]string

// Frames is a connection of HTTP/2, spoken frame by frame, also such as no client may
// send.
type Frames struct {
	*http2.Framer
	Conn net.Conn
	// Last is the stream that was begun last, 0 before any.
	Last uint32

	block   bytes.Buffer
	encoder *hpack.Encoder
}

// Open begins a connection to an address, which ends in 20 seconds if nobody gives it
// longer.
func Open(addr string, settings ...http2.Setting) (*Frames, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return Talk(conn, settings...)
}

// Talk begins HTTP/2 on a connection, which it closes where that fails.
func Talk(conn net.Conn, settings ...http2.Setting) (*Frames, error) {
	f := &Frames{Framer: http2.NewFramer(conn, conn), Conn: conn}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.encoder = hpack.NewEncoder(&f.block)
	err := errors.Join(conn.SetDeadline(time.Now().Add(20*time.Second)), f.preface(), f.WriteSettings(settings...))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

func (f *Frames) preface() error {
	_, err := f.Conn.Write([]byte(http2.ClientPreface))
	return err
}

// Next is the number of the next stream.
func (f *Frames) Next() uint32 {
	if f.Last == 0 {
		f.Last = 1
	} else {
		f.Last += 2
	}
	return f.Last
}

// Encoded is a block of headers.
func (f *Frames) Encoded(fields ...Field) []byte {
	f.block.Reset()
	for _, h := range fields {
		_ = f.encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}) // a buffer takes all
	}
	return bytes.Clone(f.block.Bytes())
}

// Ask sends the headers of a request.
func (f *Frames) Ask(stream uint32, method, path string, end bool, more ...Field) error {
	return f.Send(stream, end, append([]Field{{":method", method}, {":scheme", "http"}, {":authority", "a"}, {":path", path}}, more...)...)
}

// Send sends headers, those that HTTP/2 writes with a colon among them.
func (f *Frames) Send(stream uint32, end bool, fields ...Field) error {
	block := f.Encoded(fields...)
	first, rest := block, []byte(nil)
	if len(block) > 16<<10 {
		first, rest = block[:16<<10], block[16<<10:]
	}
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: rest == nil, EndStream: end})
	for err == nil && len(rest) > 0 {
		n := min(len(rest), 16<<10)
		err = f.WriteContinuation(stream, len(rest) == n, rest[:n])
		rest = rest[n:]
	}
	return err
}
