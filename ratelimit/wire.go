package ratelimit

import (
	"context"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/internal/wire"
)

// Envoy's messages, taken from and brought to the wire by hand: the general code
// for any message was half of what a decision in memory cost (bench/limits). What
// is not known here is left to it.

// Answer is ShouldRateLimit for a server that has no use for messages but as they
// are on the wire: it appends the RateLimitResponse to reply. It is a handler of
// package unary.
func (s *Service) Answer(ctx context.Context, message, reply []byte) ([]byte, error) {
	in := wireRequests.Get().(*wireRequest)
	request, err := in.read(string(message))
	if err != nil {
		wireRequests.Put(in)
		return nil, status.Errorf(codes.Internal, "reading the RateLimitRequest: %v", err)
	}
	response, left, err := s.answerOrLeave(ctx, request, in)
	if left {
		return nil, nil // in is in use until it is answered
	}
	defer wireRequests.Put(in)
	if err != nil {
		return nil, err
	}
	return appendResponse(reply, response)
}

// answerOrLeave answers a request, or leaves it to Redis.
func (s *Service) answerOrLeave(ctx context.Context, r *rlsv3.RateLimitRequest, in *wireRequest) (response *rlsv3.RateLimitResponse, left bool, err error) {
	if traced, span := s.trace(ctx); span != nil {
		response, err = s.answerTraced(traced, span, r)
		return response, false, err
	}
	if s.byRules(r) {
		questions, err := s.questions(r)
		if err != nil || s.leaveQuestions(ctx, r, questions, in) {
			return nil, err == nil, err
		}
		response, err = s.answerQuestions(ctx, r, questions)
		return response, false, err
	}
	charges, err := s.charges(r, &in.room)
	if err != nil || s.leaveCharges(ctx, charges, in) {
		return nil, err == nil, err
	}
	response, err = s.answerCharges(ctx, charges, &in.response)
	return response, false, err
}

// wireRequests are memory for requests that are being answered.
var wireRequests = sync.Pool{New: func() any { return new(wireRequest) }}

// wireRequest is a request with the memory that it is made of. Whoever has
// answered it keeps nothing of it but texts.
type wireRequest struct {
	request     rlsv3.RateLimitRequest
	descriptors []*wireDescriptor // more than the request has, perhaps
	pointers    []*commonv3.RateLimitDescriptor
	room        chargeRoom
	response    wireResponse // to it
	inquiry     inquiry      // while it is left to Redis
}

type wireDescriptor struct {
	descriptor commonv3.RateLimitDescriptor
	hits       wrapperspb.UInt64Value
	entries    []*commonv3.RateLimitDescriptor_Entry // as above
}

// read returns the request that a text is, of which it keeps parts. The scanner
// knows what Envoys send; of whatever it does not know, and of every fault, the
// generated code has the word.
func (w *wireRequest) read(text string) (*rlsv3.RateLimitRequest, error) {
	if w.scan(wire.Scan(text)) {
		return &w.request, nil
	}
	other := &rlsv3.RateLimitRequest{}
	return other, proto.Unmarshal([]byte(text), other)
}

// scan fills in the request, and reports whether it could: true means that the
// generated code takes the message as well, and reads the same. It gives up on
// unknown fields, and on what is rare: overrides.
func (w *wireRequest) scan(s wire.Scanner) bool {
	r := &w.request
	r.Domain, r.HitsAddend = "", 0
	w.pointers = w.pointers[:0]
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			r.Domain = s.Text()
		case wire.Tag(2, wire.Delimited):
			inner := s.Message(len(w.pointers) < maxDescriptors)
			w.pointers = append(w.pointers, w.descriptor(len(w.pointers)).scan(&inner))
			s.Done(inner)
		case wire.Tag(3, wire.Varint):
			r.HitsAddend = uint32(s.Varint())
		default:
			s.Fail()
		}
	}
	r.Descriptors = w.pointers
	return !s.Failed()
}

// descriptor is the memory of one.
func (w *wireRequest) descriptor(i int) *wireDescriptor {
	if i == len(w.descriptors) {
		w.descriptors = append(w.descriptors, new(wireDescriptor))
	}
	return w.descriptors[i]
}

// maxEntries bounds the memory that is kept for a descriptor.
const maxEntries = 16

