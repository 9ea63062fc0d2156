package unary_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/unary"
)

const method = "/a.B/C"

// call are the headers that Envoy sends.
var call = []hpack.HeaderField{
	{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"},
	{Name: ":path", Value: method}, {Name: ":authority", Value: "gatewright"},
	{Name: "te", Value: "trailers"}, {Name: "grpc-timeout", Value: "60000m"},
	{Name: "content-type", Value: "application/grpc"}, {Name: "x-envoy-internal", Value: "true"},
}

// pair is a connection over a Unix socket, by its two ends.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// raw is a client that speaks frame by frame, to say what no library would.
type raw struct {
	*http2.Framer
	t       testing.TB
	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	served  chan net.Conn // what Serve returned
}

// connect opens a connection to a server, and sends nothing yet.
func connect(t testing.TB, s *unary.Server) *raw {
	t.Helper()
	r, server := unserved(t)
	go func() { r.served <- s.Serve(server, nil) }()
	return r
}

// unserved is a client whose connection nobody serves yet.
func unserved(t testing.TB) (*raw, net.Conn) {
	t.Helper()
	client, server := pair(t)
	if err := client.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := &raw{Framer: http2.NewFramer(client, client), t: t, conn: client, served: make(chan net.Conn, 1)}
	r.encoder = hpack.NewEncoder(&r.block)
	r.decoder = hpack.NewDecoder(4096, nil)
	return r, server
}

// open connects as a client does.
func open(t testing.TB, s *unary.Server, settings ...http2.Setting) *raw {
	t.Helper()
	r := connect(t, s)
	r.greet(settings...)
	return r
}

func (r *raw) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) greet(settings ...http2.Setting) {
	r.t.Helper()
	_, err := io.WriteString(r.conn, http2.ClientPreface)
	r.must(err)
	r.must(r.WriteSettings(settings...))
}

// fields encodes the headers of a call, with others instead: an empty one is
// left out, and one that is not usual is added.
func (r *raw) fields(instead ...string) []byte {
	r.block.Reset()
	other := map[string]string{}
	for i := 0; i < len(instead); i += 2 {
		other[instead[i]] = instead[i+1]
	}
	for _, f := range call {
		if v, ok := other[f.Name]; ok {
			f.Value = v
			delete(other, f.Name)
		}
		if f.Value != "" {
			r.must(r.encoder.WriteField(f))
		}
	}
	for name, value := range other {
		r.must(r.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}))
	}
	return r.block.Bytes()
}

func (r *raw) head(id uint32, instead ...string) {
	r.t.Helper()
	r.must(r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(instead...), EndHeaders: true}))
}

// ask makes a whole call.
func (r *raw) ask(id uint32, message string, instead ...string) {
	r.t.Helper()
	r.head(id, instead...)
	r.must(r.WriteData(id, true, framed(message)))
}

func framed(message string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// outcome is what has become of a call or of the connection.
type outcome struct {
	stream  uint32
	message string // of a reply
	status  string // grpc-status, or else: "reset CODE", "goaway CODE", "closed"
	words   string // grpc-message
}

// outcomes reads until a call has its reply or a reset, the connection is said
// to end for a fault, or it ends. Pings and settings are passed over.
func (r *raw) outcome() outcome {
	r.t.Helper()
	messages := map[uint32]*bytes.Buffer{}
	for {
		frame, err := r.ReadFrame()
		var netErr net.Error
		switch {
		case errors.As(err, &netErr) && netErr.Timeout():
			r.t.Fatal("no answer at all")
		case err != nil:
			return outcome{status: "closed"}
		}
		id := frame.Header().StreamID
		switch f := frame.(type) {
		case *http2.DataFrame:
			if messages[id] == nil {
				messages[id] = &bytes.Buffer{}
			}
			messages[id].Write(f.Data())
		case *http2.RSTStreamFrame:
			return outcome{stream: id, status: "reset " + f.ErrCode.String()}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return outcome{status: "goaway " + f.ErrCode.String()}
			}
		case *http2.HeadersFrame:
			fields, err := r.decoder.DecodeFull(f.HeaderBlockFragment())
			r.must(err)
			if !f.StreamEnded() {
				continue
			}
			o := outcome{stream: id}
			for _, h := range fields {
				switch h.Name {
				case "grpc-status":
					o.status = h.Value
				case "grpc-message":
					o.words = h.Value
				}
			}
			if b := messages[id]; b != nil {
				if b.Len() < 5 || int(binary.BigEndian.Uint32(b.Bytes()[1:])) != b.Len()-5 {
					r.t.Fatalf("a reply that is not one message: %q", b)
				}
				o.message = b.String()[5:]
			}
			return o
		}
	}
}

// expect is the next outcome.
func (r *raw) expect(want outcome) {
	r.t.Helper()
	if got := r.outcome(); got != want {
		r.t.Fatalf("outcome %+v, want %+v", got, want)
	}
}

func newEncoder(b *bytes.Buffer) *hpack.Encoder { return hpack.NewEncoder(b) }

// slowEcho is echo, in another goroutine than the reader's where the message is
// "slow".
func slowEcho(ctx context.Context, message, reply []byte, release <-chan struct{}) ([]byte, error) {
	m := string(message)
	if m == "slow" {
		inline.Blocks(ctx)
		<-release
	}
	return append(reply, m...), nil
}
