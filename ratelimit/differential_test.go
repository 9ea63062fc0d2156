package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestAnswersAreThoseOfEnvoyproxyRatelimit asks a running envoyproxy/ratelimit and this
// package the same, and compares what they say. GATEWRIGHT_TEST_RATELIMIT is where the
// other one listens; it must serve testdata/differential/limits.yaml, with
// LIMIT_RESPONSE_HEADERS_ENABLED and RESPONSE_DYNAMIC_METADATA true.
func TestAnswersAreThoseOfEnvoyproxyRatelimit(t *testing.T) {
	address := os.Getenv("GATEWRIGHT_TEST_RATELIMIT")
	if address == "" {
		t.Skip("GATEWRIGHT_TEST_RATELIMIT does not say where an envoyproxy/ratelimit listens")
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	theirs := rlsv3.NewRateLimitServiceClient(conn)
	text, err := os.ReadFile("testdata/differential/limits.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := ruleDefaults
	s.Headers, s.DynamicMetadata = true, true
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	onEachRuleStore(t, s, string(text), func(t *testing.T, ours ruled) {
		random := rand.New(rand.NewPCG(seed, uint64(len(t.Name()))))
		run := fmt.Sprintf("%x-%d", seed, len(t.Name()))
		denied := 0
		for i := range 3000 {
			if i%60 == 0 {
				run = fmt.Sprintf("%x-%d-%d", seed, len(t.Name()), i) // other counts, and the same again
			}
			request := differentialRequest(random, run)
			want, wantErr := theirs.ShouldRateLimit(context.Background(), request)
			got, gotErr := ours.ShouldRateLimit(context.Background(), request)
			if (wantErr == nil) != (gotErr == nil) {
				t.Fatalf("%v:\ngot  %v\nwant %v", request, gotErr, wantErr)
			}
			if wantErr != nil {
				continue
			}
			if want.GetOverallCode() == overLimit {
				denied++
			}
			if !sameAnswer(got, want) {
				t.Fatalf("request %d: %v:\ngot  %s\nwant %s", i, request, protojson.Format(got), protojson.Format(want))
			}
		}
		t.Logf("%d of 3000 requests were over their limits", denied)
	})
}

// sameAnswer compares all but the clocks: resets may be a second apart. Metadata of a
// rule whose metric tells values is left out by the other server.
func sameAnswer(got, want *rlsv3.RateLimitResponse) bool {
	got, want = proto.Clone(got).(*rlsv3.RateLimitResponse), proto.Clone(want).(*rlsv3.RateLimitResponse)
	if len(got.GetStatuses()) != len(want.GetStatuses()) {
		return false
	}
	for i, s := range got.GetStatuses() {
		theirs := want.GetStatuses()[i]
		if closeTo(s.GetDurationUntilReset(), theirs.GetDurationUntilReset()) {
			s.DurationUntilReset, theirs.DurationUntilReset = nil, nil
		}
	}
	for _, r := range []*rlsv3.RateLimitResponse{got, want} {
		for _, h := range r.GetResponseHeadersToAdd() {
			if h.GetKey() == "RateLimit-Reset" {
				h.Value = ""
			}
		}
		for _, d := range r.GetDynamicMetadata().GetFields()["descriptors"].GetListValue().GetValues() {
			if limit := d.GetStructValue().GetFields()["limit"]; limit != nil { // spaced at random
				limit.Kind = &structpb.Value_StringValue{StringValue: strings.Join(strings.Fields(limit.GetStringValue()), " ")}
			}
		}
	}
	return proto.Equal(got, want)
}

func closeTo(a, b *durationpb.Duration) bool {
	return (a == nil) == (b == nil) && (a.AsDuration()-b.AsDuration()).Abs() <= 2*time.Second
}

// differentialRequest is any request of the domain; run makes its values its own.
func differentialRequest(random *rand.Rand, run string) *rlsv3.RateLimitRequest {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	r := &rlsv3.RateLimitRequest{Domain: pick("differential", "differential", "differential", "differential", "differential", "differential", "another"), HitsAddend: uint32(random.IntN(3))}
	for range 1 + random.IntN(3) {
		d := descriptor(strings.Split(strings.ReplaceAll("run=RUN,"+pick(
			"plain=RUN", "plain=special", "plain=RUN-2", "named=RUN", "replacing=RUN", "none=RUN", "all=RUN", "shadow=RUN",
			"quota=a", "quota=b", "wild=x-RUN", "wild=yRUNz", "wild=RUNz", "wild=RUN", "wild=", "wild=x*", "unknown=RUN",
			"outer=RUN", "outer=RUN,inner=RUN", "outer=RUN,inner=free", "outer=RUN,inner=deepRUN,leaf=RUN", "outer=RUN,inner=deep2,leaf=RUN",
			"outer=x,inner=RUN", "outer=x,other=RUN", "outer=x", "plain=RUN,plain=RUN",
		), "RUN", run), ",")...)
		choice := random.IntN(8)
		if d.GetEntries()[1].GetKey() == "none" {
			choice = -1 // what admits nothing is not counted here, and counted there
		}
		switch choice {
		case 0:
			d.HitsAddend = wrapperspb.UInt64(uint64(random.IntN(5)))
		case 1:
			d.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{
				RequestsPerUnit: 1 + uint32(random.IntN(9)), Unit: typev3.RateLimitUnit(4 + random.IntN(3)),
			}
		}
		r.Descriptors = append(r.Descriptors, d)
	}
	return r
}
