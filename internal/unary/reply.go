package unary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/status"
)

const (
	// flushAt is how much is gathered before it is written although there is more
	// to read.
	flushAt = 32 << 10
	// maxKept is the largest memory that is kept for later.
	maxKept = 256 << 10
	// maxWaiting is how much may wait for a client that does not take it, before
	// nothing more is read from it either.
	maxWaiting = 1 << 20
	// maxWords bounds what a status says.
	maxWords = 2 << 10
)

// The headers of a message, and those that end a reply with one: written once.
// Nothing in them refers to a table of what was sent before, which costs its upkeep
// more than the few bytes that it spares; each block says that the table is empty.
var (
	messageFields = block(statusOK, isGRPC)
	endFields     = block(hpack.HeaderField{Name: "grpc-status", Value: "0"})

	statusOK = hpack.HeaderField{Name: ":status", Value: "200"}
	isGRPC   = hpack.HeaderField{Name: "content-type", Value: "application/grpc"}
)

// block is a block of headers that stands by itself.
func block(fields ...hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, f := range fields {
		_ = e.WriteField(f) // to memory
	}
	return b.Bytes()
}

// end writes the reply of a call, or as much of it as the client takes. Nobody
// waits for it where the call is not there any more. The mutex is held, as in all
// that follows but flush.
func (c *conn) end(k *call, reply []byte, err error) {
	if c.calls[k.id] != k {
		return
	}
	if err != nil {
		s := status.Convert(err)
		c.writeFields(k.id, true, block(statusOK, isGRPC,
			hpack.HeaderField{Name: "grpc-status", Value: strconv.Itoa(int(s.Code()))},
			hpack.HeaderField{Name: "grpc-message", Value: escaped(s.Message())}))
		c.forget(k.id)
		return
	}
	binary.BigEndian.PutUint32(reply[1:], uint32(len(reply)-prefix))
	c.writeFields(k.id, false, messageFields)
	k.left = reply
	if !c.send(k) {
		k.left = slices.Clone(k.left) // reply is reused
		c.behind = append(c.behind, k)
	}
}

// send writes what the client takes of the rest of a reply, and reports whether
// that was all.
func (c *conn) send(k *call) bool {
	for len(k.left) > 0 {
		n := min(int64(len(k.left)), maxFrame, c.sendWindow, k.window)
		if n <= 0 {
			return false
		}
		_ = c.framer.WriteData(k.id, false, k.left[:n])
		c.sendWindow -= n
		k.window -= n
		k.left = k.left[n:]
	}
	c.writeFields(k.id, true, endFields)
	c.forget(k.id)
	return true
}

// resume sends what has waited for the client to take more.
func (c *conn) resume() {
	c.behind = slices.DeleteFunc(c.behind, func(k *call) bool {
		return c.calls[k.id] != k || c.send(k)
	})
}

func (c *conn) writeFields(id uint32, last bool, fields []byte) {
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: fields, EndStream: last, EndHeaders: true,
	})
}

// forget ends the bookkeeping of a call.
func (c *conn) forget(id uint32) { delete(c.calls, id) }

// escaped is what a status says, as it may stand in a header: percent-encoded
// where it is not printable ASCII.
func escaped(words string) string {
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	var b strings.Builder
	for i := range len(words) {
		if c := words[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// flush writes what is there to be written. Where another goroutine is at it,
// that one takes it along.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && len(c.out) > maxWaiting && !c.closed {
		c.written.Wait()
	}
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 && !c.closed && !c.shut {
		c.write()
	}
	c.writing = false
	if c.leaving && len(c.calls) == 0 {
		c.shutdown()
	}
}

// write writes what is there now. Meanwhile the mutex is free, and more may come.
func (c *conn) write() {
	now := c.out
	c.out, c.since = c.spare[:0], time.Now()
	c.mu.Unlock()
	_, err := c.wire.Write(now)
	c.mu.Lock()
	if c.spare = now[:0]; cap(now) > maxKept {
		c.spare = nil
	}
	if err != nil {
		c.closed = true
		c.net.Close() // who reads ends the rest
	}
	c.written.Broadcast()
}
