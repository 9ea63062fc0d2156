package authz

import (
	"unicode/utf8"
)

// The tags of fields on the wire: their number, and how their value is written.
const (
	varint    = 0
	delimited = 2
)

func tag(number, kind uint64) uint64 { return number<<3 | kind }

// scan fills in the request from the message, and reports whether it could: true
// means that the generated code takes the message as well, and reads the same.
// It gives up on what Envoys do not send: unknown fields, parts that come twice,
// metadata, pipes for addresses.
func (w *wireRequest) scan() bool {
	w.request = request{unrouted: true, lines: w.room[:0]}
	s := wireScanner{rest: w.text}
	for s.more() {
		switch s.tag() {
		case tag(1, delimited):
			s.done(w.scanAttributes(s.message(s.once(1))))
		default:
			s.fail()
		}
	}
	if len(w.lines) == 0 {
		w.lines = nil
	}
	return !s.failed
}

func (w *wireRequest) scanAttributes(s wireScanner) wireScanner {
	hasRoute, hasPolicy := false, false
	for s.more() {
		switch t := s.tag(); t {
		case tag(1, delimited):
			peer := s.message(s.once(1))
			w.peerIP, w.certificate = peer.peer()
			s.done(peer)
		case tag(2, delimited):
			peer := s.message(s.once(2))
			peer.peer()
			s.done(peer)
		case tag(4, delimited):
			s.done(w.scanRequest(s.message(s.once(4))))
		case tag(10, delimited):
			switch name, value := s.entry(); name {
			case "route":
				w.route, hasRoute = value, true
			case "policy":
				w.policy, hasPolicy = value, true
			}
		case tag(11, delimited), tag(13, delimited): // metadata: Envoy sends it empty
			if s.bytes() != "" {
				s.fail()
			}
		default:
			s.fail()
		}
	}
	w.unrouted = !hasRoute && !hasPolicy
	return s
}

func (w *wireRequest) scanRequest(s wireScanner) wireScanner {
	for s.more() {
		switch s.tag() {
		case tag(1, delimited):
			at := s.message(s.once(1))
			at.timestamp()
			s.done(at)
		case tag(2, delimited):
			s.done(w.scanHTTP(s.message(s.once(2))))
		default:
			s.fail()
		}
	}
	return s
}

func (w *wireRequest) scanHTTP(s wireScanner) wireScanner {
	for s.more() {
		switch s.tag() {
		case tag(2, delimited):
			w.method = s.string()
		case tag(3, delimited):
			name, value := s.entry()
			if w.joined == nil {
				w.joined = map[string]string{}
			}
			w.joined[name] = value
		case tag(4, delimited):
			w.path = s.string()
		case tag(5, delimited):
			w.host = s.string()
		case tag(1, delimited), tag(6, delimited), tag(7, delimited), tag(8, delimited), tag(10, delimited), tag(11, delimited):
			s.string() // id, scheme, query, fragment, protocol, body
		case tag(9, varint): // size
			s.varint()
		case tag(12, delimited): // raw_body
			s.bytes()
		case tag(13, delimited):
			s.done(w.scanHeaders(s.message(s.once(13))))
		default:
			s.fail()
		}
	}
	return s
}

func (w *wireRequest) scanHeaders(s wireScanner) wireScanner {
	for s.more() {
		if s.tag() != tag(1, delimited) {
			s.fail()
			break
		}
		line := s.message(true)
		w.lines = append(w.lines, line.headerLine())
		s.done(line)
	}
	return s
}

// wireScanner walks over the fields of one message. What it cannot read fails
// it: it then is at its end, and so is every one that it is within.
type wireScanner struct {
	rest   string
	seen   uint32 // of the fields that must not come twice, by their numbers
	failed bool
}

func (s *wireScanner) more() bool { return len(s.rest) > 0 }

func (s *wireScanner) fail() { s.failed, s.rest = true, "" }

// once reports whether a field is here for the first time. Messages that come
// twice are merged, which is left to the generated code.
func (s *wireScanner) once(number int) bool {
	first := s.seen&(1<<number) == 0
	s.seen |= 1 << number
	return first
}

// message is a scanner of the message that the current field holds. When it is
// at its end, done is told.
func (s *wireScanner) message(ok bool) wireScanner {
	inner := wireScanner{rest: s.bytes()}
	if !ok {
		inner.fail()
	}
	return inner
}

func (s *wireScanner) done(inner wireScanner) {
	if inner.failed {
		s.fail()
	}
}

// headerLine returns a HeaderValue: raw_value, which Envoy fills, or else value.
func (s *wireScanner) headerLine() headerLine {
	var name, value, raw string
	for s.more() {
		switch s.tag() {
		case tag(1, delimited):
			name = s.string()
		case tag(2, delimited):
			value = s.string()
		case tag(3, delimited):
			raw = s.bytes()
		default:
			s.fail()
		}
	}
	if raw != "" {
		value = raw
	}
	return headerLine{name, value}
}

// peer returns the address of a Peer's socket, and its certificate.
func (s *wireScanner) peer() (address, certificate string) {
	for s.more() {
		switch s.tag() {
		case tag(1, delimited):
			inner := s.message(s.once(1))
			address = inner.address()
			s.done(inner)
		case tag(2, delimited), tag(4, delimited): // service, principal
			s.string()
		case tag(5, delimited):
			certificate = s.string()
		default:
			s.fail()
		}
	}
	return address, certificate
}

// address returns that of an Address with a SocketAddress.
func (s *wireScanner) address() (address string) {
	for s.more() {
		if s.tag() != tag(1, delimited) {
			s.fail()
			break
		}
		inner := s.message(s.once(1))
		address = inner.socketAddress()
		s.done(inner)
	}
	return address
}

func (s *wireScanner) socketAddress() (address string) {
	for s.more() {
		switch s.tag() {
		case tag(2, delimited):
			address = s.string()
		case tag(1, varint), tag(3, varint), tag(6, varint): // protocol, port, ipv4_compat
			s.varint()
		case tag(5, delimited): // resolver_name
			s.string()
		default:
			s.fail()
		}
	}
	return address
}

// timestamp passes over a google.protobuf.Timestamp.
func (s *wireScanner) timestamp() {
	for s.more() {
		switch s.tag() {
		case tag(1, varint), tag(2, varint):
			s.varint()
		default:
			s.fail()
		}
	}
}

// entry returns an entry of a map of strings.
func (s *wireScanner) entry() (name, value string) {
	inner := s.message(true)
	for inner.more() {
		switch inner.tag() {
		case tag(1, delimited):
			name = inner.string()
		case tag(2, delimited):
			value = inner.string()
		default:
			inner.fail()
		}
	}
	s.done(inner)
	return name, value
}

func (s *wireScanner) tag() uint64 { return s.varint() }

// varint reads a number of at most 64 bits.
func (s *wireScanner) varint() uint64 {
	var n uint64
	for i := range min(len(s.rest), 10) {
		c := s.rest[i]
		if i == 9 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			s.rest = s.rest[i+1:]
			return n
		}
	}
	s.fail()
	return 0
}

// bytes reads a value of any bytes.
func (s *wireScanner) bytes() string {
	n := s.varint()
	if n > uint64(len(s.rest)) {
		s.fail()
		return ""
	}
	value := s.rest[:n]
	s.rest = s.rest[n:]
	return value
}

// string reads a value that must be UTF-8.
func (s *wireScanner) string() string {
	value := s.bytes()
	if !utf8.ValidString(value) {
		s.fail()
	}
	return value
}
