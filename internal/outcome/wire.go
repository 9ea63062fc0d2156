package outcome

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/internal/wire"
)

// Envoy's log is taken from the wire without its generated types: an entry has some
// fifty values in as many objects, of which an Outcome has a dozen, and to build
// them was most of what an outcome cost (bench/outcomes).

// message is a StreamAccessLogsMessage as it came, and then, in the same room, the next
// one of its stream. It is read by whoever has received it, and not by the gRPC server's
// codec, where a panic would end the process.
type message struct{ room []byte }

// mostKept bounds the room that is kept for the next message. Envoys of ours send
// what they have gathered in 50 ms, and some 64 KiB at most.
const mostKept = 256 << 10

// Room is where the gRPC server's codec, that of package door, writes a message.
func (m *message) Room(size int) []byte {
	if size > cap(m.room) || cap(m.room) > mostKept {
		m.room = make([]byte, size)
	}
	m.room = m.room[:size]
	return m.room
}

// text is the message until the next one comes. Nothing that is taken out of it may be
// kept for longer: a Reader gives away copies.
func (m *message) text() string { return asText(m.room) }

// asText is bytes as a text, for as long as they do not change.
func asText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// The fields of a StreamAccessLogsMessage.
const (
	fieldIdentifier = 1
	fieldHTTPLogs   = 2
)

// GetNode is the Envoy that the message says to be from, nil where it says none or
// cannot be read: only the first message of a stream has to. The door holds it to
// the client's certificate.
func (m *message) GetNode() *corev3.Node { return nodeOf(m.text()) }

func nodeOf(text string) *corev3.Node {
	s := wire.Scan(text)
	for s.More() {
		tag := s.Tag()
		if tag != wire.Tag(fieldIdentifier, wire.Delimited) {
			s.Skip(tag)
			continue
		}
		identifier := &accesslogv3.StreamAccessLogsMessage_Identifier{}
		if proto.Unmarshal([]byte(s.Bytes()), identifier) != nil {
			return nil
		}
		return identifier.GetNode()
	}
	return nil
}

// Reader takes outcomes out of the messages of one stream. The zero value is ready.
type Reader struct{ names names }

// Read hands the outcomes of a StreamAccessLogsMessage to a sink. It may keep of them
// what is no part of the text: all but Trace, User and LetPass. What cannot be read is
// left out, and the error says how much that was.
func (r *Reader) Read(text string, sink Sink) error {
	s := wire.Scan(text)
	unread := 0
	for s.More() {
		switch tag := s.Tag(); tag {
		case wire.Tag(fieldHTTPLogs, wire.Delimited):
			logs := s.Message(true)
			for logs.More() {
				tag := logs.Tag()
				if tag != wire.Tag(1, wire.Delimited) { // log_entry
					logs.Skip(tag)
					continue
				}
				switch o, ended, err := r.entry(logs.Bytes()); {
				case err != nil:
					unread++
				case ended && !logs.Failed():
					sink(o)
				}
			}
			s.Done(logs)
		default:
			s.Skip(tag)
		}
	}
	switch {
	case s.Failed():
		return errors.New("it is no StreamAccessLogsMessage from some place on")
	case unread > 0:
		return fmt.Errorf("%d entries are no HTTPAccessLogEntry", unread)
	default:
		return nil
	}
}

// entry is the outcome that an entry tells of, if it does. The scanner knows what
// Envoys send; of whatever it does not know, and of every fault, the generated code
// has the word.
func (r *Reader) entry(text string) (o Outcome, ended bool, err error) {
	scanned := scannedEntry{}
	if scanned.scan(wire.Scan(text)) {
		o, ended = scanned.outcome()
	} else {
		e := &accesslogdatav3.HTTPAccessLogEntry{}
		if err := proto.Unmarshal([]byte(text), e); err != nil {
			return Outcome{}, false, err
		}
		o, ended = fromEntry(e)
	}
	o.Route, o.Backend, o.Broken = r.names.same(o.Route), r.names.same(o.Backend), r.names.same(o.Broken)
	// A part of the message would be another text when the next one comes.
	o.InFlight, o.Breaker = strings.Clone(o.InFlight), strings.Clone(o.Breaker)
	return o, ended, nil
}

// names are those of the config that have come, each once: what an outcome keeps is
// then no part of a message. The zero value is empty.
type names struct{ all map[string]string }

// maxNames bounds the names that are remembered of one stream, which an Envoy of
// somebody else's may make up.
const maxNames = 1 << 12

func (n *names) same(name string) string {
	if name == "" {
		return ""
	}
	if kept, ok := n.all[name]; ok {
		return kept
	}
	if n.all == nil || len(n.all) >= maxNames {
		n.all = make(map[string]string)
	}
	name = strings.Clone(name)
	n.all[name] = name
	return name
}
