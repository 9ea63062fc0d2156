package ratelimit

import (
	"context"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

const (
	ok        = rlsv3.RateLimitResponse_OK
	overLimit = rlsv3.RateLimitResponse_OVER_LIMIT
)

// serve serves a limiter with limits, and returns a real client of it.
func serve(t *testing.T, l *Limiter, limits ...*config.Limit) rlsv3.RateLimitServiceClient {
	t.Helper()
	byName := map[string]*config.Limit{}
	for _, limit := range limits {
		byName[limit.Name] = limit
	}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(server, NewService(l, func(name string) *config.Limit { return byName[name] }))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return rlsv3.NewRateLimitServiceClient(conn)
}

// descriptor is one with entries of the form key=value.
func descriptor(entries ...string) *commonv3.RateLimitDescriptor {
	d := &commonv3.RateLimitDescriptor{}
	for _, e := range entries {
		key, value, _ := strings.Cut(e, "=")
		d.Entries = append(d.Entries, &commonv3.RateLimitDescriptor_Entry{Key: key, Value: value})
	}
	return d
}

func request(descriptors ...*commonv3.RateLimitDescriptor) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: Domain, Descriptors: descriptors}
}

func ask(t *testing.T, c rlsv3.RateLimitServiceClient, r *rlsv3.RateLimitRequest) *rlsv3.RateLimitResponse {
	t.Helper()
	response, err := c.ShouldRateLimit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// headersOf are the response headers, in order.
func headersOf(r *rlsv3.RateLimitResponse) string {
	var all []string
	for _, h := range r.GetResponseHeadersToAdd() {
		all = append(all, h.GetKey()+": "+h.GetValue())
	}
	return strings.Join(all, ", ")
}

func TestServiceReply(t *testing.T) {
	limit := perUser("per-user", 2, "")
	limit.TokenBucket.Refill = config.Rate{Events: 2, Per: time.Hour}
	c := serve(t, open(t, Settings{}, nil), limit)
	r := request(descriptor("limit=per-user", "user=alice"))

	got := ask(t, c, r)
	if got.GetOverallCode() != ok || len(got.GetStatuses()) != 1 {
		t.Fatalf("got %v, want OK with one status", got)
	}
	s := got.GetStatuses()[0]
	if s.GetCode() != ok || s.GetLimitRemaining() != 1 || s.GetCurrentLimit().GetName() != "per-user" ||
		s.GetCurrentLimit().GetRequestsPerUnit() != 2 || s.GetCurrentLimit().GetUnit() != rlsv3.RateLimitResponse_RateLimit_HOUR {
		t.Errorf("status %v, want 1 left of 2 an hour", s)
	}
	if d := s.GetDurationUntilReset().AsDuration(); d != 30*time.Minute {
		t.Errorf("reset after %v, want 30m", d)
	}
	if h, want := headersOf(got), "RateLimit-Limit: 2, RateLimit-Remaining: 1, RateLimit-Reset: 1800"; h != want {
		t.Errorf("headers %q, want %q", h, want)
	}

	ask(t, c, r)
	got = ask(t, c, r)
	if got.GetOverallCode() != overLimit || got.GetStatuses()[0].GetCode() != overLimit {
		t.Errorf("got %v, want OVER_LIMIT", got)
	}
	if h, want := headersOf(got), "RateLimit-Limit: 2, RateLimit-Remaining: 0, RateLimit-Reset: 3600, Retry-After: 1800"; h != want {
		t.Errorf("headers %q, want %q", h, want)
	}
	if got := ask(t, c, request(descriptor("limit=per-user", "user=bob"))); got.GetOverallCode() != ok {
		t.Errorf("another user got %v, want OK", got)
	}
}

func TestRetryAfterHeaderIsAtLeastASecond(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Microsecond:               "1",
		time.Second:                    "1",
		time.Second + time.Microsecond: "2",
	} {
		h := headersOf(new(wireResponse).say(Decision{Limit: "l", Capacity: 1, RetryAfter: wait}, nil, nil, ""))
		if !strings.HasSuffix(h, "Retry-After: "+want) {
			t.Errorf("%v: headers %q, want Retry-After: %s", wait, h, want)
		}
	}
}

