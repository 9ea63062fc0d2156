package unary_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatewright/gatewright/internal/unary"
)

// BenchmarkCalls is a call without a handler's work, 64 at once on one
// connection. What the client costs is in it, but for allocations, of which it has
// none.
func BenchmarkCalls(b *testing.B) {
	s := unary.New(unary.Options{})
	s.Handle(method, func(_ context.Context, _, reply []byte) ([]byte, error) { return append(reply, 10, 0), nil })
	client, server := pair(b)
	go s.Serve(server, nil)
	out := bufio.NewWriterSize(client, 64<<10)
	w := http2.NewFramer(out, nil)
	io.WriteString(out, http2.ClientPreface)
	w.WriteSettings()
	w.WriteWindowUpdate(0, 1<<30)
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	message := append([]byte{0, 0, 0, 4, 176}, make([]byte, 1200)...)
	const atOnce = 64
	next := uint32(1)
	send := func() {
		block.Reset()
		for _, f := range call {
			e.WriteField(f)
		}
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: block.Bytes(), EndHeaders: true})
		w.WriteData(next, true, message)
		next += 2
	}
	in := bufio.NewReaderSize(client, 64<<10)
	var header [9]byte
	b.ReportAllocs()
	b.ResetTimer()
	for range atOnce {
		send()
	}
	out.Flush()
	for done := 0; done < b.N; {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			b.Fatal(err)
		}
		in.Discard(int(binary.BigEndian.Uint32(append([]byte{0}, header[:3]...))))
		if http2.FrameType(header[3]) == http2.FrameHeaders && header[4]&byte(http2.FlagHeadersEndStream) != 0 {
			done++
			send()
		}
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
	client.Close()
}
