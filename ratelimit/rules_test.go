package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/limitfiles"
	"github.com/gatewright/gatewright/internal/testenv"
)

// ruleDefaults are the settings without any variable set.
var ruleDefaults = RuleSettings{
	LimitHeader: "RateLimit-Limit", RemainingHeader: "RateLimit-Remaining", ResetHeader: "RateLimit-Reset",
	NearLimitRatio: 0.8, OnStoreFailure: config.FailLocal,
}

// tableOf reads a file of this text.
func tableOf(t testing.TB, text string) *limitfiles.Table {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "limits.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := limitfiles.Read(folder, limitfiles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// ruled is a service of a file's rules, asked over gRPC.
type ruled struct {
	rlsv3.RateLimitServiceClient
	rules    *Rules
	registry *prometheus.Registry
}

func serveRules(t *testing.T, l *Limiter, s RuleSettings, text string) ruled {
	t.Helper()
	registry := prometheus.NewRegistry()
	rules, err := NewRules(s, registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.Set(tableOf(t, text)); err != nil {
		t.Fatal(err)
	}
	service := NewService(l, func(string) *config.Limit { return nil })
	service.Rules = rules
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return ruled{rlsv3.NewRateLimitServiceClient(conn), rules, registry}
}

// inDomain is a request in a domain of rules.
func inDomain(domain string, descriptors ...*commonv3.RateLimitDescriptor) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: domain, Descriptors: descriptors}
}

// withHits is a descriptor with hits of its own.
func withHits(hits uint64, entries ...string) *commonv3.RateLimitDescriptor {
	d := descriptor(entries...)
	d.HitsAddend = wrapperspb.UInt64(hits)
	return d
}

// said is the overall code and each status of an answer, as "OK: OK 4, OVER_LIMIT 0, OK -".
func said(r *rlsv3.RateLimitResponse) string {
	var all []string
	for _, s := range r.GetStatuses() {
		left := "-"
		if s.GetCurrentLimit() != nil {
			left = fmt.Sprint(s.GetLimitRemaining())
		}
		all = append(all, s.GetCode().String()+" "+left)
	}
	return r.GetOverallCode().String() + ": " + strings.Join(all, ", ")
}

// onEachRuleStore runs a story on both stores, early in a window of an hour.
func onEachRuleStore(t *testing.T, s RuleSettings, text string, story func(t *testing.T, c ruled)) {
	t.Helper()
	server := testenv.StartRedis(t)
	for name, settings := range map[string]Settings{"memory": {}, "redis": {RedisURL: server.URL(), RedisTimeout: 10 * time.Second}} {
		t.Run(name, func(t *testing.T) { story(t, serveRules(t, open(t, settings, nil), s, text)) })
	}
}