// A refill that Envoy has no unit for is not told, rather than told wrong.
func TestCurrentLimitFitsAUnit(t *testing.T) {
	got := &rlsv3.RateLimitResponse_RateLimit{} // used again: nothing stays of the one before
	for per, want := range map[time.Duration]rlsv3.RateLimitResponse_RateLimit_Unit{
		time.Second: rlsv3.RateLimitResponse_RateLimit_SECOND, time.Minute: rlsv3.RateLimitResponse_RateLimit_MINUTE,
		time.Hour: rlsv3.RateLimitResponse_RateLimit_HOUR, day: rlsv3.RateLimitResponse_RateLimit_DAY,
		7 * day: rlsv3.RateLimitResponse_RateLimit_WEEK, 2 * time.Second: rlsv3.RateLimitResponse_RateLimit_UNKNOWN,
	} {
		l := &config.Limit{Name: "l", TokenBucket: &config.TokenBucket{Capacity: 1, Refill: config.Rate{Events: 3, Per: per}}}
		if setLimit(got, &Charge{Limit: l}); got.GetUnit() != want || (got.GetRequestsPerUnit() == 3) != (want != 0) {
			t.Errorf("3 per %v: got %v", per, got)
		}
	}
	huge := &config.Limit{TokenBucket: &config.TokenBucket{Refill: config.Rate{Events: math.MaxUint32 + 1, Per: time.Second}}}
	if setLimit(got, &Charge{Limit: huge}); got.GetUnit() != 0 || got.GetRequestsPerUnit() != 0 {
		t.Errorf("more than 32 bits: got %v", got)
	}
}

// The two doors count in one bucket, in whatever order the entries come and
// however the address is written.
func TestServiceAndTakeShareBuckets(t *testing.T) {
	limit := &config.Limit{
		Name:        "l",
		Key:         []config.KeyPart{"user", "clientIP", "header:X-Tier", "claim:org", "apiKey", "route", "tenant"},
		TokenBucket: &config.TokenBucket{Capacity: 10, Refill: config.Rate{Events: 1, Per: day}},
	}
	server := testenv.StartRedis(t)
	for name, s := range map[string]Settings{"memory": {}, "redis": {RedisURL: server.URL(), RedisTimeout: 10 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			l := open(t, s, nil)
			c := serve(t, l, limit)
			l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{"u", ClientIPKey("2001:db8::1", 64), "gold", "", "k", "r", ""}}})
			got := ask(t, c, request(descriptor("limit=l", "route=r", "header:X-Tier=gold", "clientIP=[2001:db8::2]:4711",
				"claim:org=", "apiKey=k", "user=u"))) // no tenant
			if left := got.GetStatuses()[0].GetLimitRemaining(); left != 8 {
				t.Errorf("%d left, want 8: one by each door", left)
			}
			for _, other := range [][]string{
				{"limit=l"}, {"limit=l", "user=u"}, {"limit=l", "tenant=u"}, {"limit=l", "route=u"},
			} {
				if got := ask(t, c, request(descriptor(other...))); got.GetStatuses()[0].GetLimitRemaining() != 9 {
					t.Errorf("%v does not have a bucket of its own: %v", other, got)
				}
			}
		})
	}
}

