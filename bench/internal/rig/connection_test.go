package rig

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A server that asks between two loads whether somebody is there is answered, and
// the second load is as the first.
func TestConnectionAnswersWhileItRests(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	answered := make(chan struct{})
	ask := make(chan struct{})
	go serve(t, listener, ask, answered)
	c, err := Dial(listener.Addr().String(), "/a.B/C", func(reply []byte) error {
		if string(reply) != "pong" {
			t.Errorf("reply %q", reply)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := c.Load(2, func() []byte { return []byte("ping") }, func(n int) bool { return n < 5 })
		if err != nil || l.Calls != 5 || len(l.Latencies) != 5 {
			t.Fatalf("%+v, %v", l, err)
		}
		ask <- struct{}{}
		<-answered
	}
}

// serve answers the calls of one connection, and sends a ping whenever it is to ask.
func serve(t *testing.T, listener net.Listener, ask <-chan struct{}, answered chan<- struct{}) {
	conn, err := listener.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	if _, err := io.CopyN(io.Discard, in, int64(len(http2.ClientPreface))); err != nil {
		t.Error(err)
		return
	}
	frames := http2.NewFramer(conn, in)
	var trailers bytes.Buffer
	_ = hpack.NewEncoder(&trailers).WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"}) // a buffer takes all
	calls := 0
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return // the test is over
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			_ = frames.WriteData(f.StreamID, false, []byte("\x00\x00\x00\x00\x04pong"))
			_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: trailers.Bytes(), EndHeaders: true, EndStream: true})
			if calls++; calls%5 == 0 {
				<-ask // the load is over
				_ = frames.WritePing(false, [8]byte{1})
			}
		case *http2.PingFrame:
			answered <- struct{}{}
		}
	}
}
