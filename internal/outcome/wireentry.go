package outcome

import (
	"cmp"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/internal/wire"
)

// scannedEntry is what is read of an HTTPAccessLogEntry.
type scannedEntry struct {
	kind                   accesslogdatav3.AccessLogType
	route, cluster, tagged string
	trace, user            string
	upstream               bool
	attempts               uint32
	status                 uint32
	flags                  uint64 // a bit for each field of ResponseFlags that is set, by its number
	inHeaders, inTrailers  scannedText
	whole, lastByte        duration
	firstUpstreamByte      duration
	verdict                scannedVerdict
	place                  scannedPlace
}

// scannedVerdict is what is read of a verdict, by the names of the fields.
type scannedVerdict struct{ inFlight, probe, broken, charged, route, backend string }

// scannedText is a value of a map that may have none.
type scannedText struct {
	text  string
	given bool
}

// outcome is what the entry tells of, as fromEntry says it.
func (e *scannedEntry) outcome() (o Outcome, ended bool) {
	if !isOfTheEnd(e.kind) {
		return Outcome{}, false
	}
	status := int(e.status)
	took := e.lastByte
	if !took.given {
		took = e.whole
	}
	o = Outcome{
		Route: e.route, Backend: e.cluster, Upstream: e.upstream, Attempts: int(e.attempts),
		Status: status, GRPCStatus: e.grpcStatus(), Flags: e.groups().settle(status),
		Duration: took.time(), FirstByte: e.firstUpstreamByte.time(),
		InFlight: e.verdict.inFlight, Breaker: e.verdict.probe, Broken: e.verdict.broken,
		Charged: e.verdict.charged, Trace: e.trace, User: e.user, LetPass: letPassBy(e.place.result, e.place.rule),
	}
	if o.Backend == "" && o.Flags.Has(NoHealthy) {
		o.Backend = e.tagged
	}
	o.Route = cmp.Or(e.verdict.route, o.Route)
	o.Backend = cmp.Or(e.verdict.backend, o.Backend)
	return o, true
}

func (e *scannedEntry) grpcStatus() int {
	switch {
	case e.inTrailers.given:
		return grpcStatusFrom(e.inTrailers.text)
	case e.inHeaders.given:
		return grpcStatusFrom(e.inHeaders.text)
	default:
		return GRPCUnknown
	}
}

// groups are those of the flags that are set, of which there mostly are none.
func (e *scannedEntry) groups() (f Flags) {
	if e.flags == 0 {
		return 0
	}
	for number, group := range flagOf {
		if e.flags&(1<<number) != 0 {
			f |= group
		}
	}
	return f
}

// scan fills in the entry, and reports whether it could: true means that the
// generated code reads the same, where it takes the entry. It does not look into
// what is not asked for, as the paths and names that clients have chosen. It gives
// up on what Envoys do not send: parts that come twice, and on what it cannot read.
func (e *scannedEntry) scan(s wire.Scanner) bool {
	for s.More() {
		switch tag := s.Tag(); tag {
		case wire.Tag(1, wire.Delimited):
			s.Done(e.scanCommon(s.Message(s.Once(1))))
		case wire.Tag(4, wire.Delimited):
			s.Done(e.scanResponse(s.Message(s.Once(4))))
		default: // protocol_version, request
			s.Skip(tag)
		}
	}
	return !s.Failed()
}

// scanCommon reads an AccessLogCommon.
func (e *scannedEntry) scanCommon(s wire.Scanner) wire.Scanner {
	for s.More() {
		switch tag := s.Tag(); tag {
		case wire.Tag(9, wire.Delimited):
			s.Done(e.firstUpstreamByte.scan(s.Message(s.Once(9))))
		case wire.Tag(12, wire.Delimited):
			s.Done(e.lastByte.scan(s.Message(s.Once(12))))
		case wire.Tag(13, wire.Delimited): // upstream_remote_address
			e.upstream = true
			s.Bytes()
		case wire.Tag(15, wire.Delimited):
			e.cluster = s.Text()
		case wire.Tag(16, wire.Delimited):
			s.Done(e.scanFlags(s.Message(s.Once(16))))
		case wire.Tag(17, wire.Delimited):
			s.Done(e.scanMetadata(s.Message(s.Once(17))))
		case wire.Tag(19, wire.Delimited):
			e.route = s.Text()
		case wire.Tag(22, wire.Delimited):
			switch name, value := s.Entry(); name {
			case BackendTag:
				e.tagged = value
			case TraceTag:
				e.trace = value
			case UserTag:
				e.user = value
			}
		case wire.Tag(23, wire.Delimited):
			s.Done(e.whole.scan(s.Message(s.Once(23))))
		case wire.Tag(24, wire.Varint):
			e.attempts = uint32(s.Varint())
		case wire.Tag(33, wire.Varint):
			e.kind = accesslogdatav3.AccessLogType(s.Varint())
		default:
			s.Skip(tag)
		}
	}
	return s
}