func TestServiceChargesAllOrNone(t *testing.T) {
	a, b := perUser("a", 5, ""), perUser("b", 1, "")
	c := serve(t, open(t, Settings{}, nil), a, b)
	both := request(descriptor("limit=a", "user=u"), descriptor("limit=b", "user=u"))
	for _, want := range []struct {
		overall rlsv3.RateLimitResponse_Code
		codes   [2]rlsv3.RateLimitResponse_Code
		left    [2]uint32
	}{
		{ok, [2]rlsv3.RateLimitResponse_Code{ok, ok}, [2]uint32{4, 0}},
		{overLimit, [2]rlsv3.RateLimitResponse_Code{ok, overLimit}, [2]uint32{4, 0}},
	} {
		got := ask(t, c, both)
		if got.GetOverallCode() != want.overall || len(got.GetStatuses()) != 2 {
			t.Fatalf("got %v, want %v and two statuses", got, want.overall)
		}
		for i, s := range got.GetStatuses() {
			if s.GetCode() != want.codes[i] || s.GetLimitRemaining() != want.left[i] {
				t.Errorf("status %d: %v, want %v with %d left", i, s, want.codes[i], want.left[i])
			}
		}
	}
}

func TestServiceCost(t *testing.T) {
	limit := perUser("l", 100, "")
	c := serve(t, open(t, Settings{}, nil), limit)
	own := func(hits uint64) *commonv3.RateLimitDescriptor {
		d := descriptor("limit=l", "user=u")
		d.HitsAddend = wrapperspb.UInt64(hits)
		return d
	}
	for _, step := range []struct {
		hits       uint32
		descriptor *commonv3.RateLimitDescriptor
		code       rlsv3.RateLimitResponse_Code
		left       uint32
	}{
		{0, descriptor("limit=l", "user=u"), ok, 99},
		{9, descriptor("limit=l", "user=u"), ok, 90},
		{9, own(20), ok, 70},
		{9, own(0), ok, 70},
		{0, own(71), overLimit, 70},
		{0, own(101), overLimit, 70},
		{0, own(math.MaxUint64), overLimit, 70},
		{math.MaxUint32, descriptor("limit=l", "user=u"), overLimit, 70},
	} {
		r := request(step.descriptor)
		r.HitsAddend = step.hits
		got := ask(t, c, r)
		if got.GetOverallCode() != step.code || got.GetStatuses()[0].GetLimitRemaining() != step.left {
			t.Errorf("%v: got %v, want %v with %d left", r, got, step.code, step.left)
		}
		never := step.left == 70 && step.code == overLimit && step.descriptor.GetHitsAddend().GetValue() != 71
		if told := strings.Contains(string(got.GetRawBody()), "never"); told != never {
			t.Errorf("%v: body %q, want it told %t that it can never pass", r, got.GetRawBody(), never)
		}
		if never && strings.Contains(headersOf(got), "Retry-After") {
			t.Errorf("%v: a Retry-After for what never passes", r)
		}
	}
}

