package unary

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// head is what is read of the headers of a call. Metadata that callers may add
// is passed over: no handler asks for it.
type head struct {
	most   int  // how long the headers may be
	traced bool // whether a traceparent is kept

	size                               int
	method, path, contentType, timeout string
	traceparent                        string
	pseudo                             uint8 // which of the pseudo-headers have been there
	regular, malformed                 bool
}

// The pseudo-headers of a request (RFC 9113, section 8.3.1).
const (
	hasMethod = 1 << iota
	hasPath
	hasScheme
	hasAuthority
)

// add takes one header.
func (h *head) add(f hpack.HeaderField) {
	if h.size += int(f.Size()); h.size > h.most {
		return
	}
	switch f.Name {
	case ":method":
		h.once(hasMethod)
		h.method = f.Value
	case ":path":
		h.once(hasPath)
		h.path = f.Value
	case ":scheme":
		h.once(hasScheme)
	case ":authority":
		h.once(hasAuthority)
	case "content-type":
		h.contentType = f.Value
	case "grpc-timeout":
		h.timeout = f.Value
	case "traceparent":
		if h.traced {
			h.traceparent = f.Value
		}
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.malformed = true // of HTTP/1 (section 8.2.2)
	case "te":
		h.malformed = h.malformed || f.Value != "trailers"
	default:
		h.malformed = h.malformed || strings.HasPrefix(f.Name, ":")
	}
	h.regular = h.regular || !strings.HasPrefix(f.Name, ":")
}

// once takes note of a pseudo-header: each is there once, and before the others.
func (h *head) once(which uint8) {
	h.malformed = h.malformed || h.regular || h.pseudo&which != 0
	h.pseudo |= which
}

func (h *head) reset() { *h = head{most: h.most, traced: h.traced} }

// fault is why the headers are those of no call, or 0.
func (h *head) fault() http2.ErrCode {
	const needed = hasMethod | hasPath | hasScheme
	switch {
	case h.size > h.most:
		return http2.ErrCodeEnhanceYourCalm
	case h.malformed, h.pseudo&needed != needed:
		return http2.ErrCodeProtocol
	default:
		return 0
	}
}

// isCall tells whether a request is one of gRPC, in protobuf.
func (h *head) isCall() bool {
	rest, ok := strings.CutPrefix(h.contentType, "application/grpc")
	return ok && h.method == "POST" && (rest == "" || rest == "+proto" || rest[0] == ';')
}

// deadline is when the caller will not wait any more; zero is never. ok is false
// where what it says is no time.
func (h *head) deadline() (at time.Time, ok bool) {
	if h.timeout == "" {
		return time.Time{}, true
	}
	n := len(h.timeout) - 1
	unit := units[h.timeout[n]]
	value, err := strconv.ParseUint(h.timeout[:n], 10, 64)
	if err != nil || n > 8 || unit == 0 {
		return time.Time{}, false
	}
	if most := uint64(maxTimeout / unit); value > most {
		value = most
	}
	return time.Now().Add(time.Duration(value) * unit), true
}

// maxTimeout is as good as none, and no sum with it overflows.
const maxTimeout = 1000 * time.Hour

// units are those of a timeout.
var units = [256]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// takeFields takes headers, or a part of them.
func (c *conn) takeFields(fragment []byte, whole bool, buffer *[]byte) (stillReader bool, err error) {
	if !whole || len(c.block) > 0 {
		if c.block = append(c.block, fragment...); len(c.block) > c.server.options.MaxHeaders {
			return true, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		fragment = c.block
	}
	if !whole {
		return true, nil
	}
	c.block = c.block[:0]
	if err := c.decode(fragment); err != nil {
		return true, err
	}
	if c.blockOf <= c.lastCall {
		return c.takeTrailers(buffer)
	}
	return true, c.takeHead(fragment)
}

// decode reads a block of headers into head. Envoy's calls begin with the same one,
// mostly: where that refers to nothing but the table, and the table is the same, so is
// what it says.
func (c *conn) decode(block []byte) error {
	if len(block) > 0 && bytes.Equal(block, c.known) {
		return nil
	}
	c.known = c.known[:0]
	c.head.traced = c.server.traced.Load()
	c.head.reset()
	if _, err := c.decoder.Write(block); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if err := c.decoder.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if refersOnly(block) {
		c.known = append(c.known, block...)
	}
	return nil
}

// maxKnown bounds a block that is known again.
const maxKnown = 64

// refersOnly says whether a block is references to the table alone, of a byte each (RFC
// 7541, section 6.1): it does not change the table.
func refersOnly(block []byte) bool {
	for _, b := range block {
		if b <= 0x80 || b == 0xff {
			return false
		}
	}
	return len(block) <= maxKnown
}

// takeTrailers takes headers after the messages. gRPC's clients send none, but
// they end a stream as well as any frame.
func (c *conn) takeTrailers(buffer *[]byte) (stillReader bool, err error) {
	k := c.find(c.blockOf)
	switch {
	case k == nil:
		return true, nil // they were under way when it was answered
	case k.answering || !c.blockEnds:
		return true, k.streamError(http2.ErrCodeProtocol)
	case k.stream != nil:
		c.endStream(k)
		return true, nil
	}
	return c.takeMessage(k, k.received, buffer), nil
}

// takeHead opens a call.
func (c *conn) takeHead(fragment []byte) error {
	id, fault := c.blockOf, c.head.fault()
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	handler, opens := c.server.handlers[c.head.path], c.server.streams[c.head.path]
	ours := handler != nil || opens != nil
	if !c.begun {
		if !ours || fault != 0 || !c.head.isCall() {
			c.replay.headers(id, fragment, c.blockEnds)
			return errForeign
		}
		c.begin()
	}
	c.lastCall = id
	deadline, ok := c.head.deadline()
	switch {
	case fault != 0:
		return http2.StreamError{StreamID: id, Code: fault}
	case !ours:
		c.sendElsewhere()
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	case !c.head.isCall(), !ok:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	k := &call{conn: c, id: id, method: c.head.path, handler: handler, deadline: deadline, traceparent: c.head.traceparent}
	if opens != nil {
		k.stream = opens(c.caller)
	}
	taken, err := c.open(k)
	if taken && c.blockEnds {
		c.endAtOnce(k)
	}
	return err
}

// open begins a call, and reports whether it may begin.
func (c *conn) open(k *call) (taken bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.leaving && k.id > c.lastTaken:
		return false, nil // the client has been told that it is not taken
	case len(c.calls) >= c.server.options.MaxStreams:
		return false, k.streamError(http2.ErrCodeRefusedStream)
	}
	k.window = c.startWindow
	c.calls[k.id] = k
	return true, nil
}

// endAtOnce answers a call that has ended before any message.
func (c *conn) endAtOnce(k *call) {
	if k.stream != nil {
		c.endStream(k)
		return
	}
	k.answering = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(k, nil, errNoMessage)
}

// begin makes the connection ours.
func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	for range c.replay.unacknowledged {
		_ = c.framer.WriteSettingsAck()
	}
	c.replay = replay{}
	_ = c.framer.WriteWindowUpdate(0, connWindow-65535)
}

// sendElsewhere tells the client to open another connection for what is not
// served on this one. Calls of ours that it has sent behind that are answered.
func (c *conn) sendElsewhere() {
	if told := c.server.options.Foreign; told != nil {
		told(c.net.RemoteAddr(), c.head.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendAway()
}