// scanFlags reads a ResponseFlags.
func (e *scannedEntry) scanFlags(s wire.Scanner) wire.Scanner {
	for s.More() {
		tag := s.Tag()
		number := tag >> 3
		switch {
		case tag == wire.Tag(unauthorizedDetails, wire.Delimited):
			e.flags |= 1 << unauthorizedDetails
			s.Bytes()
		case tag == wire.Tag(number, wire.Varint) && number < uint64(len(flagOf)) && number != unauthorizedDetails:
			if bit := uint64(1) << number; s.Varint() != 0 {
				e.flags |= bit
			} else {
				e.flags &^= bit
			}
		default:
			s.Skip(tag)
		}
	}
	return s
}

// scanMetadata reads the part of a Metadata that verdicts have written.
func (e *scannedEntry) scanMetadata(s wire.Scanner) wire.Scanner {
	for s.More() {
		tag := s.Tag()
		if tag != wire.Tag(1, wire.Delimited) { // filter_metadata
			s.Skip(tag)
			continue
		}
		name, fields := entryOf(&s)
		switch name { // the last of a name counts
		case verdicts:
			e.verdict = scannedVerdict{}
			s.Done(scanStruct(wire.Scan(fields), e.verdict.field))
		case placements:
			e.place = scannedPlace{}
			s.Done(scanStruct(wire.Scan(fields), e.place.field))
		}
	}
	return s
}

// scanStruct reads a Struct, of which it keeps the texts that are asked for: field is
// where one of a name is kept, nil where it is not.
func scanStruct(s wire.Scanner, of func(name string) *string) wire.Scanner {
	for s.More() {
		tag := s.Tag()
		if tag != wire.Tag(1, wire.Delimited) { // fields
			s.Skip(tag)
			continue
		}
		name, value := entryOf(&s)
		field := of(name)
		if field == nil {
			continue
		}
		text, inner := stringValue(wire.Scan(value))
		s.Done(inner)
		*field = text
	}
	return s
}

// scannedPlace is what is read of what filters inside Envoy have said.
type scannedPlace struct{ result, rule string }

func (p *scannedPlace) field(name string) *string {
	switch name {
	case placeResult:
		return &p.result
	case placedBy:
		return &p.rule
	}
	return nil
}

func (v *scannedVerdict) field(name string) *string {
	switch name {
	case inFlight:
		return &v.inFlight
	case probe:
		return &v.probe
	case broken:
		return &v.broken
	case charged:
		return &v.charged
	case foundRoute:
		return &v.route
	case pickedBackend:
		return &v.backend
	}
	return nil
}

// entryOf reads an entry of a map of messages. It fails on what is not plainly one.
func entryOf(s *wire.Scanner) (name, value string) {
	inner := s.Message(true)
	for inner.More() {
		switch inner.Tag() {
		case wire.Tag(1, wire.Delimited):
			name = inner.Text()
		case wire.Tag(2, wire.Delimited):
			if !inner.Once(2) { // two are merged
				inner.Fail()
			}
			value = inner.Bytes()
		default:
			inner.Fail()
		}
	}
	s.Done(inner)
	return name, value
}

// stringValue reads a Value that is a text. It fails on others.
func stringValue(s wire.Scanner) (string, wire.Scanner) {
	text := ""
	for s.More() {
		if s.Tag() != wire.Tag(3, wire.Delimited) {
			s.Fail()
			break
		}
		text = s.Text()
	}
	return text, s
}

// scanResponse reads an HTTPResponseProperties.
func (e *scannedEntry) scanResponse(s wire.Scanner) wire.Scanner {
	for s.More() {
		switch tag := s.Tag(); tag {
		case wire.Tag(1, wire.Delimited):
			inner := s.Message(s.Once(1))
			e.status = scanUInt32(&inner)
			s.Done(inner)
		case wire.Tag(4, wire.Delimited):
			e.inHeaders.ifStatus(s.Entry())
		case wire.Tag(5, wire.Delimited):
			e.inTrailers.ifStatus(s.Entry())
		default:
			s.Skip(tag)
		}
	}
	return s
}

// ifStatus keeps the value of the status of a call.
func (t *scannedText) ifStatus(name, value string) {
	if name == grpcStatus {
		*t = scannedText{value, true}
	}
}

// scanUInt32 reads a google.protobuf.UInt32Value.
func scanUInt32(s *wire.Scanner) (value uint32) {
	for s.More() {
		tag := s.Tag()
		if tag != wire.Tag(1, wire.Varint) {
			s.Skip(tag)
			continue
		}
		value = uint32(s.Varint())
	}
	return value
}

// duration is a google.protobuf.Duration that may be missing.
type duration struct {
	seconds int64
	nanos   int32
	given   bool
}

func (d *duration) scan(s wire.Scanner) wire.Scanner {
	d.given = true
	for s.More() {
		switch tag := s.Tag(); tag {
		case wire.Tag(1, wire.Varint):
			d.seconds = int64(s.Varint())
		case wire.Tag(2, wire.Varint):
			d.nanos = int32(s.Varint())
		default:
			s.Skip(tag)
		}
	}
	return s
}

func (d duration) time() time.Duration {
	return (&durationpb.Duration{Seconds: d.seconds, Nanos: d.nanos}).AsDuration()
}