// TestServiceCostOfTheLimit: what the limit says of costs holds where the descriptor
// says nothing of hits; and what Check has found of the request, within the bounds.
func TestServiceCostOfTheLimit(t *testing.T) {
	number, header := perUser("number", 100, ""), perUser("header", 100, "")
	number.Cost, header.Cost = &config.Cost{Number: 5}, &config.Cost{Header: "X-Cost", Default: 2, Max: 50}
	c := serve(t, open(t, Settings{}, nil), number, header)
	own := descriptor("limit=number", "user=u")
	own.HitsAddend = wrapperspb.UInt64(3)
	for _, step := range []struct {
		descriptor *commonv3.RateLimitDescriptor
		left       uint32
	}{
		{descriptor("limit=number", "user=u"), 95},
		{own, 92},
		{descriptor("limit=header", "user=u"), 98},
		{descriptor("limit=header", "cost=7", "user=u"), 91},
		{descriptor("limit=header", "user=u", "cost=0"), 91},
		{descriptor("limit=header", "user=u", "cost=9999"), 41},
	} {
		if got := ask(t, c, request(step.descriptor)); got.GetOverallCode() != ok || got.GetStatuses()[0].GetLimitRemaining() != step.left {
			t.Errorf("%v: got %v, want %d left", step.descriptor, got, step.left)
		}
	}
	for _, d := range []*commonv3.RateLimitDescriptor{
		descriptor("limit=number", "user=u", "cost=1"), descriptor("limit=header", "user=u", "cost=-1"),
		descriptor("limit=header", "user=u", "cost="), descriptor("limit=header", "user=u", "cost=1", "cost=1"),
	} {
		if _, err := c.ShouldRateLimit(t.Context(), request(d)); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// TestServiceHeaders: by the names that the config has chosen.
func TestServiceHeaders(t *testing.T) {
	d := Decision{Limit: "l", Capacity: 5, RetryAfter: time.Second, ResetAfter: 2 * time.Second}
	plain := "RateLimit-Limit: 5, RateLimit-Remaining: 0, RateLimit-Reset: 2, "
	marked := strings.ReplaceAll(plain, "RateLimit-", "X-RateLimit-")
	for by, want := range map[config.RateLimitHeaders]string{
		"": plain, config.HeadersIETF: plain, config.HeadersX: marked, config.HeadersBoth: plain + marked, config.HeadersNone: "",
	} {
		s := NewService(nil, nil)
		s.Headers = func() config.RateLimitHeaders { return by }
		if got := headersOf(new(wireResponse).say(d, nil, nil, s.headers())); got != want+"Retry-After: 1" {
			t.Errorf("%q: %s", by, got)
		}
	}
}

// What cannot be counted is an error, never OK.
func TestServiceRefuses(t *testing.T) {
	good := perUser("l", 5, "")
	c := serve(t, open(t, Settings{}, nil), good, &config.Limit{Name: "broken"},
		&config.Limit{Name: "flights", Key: []config.KeyPart{config.KeyRoute}, Concurrency: &config.Concurrency{Max: 1}})
	override, negative := descriptor("limit=l"), descriptor("limit=l")
	override.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 9}
	negative.IsNegativeHits = true
	many := request()
	for range maxDescriptors + 1 {
		many.Descriptors = append(many.Descriptors, descriptor("limit=l"))
	}
	for name, tc := range map[string]struct {
		request *rlsv3.RateLimitRequest
		code    codes.Code
		says    string
	}{
		"in flight":          {request(descriptor("limit=flights")), codes.InvalidArgument, "it is for Check alone"},
		"another domain":     {&rlsv3.RateLimitRequest{Domain: "envoy", Descriptors: request(descriptor("limit=l")).Descriptors}, codes.InvalidArgument, `must be "gatewright"`},
		"no domain":          {&rlsv3.RateLimitRequest{Descriptors: request(descriptor("limit=l")).Descriptors}, codes.InvalidArgument, `must be "gatewright"`},
		"no descriptor":      {request(), codes.InvalidArgument, "no descriptor"},
		"too many":           {many, codes.InvalidArgument, "at most 64"},
		"no entry":           {request(descriptor()), codes.InvalidArgument, "descriptor 0: the first entry must be limit=NAME"},
		"limit not first":    {request(descriptor("user=u", "limit=l")), codes.InvalidArgument, "the first entry"},
		"unknown limit":      {request(descriptor("limit=l"), descriptor("limit=none")), codes.NotFound, `descriptor 1: no limit is named "none"`},
		"unknown entry":      {request(descriptor("limit=l", "tenant=t")), codes.InvalidArgument, `no key part "tenant", only user`},
		"entry in another":   {request(descriptor("limit=l", "USER=t")), codes.InvalidArgument, `no key part "USER"`},
		"an entry twice":     {request(descriptor("limit=l", "user=a", "user=b")), codes.InvalidArgument, "two entries"},
		"two limits":         {request(descriptor("limit=l", "limit=l")), codes.InvalidArgument, `no key part "limit"`},
		"an override":        {request(override), codes.InvalidArgument, "overrides"},
		"negative hits":      {request(negative), codes.InvalidArgument, "negative"},
		"an uncountable one": {request(descriptor("limit=broken")), codes.Unavailable, "cannot be counted"},
		"a very long name":   {request(descriptor("limit=" + strings.Repeat("é", 5000))), codes.NotFound, "é…"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.ShouldRateLimit(context.Background(), tc.request)
			if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.says) || len(err.Error()) > 300 {
				t.Errorf("got %v, %v; want %v: %s", got, err, tc.code, tc.says)
			}
		})
	}
	got := ask(t, c, request(descriptor("limit=l")))
	if left := got.GetStatuses()[0].GetLimitRemaining(); left != 4 {
		t.Errorf("%d left, want 4: what was refused has charged nothing", left)
	}
}