func (w *wireDescriptor) scan(s *wire.Scanner) *commonv3.RateLimitDescriptor {
	d := &w.descriptor
	d.HitsAddend, d.IsNegativeHits = nil, false
	n := 0
	for s.More() {
		switch s.Tag() {
		case wire.Tag(1, wire.Delimited):
			if n == maxEntries {
				s.Fail()
				break
			}
			if n == len(w.entries) {
				w.entries = append(w.entries, new(commonv3.RateLimitDescriptor_Entry))
			}
			w.entries[n].Key, w.entries[n].Value = s.Entry()
			n++
		case wire.Tag(3, wire.Delimited):
			inner := s.Message(s.Once(3))
			w.hits.Value = scanNumber(&inner)
			d.HitsAddend = &w.hits
			s.Done(inner)
		case wire.Tag(4, wire.Varint):
			d.IsNegativeHits = s.Varint() != 0
		default:
			s.Fail()
		}
	}
	d.Entries = w.entries[:n]
	return d
}

// scanNumber returns that of a google.protobuf.UInt64Value.
func scanNumber(s *wire.Scanner) (n uint64) {
	for s.More() {
		if s.Tag() != wire.Tag(1, wire.Varint) {
			s.Fail()
			break
		}
		n = s.Varint()
	}
	return n
}

// appendResponse appends what proto.Marshal makes of a response. What is rare is
// left to it.
func appendResponse(b []byte, r *rlsv3.RateLimitResponse) ([]byte, error) {
	if out, ok := appendPlain(b, r); ok {
		return out, nil
	}
	return proto.MarshalOptions{}.MarshalAppend(b, r)
}

// appendPlain appends a response of a code, statuses, headers and a body alone.
func appendPlain(b []byte, r *rlsv3.RateLimitResponse) (out []byte, ok bool) {
	if r.DynamicMetadata != nil || r.Quota != nil || len(r.ProtoReflect().GetUnknown()) > 0 {
		return nil, false
	}
	b = appendNumber(b, 1, uint64(r.OverallCode))
	for _, s := range r.Statuses {
		if b, ok = appendStatus(b, s); !ok {
			return nil, false
		}
	}
	b = appendHeaders(b, 3, r.ResponseHeadersToAdd)
	b = appendHeaders(b, 4, r.RequestHeadersToAdd)
	if len(r.RawBody) > 0 {
		b = protowire.AppendTag(b, 5, protowire.BytesType)
		b = protowire.AppendBytes(b, r.RawBody)
	}
	return b, true
}

func appendStatus(b []byte, s *rlsv3.RateLimitResponse_DescriptorStatus) (out []byte, ok bool) {
	if s.Quota != nil {
		return nil, false
	}
	b, begin := wire.BeginMessage(b, 2)
	b = appendNumber(b, 1, uint64(s.Code))
	if s.CurrentLimit != nil {
		if b, ok = appendLimit(b, s.CurrentLimit); !ok {
			return nil, false
		}
	}
	b = appendNumber(b, 3, uint64(s.LimitRemaining))
	if s.DurationUntilReset != nil {
		b = appendDuration(b, 4, s.DurationUntilReset)
	}
	return wire.EndMessage(b, begin), true
}

func appendLimit(b []byte, l *rlsv3.RateLimitResponse_RateLimit) (out []byte, ok bool) {
	if l.UnitMultiplier != nil {
		return nil, false
	}
	b, begin := wire.BeginMessage(b, 2)
	b = appendNumber(b, 1, uint64(l.RequestsPerUnit))
	b = appendNumber(b, 2, uint64(l.Unit))
	b = wire.AppendText(b, 3, l.Name)
	return wire.EndMessage(b, begin), true
}

func appendDuration(b []byte, number protowire.Number, d *durationpb.Duration) []byte {
	b, begin := wire.BeginMessage(b, number)
	b = appendNumber(b, 1, uint64(d.Seconds))
	b = appendNumber(b, 2, uint64(int64(d.Nanos)))
	return wire.EndMessage(b, begin)
}

func appendHeaders(b []byte, number protowire.Number, headers []*corev3.HeaderValue) []byte {
	for _, h := range headers {
		var begin int
		b, begin = wire.BeginMessage(b, number)
		b = wire.AppendText(b, 1, h.Key)
		b = wire.AppendText(b, 2, h.Value)
		if len(h.RawValue) > 0 {
			b = protowire.AppendTag(b, 3, protowire.BytesType)
			b = protowire.AppendBytes(b, h.RawValue)
		}
		b = wire.EndMessage(b, begin)
	}
	return b
}

// appendNumber appends a number, unless it is the one that stands for none.
func appendNumber(b []byte, number protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.VarintType)
	return protowire.AppendVarint(b, n)
}