// TestRuleStories: requests of a file's domain, in order, and what is said to each.
func TestRuleStories(t *testing.T) {
	type step struct {
		request *rlsv3.RateLimitRequest
		want    string
	}
	d, hit := descriptor, withHits
	back := func(hits uint64, entries ...string) *commonv3.RateLimitDescriptor {
		given := withHits(hits, entries...)
		given.IsNegativeHits = true
		return given
	}
	own := func(requests uint32, unit typev3.RateLimitUnit, entries ...string) *commonv3.RateLimitDescriptor {
		given := descriptor(entries...)
		given.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: requests, Unit: unit}
		return given
	}
	ask := func(want string, descriptors ...*commonv3.RateLimitDescriptor) step {
		return step{inDomain("shop", descriptors...), want}
	}
	for name, story := range map[string]struct {
		rules string
		steps []step
	}{
		"a window counts what it denies": {`[{key: a, rate_limit: {unit: year, requests_per_unit: 5}}]`, []step{
			ask("OK: OK 4", d("a=x")),
			ask("OK: OK 1", hit(3, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(2, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", d("a=x")),
			ask("OK: OK 4", d("a=y")),
		}},
		"a bucket does not": {`[{key: a, rate_limit: {unit: year, requests_per_unit: 5, algorithm: token_bucket}}]`, []step{
			ask("OK: OK 1", hit(4, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(2, "a=x")),
			ask("OK: OK 0", d("a=x")),
		}},
		"nor a sliding window, nor a log": {`
  - {key: w, rate_limit: {unit: year, requests_per_unit: 5, algorithm: sliding_window}}
  - {key: l, rate_limit: {unit: year, requests_per_unit: 5, algorithm: sliding_log}}
`, []step{
			ask("OK: OK 1, OK 1", hit(4, "w=x"), hit(4, "l=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0, OVER_LIMIT 0", hit(2, "w=x"), hit(2, "l=x")),
			ask("OK: OK 0, OK 0", d("w=x"), d("l=x")),
		}},
		"the request's hits, and none": {`[{key: a, rate_limit: {unit: year, requests_per_unit: 5}}]`, []step{
			{&rlsv3.RateLimitRequest{Domain: "shop", HitsAddend: 2, Descriptors: inDomain("", d("a=x"), hit(1, "a=y")).Descriptors}, "OK: OK 3, OK 4"},
			ask("OK: OK 3", hit(0, "a=x")),
			ask("OK: OK 0", hit(3, "a=x")),
			ask("OK: OK 0", hit(0, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", d("a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(0, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(math.MaxUint64, "a=x")),
		}},
		"hits are given back": {`[{key: a, rate_limit: {unit: year, requests_per_unit: 5}}]`, []step{
			ask("OK: OK 5", back(2, "a=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(7, "a=x")),
			ask("OK: OK 2", back(4, "a=x")),
			ask("OK: OK 1", d("a=x")),
			ask("OK: OK 5", back(100, "a=x")),
		}},
		"each is charged by itself": {`
  - {key: a, rate_limit: {unit: year, requests_per_unit: 1}}
  - {key: b, rate_limit: {unit: year, requests_per_unit: 5}}
`, []step{
			ask("OK: OK 0, OK 4", d("a=x"), d("b=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0, OK 3", d("a=x"), d("b=x")),
			ask("OK: OK 2, OK -", d("b=x"), d("c=x")),
			ask("OK: OK 1, OK 0", d("b=x"), d("b=x")),
		}},
		"none, and all": {`
  - {key: none, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: all, rate_limit: {unlimited: true}}
`, []step{
			ask("OVER_LIMIT: OVER_LIMIT 0", d("none=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", hit(0, "none=x")),
			ask("OK: OK -", d("all=x")),
			ask("OK: OK -", descriptor()),
		}},
		"in shadow": {`[{key: a, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 1}}, {key: b, rate_limit: {unit: year, requests_per_unit: 2}}]`, []step{
			ask("OK: OK 0, OK 1", d("a=x"), d("b=x")),
			ask("OK: OK 0, OK 0", d("a=x"), d("b=x")),
			ask("OVER_LIMIT: OK 0, OVER_LIMIT 0", d("a=x"), d("b=x")),
		}},
		"what is replaced is not counted": {`
  - {key: a, rate_limit: {unit: year, requests_per_unit: 3, name: general}}
  - {key: b, rate_limit: {unit: year, requests_per_unit: 5, replaces: [{name: general}, {name: nobody}]}}
`, []step{
			ask("OK: OK 2", d("a=x")),
			ask("OK: OK -, OK 4", d("a=x"), d("b=x")),
			ask("OK: OK 3, OK -", d("b=x"), d("a=x")),
			ask("OK: OK 1", d("a=x")),
		}},
		"what is unlimited replaces, and is not replaced": {`
  - {key: a, rate_limit: {unit: year, requests_per_unit: 3, name: general}}
  - {key: b, rate_limit: {unlimited: true, name: general, replaces: [{name: general2}]}}
  - {key: c, rate_limit: {unit: year, requests_per_unit: 3, name: general2, replaces: [{name: general}]}}
`, []step{
			ask("OK: OK -, OK -, OK 2", d("b=x"), d("c=x"), d("a=y")),
			ask("OK: OK -, OK 2, OK -", d("b=x"), d("a=x"), d("a=x")),
		}[:0]},
		"one count for all that match": {`
  - {key: f, value: "in/*", share_threshold: true, rate_limit: {unit: year, requests_per_unit: 3}}
  - {key: g, value: "in/*", rate_limit: {unit: year, requests_per_unit: 3}}
`, []step{
			ask("OK: OK 2, OK 2", d("f=in/a"), d("g=in/a")),
			ask("OK: OK 1, OK 2", d("f=in/b"), d("g=in/b")),
			ask("OK: OK 0", d("f=in/*")),
			ask("OVER_LIMIT: OVER_LIMIT 0, OK 1", d("f=in/c"), d("g=in/b")),
		}},
		"a limit that the request brings": {`[{key: a, rate_limit: {unit: day, requests_per_unit: 3}}, {key: b, rate_limit: {unit: year, requests_per_unit: 9}}]`, []step{
			ask("OK: OK 6", own(7, typev3.RateLimitUnit_YEAR, "b=x")),
			ask("OK: OK 7", d("b=x")), // the two count together
			ask("OVER_LIMIT: OVER_LIMIT 0", own(2, typev3.RateLimitUnit_YEAR, "b=x")),
			ask("OK: OK 6", own(7, typev3.RateLimitUnit_MONTH, "b=x")), // but not in another unit
			ask("OK: OK 1", own(2, typev3.RateLimitUnit_YEAR, "nothing=x", "matches=y")),
			ask("OVER_LIMIT: OVER_LIMIT 0", own(0, typev3.RateLimitUnit_YEAR, "nothing=x")),
			{inDomain("unknown", own(1, typev3.RateLimitUnit_YEAR, "b=x")), "OK: OK -"},
		}},
		"a domain that is not there": {`[{key: a, rate_limit: {unit: day, requests_per_unit: 3}}]`, []step{
			{inDomain("unknown", d("a=x")), "OK: OK -"},
		}},
		"one quota with room is enough": {`
  - {key: q, value: one, quota_mode: true, rate_limit: {unit: year, requests_per_unit: 1}}
  - {key: q, value: two, quota_mode: true, rate_limit: {unit: year, requests_per_unit: 2}}
  - {key: hard, rate_limit: {unit: year, requests_per_unit: 4}}
`, []step{
			ask("OK: OK 0, OK 1, OK 3", d("q=one"), d("q=two"), d("hard=x")),
			ask("OK: OVER_LIMIT 0, OK 0, OK 2", d("q=one"), d("q=two"), d("hard=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0, OVER_LIMIT 0, OK 1", d("q=one"), d("q=two"), d("hard=x")),
			ask("OVER_LIMIT: OVER_LIMIT 0", d("q=one")),
		}},
		"underscores join nothing": {`
  - {key: a, descriptors: [{key: b, rate_limit: {unit: year, requests_per_unit: 3}}]}
`, []step{
			ask("OK: OK 2", d("a=x_b_y", "b=z")),
			ask("OK: OK 2", d("a=x", "b=y_b_z")),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachRuleStore(t, ruleDefaults, "domain: shop\ndescriptors: "+story.rules, func(t *testing.T, c ruled) {
				for i, s := range story.steps {
					got, err := c.ShouldRateLimit(context.Background(), s.request)
					if err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
					if said(got) != s.want {
						t.Errorf("step %d: got  %s\nwant %s", i, said(got), s.want)
					}
					if h := headersOf(got); h != "" {
						t.Errorf("step %d: headers %q without being asked for", i, h)
					}
				}
			})
		})
	}
}

// TestRuleNumbers: the current limit, what is left and until when.
func TestRuleNumbers(t *testing.T) {
	onEachRuleStore(t, ruleDefaults, `
domain: shop
descriptors:
  - {key: a, rate_limit: {unit: week, requests_per_unit: 5, name: weekly}}
  - {key: none, rate_limit: {unit: month, requests_per_unit: 0}}
  - {key: all, rate_limit: {unlimited: true}}
`, func(t *testing.T, c ruled) {
		seconds := func(unit int64) int64 { return unit - time.Now().Unix()%unit }
		const week, month = 7 * 24 * 3600, 30 * 24 * 3600
		before := []int64{seconds(week), seconds(week), seconds(month)}
		got := ask(t, c, inDomain("shop", descriptor("a=x"), withHits(0, "a=new"), descriptor("none=x"), descriptor("all=x")))
		for i, want := range []*rlsv3.RateLimitResponse_RateLimit{
			{Name: "weekly", RequestsPerUnit: 5, Unit: rlsv3.RateLimitResponse_RateLimit_WEEK},
			{Name: "weekly", RequestsPerUnit: 5, Unit: rlsv3.RateLimitResponse_RateLimit_WEEK},
			{Unit: rlsv3.RateLimitResponse_RateLimit_MONTH},
		} {
			s := got.GetStatuses()[i]
			limit := s.GetCurrentLimit()
			if limit.GetName() != want.GetName() || limit.GetRequestsPerUnit() != want.GetRequestsPerUnit() || limit.GetUnit() != want.GetUnit() {
				t.Errorf("status %d: limit %v, want %v", i, limit, want)
			}
			if reset := s.GetDurationUntilReset().GetSeconds(); reset > before[i] || reset < before[i]-patienceSeconds {
				t.Errorf("status %d: reset in %d s, want %d", i, reset, before[i])
			}
		}
		if s := got.GetStatuses()[3]; s.GetLimitRemaining() != math.MaxUint32 || s.GetCurrentLimit() != nil || s.GetDurationUntilReset() != nil {
			t.Errorf("unlimited: got %v, want all the requests there are and no limit", s)
		}
	})
}

// patienceSeconds are more than an answer takes on a busy machine.
const patienceSeconds = 30

func TestRuleHeaders(t *testing.T) {
	s := ruleDefaults
	s.Headers, s.LimitHeader, s.RemainingHeader, s.ResetHeader = true, "X-L", "X-R", "X-W"
	c := serveRules(t, open(t, Settings{}, nil), s, `
domain: shop
descriptors:
  - {key: a, rate_limit: {unit: year, requests_per_unit: 5}}
  - {key: b, rate_limit: {unit: year, requests_per_unit: 3}}
  - {key: q, quota_mode: true, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: s, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: all, rate_limit: {unlimited: true}}
`)
	d := descriptor
	for _, step := range []struct {
		request *rlsv3.RateLimitRequest
		want    string // up to the reset
	}{
		{inDomain("shop", d("a=x")), "X-L: 5, X-R: 4"},
		{inDomain("shop", d("a=x"), d("b=x"), d("all=x"), d("no=x")), "X-L: 3, X-R: 2"}, // the one with less left
		{inDomain("shop", d("a=x"), d("b=x")), "X-L: 3, X-R: 1"},
		{inDomain("shop", withHits(9, "a=y"), d("b=y")), "X-L: 5, X-R: 0"}, // the one that denies
		{inDomain("shop", withHits(9, "a=y"), withHits(9, "b=y")), "X-L: 3, X-R: 0"},
		{inDomain("shop", d("a=z"), d("q=x")), "X-L: 0, X-R: 0"},
		{inDomain("shop", d("a=z"), d("s=x")), "X-L: 0, X-R: 0"},
		{inDomain("shop", d("all=x"), d("no=x")), ""},
		{inDomain("none", d("a=x")), ""},
	} {
		got := headersOf(ask(t, c, step.request))
		before, reset, _ := strings.Cut(got, ", X-W: ")
		if before != step.want || (reset == "") != (step.want == "") {
			t.Errorf("%v: headers %q, want %q and a reset", step.request, got, step.want)
		}
	}
}

func TestRuleDynamicMetadata(t *testing.T) {
	s := ruleDefaults
	s.DynamicMetadata = true
	c := serveRules(t, open(t, Settings{}, nil), s, `
domain: shop
descriptors:
  - key: a
    rate_limit: {unit: year, requests_per_unit: 1}
    metadata: {team: {name: one, rank: 1}, list: [1]}
  - key: b
    detailed_metric: true
    rate_limit: {unit: year, requests_per_unit: 100}
    metadata: {team: {name: two, lead: ann}, list: [2], more: true}
`)
	b := withHits(2, "b=y", "")
	b.Entries = b.Entries[:1]
	b.Limit = nil
	r := inDomain("shop", descriptor("a=x"), b)
	r.HitsAddend = 1
	for i, want := range []string{
		`{"domain":"shop","hitsAddend":1,"descriptors":[{"entries":["a=x"]},{"entries":["b=y"],"hitsAddend":2}],
			"metadata":{"team":{"name":"one","rank":1,"lead":"ann"},"list":[1],"more":true}}`,
		`{"domain":"shop","hitsAddend":1,"descriptors":[{"entries":["a=x"]},{"entries":["b=y"],"hitsAddend":2}],
			"metadata":{"team":{"name":"two","lead":"ann"},"list":[2],"more":true}}`, // a does not pass
	} {
		got, err := protojson.Marshal(ask(t, c, r).GetDynamicMetadata())
		if err != nil || !sameJSON(t, string(got), want) {
			t.Errorf("request %d: got %s (%v)\nwant %s", i, got, err, want)
		}
	}
}

// TestRulesInShadow: all of them, by a setting; what would have been is told in statuses.
func TestRulesInShadow(t *testing.T) {
	s := ruleDefaults
	s.ShadowMode = true
	c := serveRules(t, open(t, Settings{}, nil), s, "domain: d\ndescriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: 0}}]")
	if got := said(ask(t, c, inDomain("d", descriptor("a=x")))); got != "OK: OVER_LIMIT 0" {
		t.Errorf("got %s", got)
	}
	if got := testutil.ToFloat64(c.rules.metrics.shadowed); got != 1 {
		t.Errorf("%v requests passed by the setting, want 1", got)
	}
}

// TestRulesInQuotaMode: all of them, by a setting; what has no limit is a quota with room.
func TestRulesInQuotaMode(t *testing.T) {
	s := ruleDefaults
	s.QuotaMode = true
	c := serveRules(t, open(t, Settings{}, nil), s, "domain: d\ndescriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: 0}}]")
	for want, descriptors := range map[string][]*commonv3.RateLimitDescriptor{
		"OVER_LIMIT: OVER_LIMIT 0": {descriptor("a=x")},
		"OK: OVER_LIMIT 0, OK -":   {descriptor("a=x"), descriptor("b=x")},
	} {
		if got := said(ask(t, c, inDomain("d", descriptors...))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRuleMetrics(t *testing.T) {
	c := serveRules(t, open(t, Settings{}, nil), ruleDefaults, `
domain: d
descriptors:
  - {key: a, rate_limit: {unit: year, requests_per_unit: 10}}
  - {key: s, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: all, rate_limit: {unlimited: true}}
  - {key: told, value_to_metric: true, rate_limit: {unit: year, requests_per_unit: 10}}
`)
	for _, hits := range []uint64{8, 1, 1, 3} {
		ask(t, c, inDomain("d", withHits(hits, "a=x")))
	}
	ask(t, c, inDomain("d", descriptor("s=x"), descriptor("all=x"), descriptor("b=x")))
	ask(t, c, inDomain("none", descriptor("a=x")))
	for _, n := range []string{"1", "2", "1"} {
		ask(t, c, inDomain("d", descriptor("told="+n)))
	}
	const want = `
# HELP gatewright_ratelimit_rule_hits_total Hits by domain and rule of the files of envoyproxy/ratelimit, and what became of them: within_limit, near_limit, over_limit, shadow_mode (over it, and let pass) or store_allowed (uncounted: Redis is down). Their sum is all.
# TYPE gatewright_ratelimit_rule_hits_total counter
gatewright_ratelimit_rule_hits_total{domain="d",result="near_limit",rule="a"} 2
gatewright_ratelimit_rule_hits_total{domain="d",result="over_limit",rule="a"} 3
gatewright_ratelimit_rule_hits_total{domain="d",result="shadow_mode",rule="s"} 1
gatewright_ratelimit_rule_hits_total{domain="d",result="within_limit",rule="a"} 8
gatewright_ratelimit_rule_hits_total{domain="d",result="within_limit",rule="all"} 1
gatewright_ratelimit_rule_hits_total{domain="d",result="within_limit",rule="told_1"} 2
gatewright_ratelimit_rule_hits_total{domain="d",result="within_limit",rule="told_2"} 1
# HELP gatewright_ratelimit_unknown_domain_total Requests for a domain that no file has. They have no limit.
# TYPE gatewright_ratelimit_unknown_domain_total counter
gatewright_ratelimit_unknown_domain_total 1
`
	err := testutil.GatherAndCompare(c.registry, strings.NewReader(want), "gatewright_ratelimit_rule_hits_total", "gatewright_ratelimit_unknown_domain_total")
	if err != nil {
		t.Error(err)
	}
}

// TestToldPathsAreBounded: a flood of values makes no flood of series.
func TestToldPathsAreBounded(t *testing.T) {
	c := serveRules(t, open(t, Settings{}, nil), ruleDefaults,
		"domain: d\ndescriptors: [{key: a, detailed_metric: true, rate_limit: {unit: year, requests_per_unit: 10}}]")
	for i := range maxToldPaths + 50 {
		ask(t, c, inDomain("d", descriptor(fmt.Sprintf("a=%d", i))))
	}
	if n := testutil.CollectAndCount(c.rules.metrics.hits); n != maxToldPaths+1 {
		t.Errorf("%d series, want %d", n, maxToldPaths+1)
	}
	if got := testutil.ToFloat64(c.rules.metrics.hits.WithLabelValues("d", "a", resultWithin)); got != 50 {
		t.Errorf("%v hits under the rule's own path, want 50", got)
	}
}

// TestRulesRefuse: what no answer can be given to is an error.
func TestRulesRefuse(t *testing.T) {
	c := serveRules(t, open(t, Settings{}, nil), ruleDefaults, `
domain: d
descriptors:
  - {key: a, rate_limit: {unit: year, requests_per_unit: 10}}
  - {key: w, rate_limit: {unit: year, requests_per_unit: 10, algorithm: sliding_window}}
`)
	many := inDomain("d")
	for range maxDescriptors + 1 {
		many.Descriptors = append(many.Descriptors, descriptor("a=x"))
	}
	override := descriptor("a=x")
	override.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 1}
	back := descriptor("w=x")
	back.IsNegativeHits = true
	for name, tc := range map[string]struct {
		request *rlsv3.RateLimitRequest
		says    string
	}{
		"hits back":      {inDomain("d", descriptor("a=x"), back), "descriptor 1: hits are given back to fixed windows and token buckets alone"},
		"no domain":      {inDomain("", descriptor("a=x")), "no domain"},
		"no descriptor":  {inDomain("d"), "no descriptor"},
		"too many":       {many, "at most 64"},
		"no unit":        {inDomain("d", descriptor("a=x"), override), "descriptor 1: the unit of its limit is UNKNOWN"},
		"the own domain": {inDomain(Domain, descriptor("a=x")), "limit=NAME"},
	} {
		if _, err := c.ShouldRateLimit(context.Background(), tc.request); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %s", name, err, tc.says)
		}
	}
	if got := said(ask(t, c, inDomain("d", descriptor("a=x")))); got != "OK: OK 9" {
		t.Errorf("got %s: what was refused has charged nothing", got)
	}
}

// TestRulesWithoutTheirStore: by setting, counted here, let pass, or an error.
func TestRulesWithoutTheirStore(t *testing.T) {
	const text = "domain: d\ndescriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: 1}}, {key: all, rate_limit: {unlimited: true}}]"
	for f, want := range map[config.OnStoreFailure][2]string{
		config.FailLocal: {"OK: OK 0", "OVER_LIMIT: OVER_LIMIT 0"},
		config.FailAllow: {"OK: OK -", "OK: OK -"},
		config.FailDeny:  {"Unavailable", "Unavailable"},
	} {
		s := ruleDefaults
		s.OnStoreFailure = f
		c := serveRules(t, open(t, unreachable(t), nil), s, text)
		for i, want := range want {
			got, err := c.ShouldRateLimit(context.Background(), inDomain("d", descriptor("a=x")))
			what := said(got)
			if err != nil {
				what = status.Code(err).String()
			}
			if what != want {
				t.Errorf("%s: request %d: got %s, want %s", f, i, what, want)
			}
		}
		if got := said(ask(t, c, inDomain("d", descriptor("all=x")))); got != "OK: OK -" {
			t.Errorf("%s: got %s for what is not counted", f, got)
		}
	}
}

// TestRulesChange: counts outlive a change of what they are held to, and a table that
// cannot be counted changes nothing.
func TestRulesChange(t *testing.T) {
	const text = "domain: d\ndescriptors: [{key: a, rate_limit: {unit: year, requests_per_unit: %d}}]"
	c := serveRules(t, open(t, Settings{}, nil), ruleDefaults, fmt.Sprintf(text, 3))
	ask(t, c, inDomain("d", withHits(2, "a=x")))
	if err := c.rules.Set(tableOf(t, fmt.Sprintf(text, 5))); err != nil {
		t.Fatal(err)
	}
	if got := said(ask(t, c, inDomain("d", descriptor("a=x")))); got != "OK: OK 2" {
		t.Errorf("got %s, want 2 left of 5", got)
	}
}

// TestRulesBeforeTheyAreSet: nothing is let pass for want of rules.
func TestRulesBeforeTheyAreSet(t *testing.T) {
	rules, err := NewRules(ruleDefaults, nil)
	if err != nil {
		t.Fatal(err)
	}
	service := NewService(open(t, Settings{}, nil), func(string) *config.Limit { return nil })
	service.Rules = rules
	if _, err := service.ShouldRateLimit(context.Background(), inDomain("d", descriptor("a=x"))); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}

// No request, however odd, makes the service panic, and each descriptor has a status.
func FuzzRules(f *testing.F) {
	l, err := Open(Settings{}, quiet, nil)
	if err != nil {
		f.Fatal(err)
	}
	s := ruleDefaults
	s.Headers, s.DynamicMetadata = true, true
	rules, err := NewRules(s, nil)
	if err != nil {
		f.Fatal(err)
	}
	err = rules.Set(tableOf(f, `
domain: d
descriptors:
  - key: a
    detailed_metric: true
    rate_limit: {unit: year, requests_per_unit: 10}
    metadata: {m: {n: 1}}
    descriptors: [{key: b, value: "x*", share_threshold: true, rate_limit: {unit: day, requests_per_unit: 1, algorithm: token_bucket}}]
`))
	if err != nil {
		f.Fatal(err)
	}
	service := NewService(l, func(string) *config.Limit { return nil })
	service.Rules = rules
	f.Add("d", "a", "1", "b", "xy", uint32(0), uint64(0), uint32(0), int32(0))
	f.Add("d", "a", "\xff", "", "", uint32(1), uint64(math.MaxUint64), uint32(3), int32(6))
	f.Add("", "", "", "", "", uint32(1), uint64(1), uint32(1), int32(99))
	f.Fuzz(func(t *testing.T, domain, key1, value1, key2, value2 string, hits uint32, own uint64, requests uint32, unit int32) {
		d := &commonv3.RateLimitDescriptor{
			Entries:        []*commonv3.RateLimitDescriptor_Entry{{Key: key1, Value: value1}, {Key: key2, Value: value2}},
			IsNegativeHits: own%2 == 1,
		}
		if key2 == "" {
			d.Entries = d.Entries[:1]
		}
		if own > 0 {
			d.HitsAddend = wrapperspb.UInt64(own)
		}
		if requests > 0 {
			d.Limit = &commonv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: requests, Unit: typev3.RateLimitUnit(unit)}
		}
		r := inDomain(domain, d, d, &commonv3.RateLimitDescriptor{}, nil)
		r.HitsAddend = hits
		got, err := service.ShouldRateLimit(context.Background(), r)
		if (err == nil) != (got != nil) || got != nil && len(got.GetStatuses()) != 4 {
			t.Errorf("got %v and %v", got, err)
		}
		if _, err := service.Answer(context.Background(), []byte(value1), nil); err == nil && value1 == "" {
			t.Error("an empty request was answered")
		}
	})
}

func TestRuleSettings(t *testing.T) {
	for want, change := range map[string]func(*RuleSettings){
		"GATEWRIGHT_RATELIMIT_LIMIT_RESET_HEADER=a b: must be the name of a header": func(s *RuleSettings) { s.ResetHeader = "a b" },
		"GATEWRIGHT_RATELIMIT_LIMIT_LIMIT_HEADER=: must be the name of a header":    func(s *RuleSettings) { s.LimitHeader = "" },
		"GATEWRIGHT_RATELIMIT_NEAR_LIMIT_RATIO=1.5: must be from 0 to 1":            func(s *RuleSettings) { s.NearLimitRatio = 1.5 },
		"GATEWRIGHT_RATELIMIT_NEAR_LIMIT_RATIO=NaN: must be from 0 to 1":            func(s *RuleSettings) { s.NearLimitRatio = math.NaN() },
		"GATEWRIGHT_RATELIMIT_ON_STORE_FAILURE=no: must be local, allow or deny":    func(s *RuleSettings) { s.OnStoreFailure = "no" },
	} {
		s := ruleDefaults
		change(&s)
		if _, err := NewRules(s, nil); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var left, right any
	if err := errors.Join(json.Unmarshal([]byte(a), &left), json.Unmarshal([]byte(b), &right)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(left, right)
}
