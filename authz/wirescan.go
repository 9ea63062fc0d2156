package authz

import (
	"cmp"

	"github.com/gatewright/gatewright/internal/wire"
)

// scan fills in the request from the message, and reports whether it could: true
// means that the generated code takes the message as well, and reads the same.
// It gives up on what Envoys do not send: unknown fields, parts that come twice,
// metadata, pipes for addresses.
func (w *wireRequest) scan() bool {
	w.request = request{unrouted: true, lines: w.room[:0]}
	s := wire.Scan(w.text)
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			s.Done(w.scanAttributes(s.Message(s.Once(1))))
		default:
			s.Fail()
		}
	}
	if len(w.lines) == 0 {
		w.lines = nil
	}
	return !s.Failed()
}

func (w *wireRequest) scanAttributes(s wire.Scanner) wire.Scanner {
	hasRoute, hasPolicy := false, false
	for s.More() {
		switch t := s.Tag(); t {
		case wire.Tag(1, wire.Delimited):
			peer := s.Message(s.Once(1))
			w.peerIP, w.certificate = scanPeer(&peer)
			s.Done(peer)
		case wire.Tag(2, wire.Delimited):
			peer := s.Message(s.Once(2))
			scanPeer(&peer)
			s.Done(peer)
		case wire.Tag(4, wire.Delimited):
			s.Done(w.scanRequest(s.Message(s.Once(4))))
		case wire.Tag(10, wire.Delimited):
			switch name, value := s.Entry(); name {
			case "route":
				w.route, hasRoute = value, true
			case "policy":
				w.policy, hasPolicy = value, true
			case "backend":
				w.backend = value
			case "pinned":
				w.pinned = value != ""
			case "remembers":
				w.remembers = remembered(value)
			}
		case wire.Tag(11, wire.Delimited), wire.Tag(13, wire.Delimited): // metadata: Envoy sends it empty
			if s.Bytes() != "" {
				s.Fail()
			}
		default:
			s.Fail()
		}
	}
	w.unrouted = !hasRoute && !hasPolicy
	return s
}

func (w *wireRequest) scanRequest(s wire.Scanner) wire.Scanner {
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			at := s.Message(s.Once(1))
			scanTimestamp(&at)
			s.Done(at)
		case wire.Tag(2, wire.Delimited):
			s.Done(w.scanHTTP(s.Message(s.Once(2))))
		default:
			s.Fail()
		}
	}
	return s
}

func (w *wireRequest) scanHTTP(s wire.Scanner) wire.Scanner {
	var text, raw string
	for s.More() {
		switch s.Tag() {
		case wire.Tag(2, wire.Delimited):
			w.method = s.Text()
		case wire.Tag(3, wire.Delimited):
			name, value := s.Entry()
			if w.joined == nil {
				w.joined = map[string]string{}
			}
			w.joined[name] = value
		case wire.Tag(4, wire.Delimited):
			w.path = s.Text()
		case wire.Tag(5, wire.Delimited):
			w.host = s.Text()
		case wire.Tag(1, wire.Delimited), wire.Tag(6, wire.Delimited), wire.Tag(7, wire.Delimited), wire.Tag(8, wire.Delimited), wire.Tag(10, wire.Delimited):
			s.Text() // id, scheme, query, fragment, protocol
		case wire.Tag(11, wire.Delimited): // body
			text = s.Text()
		case wire.Tag(9, wire.Varint): // size
			s.Varint()
		case wire.Tag(12, wire.Delimited): // raw_body
			raw = s.Bytes()
		case wire.Tag(13, wire.Delimited):
			s.Done(w.scanHeaders(s.Message(s.Once(13))))
		default:
			s.Fail()
		}
	}
	w.body, w.bodyIsText = cmp.Or(raw, text), raw == "" && text != ""
	return s
}

func (w *wireRequest) scanHeaders(s wire.Scanner) wire.Scanner {
	for s.More() {
		if s.Tag() != wire.Tag(1, wire.Delimited) {
			s.Fail()
			break
		}
		line := s.Message(true)
		w.lines = append(w.lines, scanHeaderLine(&line))
		s.Done(line)
	}
	return s
}

// scanHeaderLine returns a HeaderValue: raw_value, which Envoy fills, or else value.
func scanHeaderLine(s *wire.Scanner) headerLine {
	var name, value, raw string
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			name = s.Text()
		case wire.Tag(2, wire.Delimited):
			value = s.Text()
		case wire.Tag(3, wire.Delimited):
			raw = s.Bytes()
		default:
			s.Fail()
		}
	}
	if raw != "" {
		value = raw
	}
	return headerLine{name, value}
}

// scanPeer returns the address of a Peer's socket, and its certificate.
func scanPeer(s *wire.Scanner) (address, certificate string) {
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			inner := s.Message(s.Once(1))
			address = scanAddress(&inner)
			s.Done(inner)
		case wire.Tag(2, wire.Delimited), wire.Tag(4, wire.Delimited): // service, principal
			s.Text()
		case wire.Tag(5, wire.Delimited):
			certificate = s.Text()
		default:
			s.Fail()
		}
	}
	return address, certificate
}

// scanAddress returns that of an Address with a SocketAddress.
func scanAddress(s *wire.Scanner) (address string) {
	for s.More() {
		if s.Tag() != wire.Tag(1, wire.Delimited) {
			s.Fail()
			break
		}
		inner := s.Message(s.Once(1))
		address = scanSocketAddress(&inner)
		s.Done(inner)
	}
	return address
}

func scanSocketAddress(s *wire.Scanner) (address string) {
	for s.More() {
		switch s.Tag() {
		case wire.Tag(2, wire.Delimited):
			address = s.Text()
		case wire.Tag(1, wire.Varint), wire.Tag(3, wire.Varint), wire.Tag(6, wire.Varint): // protocol, port, ipv4_compat
			s.Varint()
		case wire.Tag(5, wire.Delimited): // resolver_name
			s.Text()
		default:
			s.Fail()
		}
	}
	return address
}

// scanTimestamp passes over a google.protobuf.Timestamp.
func scanTimestamp(s *wire.Scanner) {
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Varint), wire.Tag(2, wire.Varint):
			s.Varint()
		default:
			s.Fail()
		}
	}
}
