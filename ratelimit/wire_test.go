package ratelimit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/wire"
)

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// someRequests are such as Envoys send, and some that the scanner leaves to the
// generated code.
func someRequests() map[string]*rlsv3.RateLimitRequest {
	plain := descriptor("limit=l", "user=alice")
	own := descriptor("limit=l", "user=bob")
	own.HitsAddend = wrapperspb.UInt64(3)
	look := descriptor("limit=l", "user=carol")
	look.HitsAddend = wrapperspb.UInt64(0)
	negative := descriptor("limit=l", "user=dave")
	negative.IsNegativeHits = true
	overridden := descriptor("limit=l", "user=erin")
	overridden.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 3, Unit: typev3.RateLimitUnit_DAY}
	many := &rlsv3.RateLimitRequest{Domain: Domain}
	for i := range maxDescriptors + 1 {
		many.Descriptors = append(many.Descriptors, descriptor("limit=l", fmt.Sprint("user=", i)))
	}
	long := descriptor("limit=l")
	for i := range maxEntries + 1 {
		long.Entries = append(long.Entries, &commonv3.RateLimitDescriptor_Entry{Key: "user", Value: fmt.Sprint(i)})
	}
	weighted := request(plain, own)
	weighted.HitsAddend = 2
	return map[string]*rlsv3.RateLimitRequest{
		"empty": {}, "one": request(plain), "three": request(plain, own, look), "weighted": weighted,
		"negative": request(negative), "overridden": request(overridden), "many": many, "long": request(long),
		"nobody": request(descriptor("limit=l", "user=")), "another domain": {Domain: "else", Descriptors: []*commonv3.RateLimitDescriptor{plain}},
		"unknown limit": request(descriptor("limit=none")), "too dear": {Domain: Domain, Descriptors: []*commonv3.RateLimitDescriptor{plain}, HitsAddend: 1e6},
	}
}

// Answer says what ShouldRateLimit says of the same request to the same buckets,
// also where its memory has been used before.
func TestAnswerIsShouldRateLimit(t *testing.T) {
	services := make([]*Service, 2)
	for i := range services {
		limit := perUser("l", 3, config.FailLocal)
		limiter := open(t, Settings{}, prometheus.NewRegistry())
		limiter.local.now = func() int64 { return 1 }
		services[i] = NewService(limiter, func(name string) *config.Limit {
			if name != "l" {
				return nil
			}
			return limit
		})
	}
	for range 3 {
		for name, r := range someRequests() {
			want, wantErr := services[0].ShouldRateLimit(context.Background(), r)
			reply, err := services[1].Answer(context.Background(), encoded(t, r), []byte("before"))
			if status.Convert(err).String() != status.Convert(wantErr).String() {
				t.Errorf("%s: %v, want %v", name, err, wantErr)
			}
			if err != nil {
				continue
			}
			got, text := &rlsv3.RateLimitResponse{}, strings.TrimPrefix(string(reply), "before")
			if err := proto.Unmarshal([]byte(text), got); err != nil || !proto.Equal(got, want) {
				t.Errorf("%s: %v (%v), want %v", name, got, err, want)
			}
		}
	}
	if _, err := services[0].Answer(context.Background(), []byte{0xff}, nil); err == nil {
		t.Error("what is no message was answered")
	}
}

// What the scanner reads, the generated code reads too, and the same.
func FuzzWireRequest(f *testing.F) {
	for _, r := range someRequests() {
		f.Add(encoded(f, r))
	}
	f.Add([]byte{0x12, 0x02, 0x1a, 0x00, 0x12, 0x04, 0x1a, 0x00, 0x1a, 0x00})
	var w wireRequest
	f.Fuzz(func(t *testing.T, message []byte) {
		if !w.scan(wire.Scan(string(message))) {
			return
		}
		want := &rlsv3.RateLimitRequest{}
		if err := proto.Unmarshal(message, want); err != nil || !proto.Equal(&w.request, want) {
			t.Errorf("%x: %v, want %v (%v)", message, &w.request, want, err)
		}
	})
}

// The scanner knows what Envoys send.
func TestScannerKnowsEnvoy(t *testing.T) {
	for _, name := range []string{"empty", "one", "three", "weighted", "negative", "nobody"} {
		if w := new(wireRequest); !w.scan(wire.Scan(string(encoded(t, someRequests()[name])))) {
			t.Errorf("%s: left to the generated code", name)
		}
	}
}

// A response on the wire is that of the generated code, whoever has written it.
func TestAppendResponse(t *testing.T) {
	t.Parallel()
	limit := &rlsv3.RateLimitResponse_RateLimit{Name: "l", RequestsPerUnit: 7, Unit: rlsv3.RateLimitResponse_RateLimit_WEEK}
	full := &rlsv3.RateLimitResponse_DescriptorStatus{Code: overLimit, CurrentLimit: limit, LimitRemaining: 1 << 31, DurationUntilReset: &durationpb.Duration{Seconds: -1, Nanos: -5}}
	unknown := &rlsv3.RateLimitResponse{OverallCode: ok}
	unknown.ProtoReflect().SetUnknown([]byte{0x78, 0x01})
	for name, c := range map[string]struct {
		response *rlsv3.RateLimitResponse
		plain    bool
	}{
		"empty": {&rlsv3.RateLimitResponse{}, true},
		"all": {&rlsv3.RateLimitResponse{
			OverallCode: overLimit, RawBody: []byte{0xff},
			Statuses:             []*rlsv3.RateLimitResponse_DescriptorStatus{full, {}, {DurationUntilReset: &durationpb.Duration{}}, {CurrentLimit: &rlsv3.RateLimitResponse_RateLimit{}}},
			ResponseHeadersToAdd: []*corev3.HeaderValue{{Key: "a", Value: strings.Repeat("x", 200)}, {}, {RawValue: []byte{1}}},
			RequestHeadersToAdd:  []*corev3.HeaderValue{{Key: "b"}},
		}, true},
		"metadata": {&rlsv3.RateLimitResponse{OverallCode: ok, DynamicMetadata: &structpb.Struct{}}, false},
		"quota":    {&rlsv3.RateLimitResponse{Quota: &rlsv3.RateLimitResponse_Quota{Requests: 1}}, false},
		"quota of a descriptor": {&rlsv3.RateLimitResponse{Statuses: []*rlsv3.RateLimitResponse_DescriptorStatus{
			{Quota: &rlsv3.RateLimitResponse_Quota{Id: "q"}}}}, false},
		"multiplier": {&rlsv3.RateLimitResponse{Statuses: []*rlsv3.RateLimitResponse_DescriptorStatus{
			full, {CurrentLimit: &rlsv3.RateLimitResponse_RateLimit{UnitMultiplier: wrapperspb.UInt32(3)}}}}, false},
		"unknown field": {unknown, false},
	} {
		if _, plain := appendPlain(nil, c.response); plain != c.plain {
			t.Errorf("%s: plain %t, want %t", name, plain, c.plain)
		}
		reply, err := appendResponse([]byte("before"), c.response)
		got := &rlsv3.RateLimitResponse{}
		if err != nil || proto.Unmarshal(reply[len("before"):], got) != nil || !proto.Equal(got, c.response) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, c.response)
		}
	}
}