func TestServiceWithoutItsStore(t *testing.T) {
	local, allow, deny := perUser("local", 1, ""), perUser("allow", 1, config.FailAllow), perUser("deny", 1, config.FailDeny)
	c := serve(t, open(t, unreachable(t), nil), local, allow, deny)
	_, err := c.ShouldRateLimit(context.Background(), request(descriptor("limit=deny"), descriptor("limit=local")))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("deny: got %v, want Unavailable", err)
	}
	got := ask(t, c, request(descriptor("limit=allow"), descriptor("limit=local")))
	if got.GetOverallCode() != ok || got.GetStatuses()[0].GetCurrentLimit() != nil || got.GetStatuses()[1].GetCurrentLimit() == nil {
		t.Errorf("got %v, want OK and numbers of the local one alone", got)
	}
	got = ask(t, c, request(descriptor("limit=allow")))
	if got.GetOverallCode() != ok || headersOf(got) != "" {
		t.Errorf("got %v, want OK without headers", got)
	}
	if got := ask(t, c, request(descriptor("limit=local"))); got.GetOverallCode() != overLimit {
		t.Errorf("got %v, want OVER_LIMIT by this instance's own bucket", got)
	}
}

// No request, however odd, makes the service panic, and none with an empty descriptor passes.
func FuzzShouldRateLimit(f *testing.F) {
	limit := perUser("l", 1<<30, "")
	l, err := Open(Settings{}, quiet, nil)
	if err != nil {
		f.Fatal(err)
	}
	service := NewService(l, func(name string) *config.Limit {
		if name == limit.Name {
			return limit
		}
		return nil
	})
	f.Add(Domain, "limit", "l", "user", "u", uint32(0), uint64(0))
	f.Add("", "", "", "", "", uint32(1), uint64(1))
	f.Add(Domain, "limit", "l", "clientIP", "\xff", uint32(math.MaxUint32), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, domain, key1, value1, key2, value2 string, hits uint32, own uint64) {
		d := &commonv3.RateLimitDescriptor{Entries: []*commonv3.RateLimitDescriptor_Entry{{Key: key1, Value: value1}, {Key: key2, Value: value2}, nil}}
		if own > 0 {
			d.HitsAddend = wrapperspb.UInt64(own)
		}
		got, err := service.ShouldRateLimit(context.Background(),
			&rlsv3.RateLimitRequest{Domain: domain, Descriptors: []*commonv3.RateLimitDescriptor{d, nil}, HitsAddend: hits})
		if err == nil {
			t.Errorf("got %v for a request with a nil descriptor", got)
		}
		if _, err := service.ShouldRateLimit(context.Background(), nil); err == nil {
			t.Error("no error for a nil request")
		}
		d.Entries = d.Entries[:2]
		got, err = service.ShouldRateLimit(context.Background(),
			&rlsv3.RateLimitRequest{Domain: domain, Descriptors: []*commonv3.RateLimitDescriptor{d}, HitsAddend: hits})
		if (err == nil) != (got != nil) || got != nil && len(got.GetStatuses()) != 1 {
			t.Errorf("got %v and %v", got, err)
		}
	})
}
