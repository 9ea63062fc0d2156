package authz

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
)

// TestRulesThatCount: values of rules for callers of each kind; and one that fails
// is empty, and counted.
func TestRulesThatCount(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Registerer = reg })
	limits := []*config.Limit{limitBy("l",
		"method", "rule:request.path.split('/')[1]", // no such function: it cannot be compiled
		"rule:request.host + request.path", `rule:request.headers["x-foo"]`, "rule:caller.user + caller.key", "rule:caller.plan == ''", `rule:string(claims.level)`, `rule:request.query.q[0]`)}
	private := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}, {APIKey: partnersKey()}}, Limits: limits})
	for name, c := range map[string]struct {
		path   string
		method string
		lines  []line
		want   []string
	}{
		"a token":         {"/users?q=1", "GET", []line{withToken(rsaSigner().token(map[string]any{"level": 7})), {"x-foo", "a"}}, []string{"GET", "", "h/users", "a", "alice", "true", "7", "1"}},
		"a key":           {"/users?q=%41", "POST", []line{withKey("gw_good"), {"x-foo", "a"}, {"X-Foo", "b"}}, []string{"POST", "", "h/users", "a,b", "bobk1", "true", "", "A"}},
		"a made-up verb":  {"/users?q=%ff", "PROPFIND", []line{withKey("gw_good"), {"x-foo", "\xff"}}, []string{"", "", "h/users", "\uFFFD", "bobk1", "true", "", "\uFFFD"}},
		"lower case":      {"/\xff", "get", []line{withKey("gw_good")}, []string{"", "", "h/\uFFFD", "", "bobk1", "true", "", ""}},
		"a query of junk": {"/?q=%zz", "PATCH", []line{withKey("gw_good")}, []string{"PATCH", "", "h/", "", "bobk1", "true", "", ""}},
	} {
		before := len(g.limiter.taken)
		m := ask(private, c.path, c.lines...)
		m.Attributes.Request.Http.Method, m.Attributes.Request.Http.Host = c.method, "H:8080"
		if r := g.server.judge(t.Context(), newRequest(m)); r.Reason != ReasonAllowed {
			t.Fatalf("%s: %s", name, r.Reason)
		}
		if got := g.limiter.taken[before][0].Key; !slices.Equal(got, c.want) {
			t.Errorf("%s: counted by\n%q, want\n%q", name, got, c.want)
		}
	}
	if n := testutil.ToFloat64(g.server.metrics.rules.WithLabelValues("l")); n != 5+4+2+2 {
		t.Errorf("%v failures are counted", n)
	}
}

// TestCosts: what a request takes, by number, header and rule, with junk in them.
func TestCosts(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	costs := []*config.Cost{
		nil, {Number: 5}, {Header: "X-Cost", Default: 3, Max: 50}, {Header: "X-Cost"}, {Rule: `int(request.query.n[0])`, Default: 2, Max: 10}, {Rule: `size(caller.user)`},
	}
	var limits []*config.Limit
	for i, c := range costs {
		l := limitBy(string(rune('a'+i)), "clientIP")
		l.Cost = c
		limits = append(limits, l)
	}
	anyone := g.publish(&Policy{Limits: limits})
	caller := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: limits})
	token := withToken(rsaSigner().token(nil))
	for name, c := range map[string]struct {
		policy, path string
		lines        []line
		want         []int64
	}{
		"nothing said":       {anyone, "/", nil, []int64{1, 5, 3, 1, 2, NoCost}},
		"a number":           {anyone, "/?n=7", []line{{"x-cost", "7"}}, []int64{1, 5, 7, 7, 7, NoCost}},
		"of the caller":      {caller, "/?n=7", []line{{"x-cost", "7"}, token}, []int64{1, 5, 7, 7, 7, 5}},
		"too much":           {anyone, "/?n=11", []line{{"x-cost", "1000001"}}, []int64{1, 5, 50, 1_000_000, 10, NoCost}},
		"more than a number": {anyone, "/?n=99999999999999999999", []line{{"x-cost", "99999999999999999999999999"}}, []int64{1, 5, 50, 1_000_000, 2, NoCost}},
		"nothing":            {anyone, "/?n=0", []line{{"x-cost", "0"}}, []int64{1, 5, 3, 1, NoCost, NoCost}},
		"less than nothing":  {anyone, "/?n=-1", []line{{"x-cost", "-1"}}, []int64{1, 5, 3, 1, 2, NoCost}},
		"empty":              {anyone, "/?n=", []line{{"x-cost", ""}}, []int64{1, 5, 3, 1, 2, NoCost}},
		"with zeros":         {anyone, "/?n=007", []line{{"x-cost", "007"}}, []int64{1, 5, 7, 7, 7, NoCost}},
		"another notation":   {anyone, "/?n=1e1", []line{{"x-cost", "1e1"}}, []int64{1, 5, 3, 1, 2, NoCost}},
		"a sign":             {anyone, "/?n=%2B7", []line{{"x-cost", "+7"}}, []int64{1, 5, 3, 1, 7, NoCost}},
		"in other digits":    {anyone, "/?n=7", []line{{"x-cost", "٧"}}, []int64{1, 5, 3, 1, 7, NoCost}},
		"a list":             {anyone, "/?n=7", []line{{"x-cost", "7, 8"}}, []int64{1, 5, 3, 1, 7, NoCost}},
		"a fraction":         {anyone, "/?n=7.5", []line{{"x-cost", "7.5"}}, []int64{1, 5, 3, 1, 2, NoCost}},
	} {
		before := len(g.limiter.taken)
		if r := g.check(t, ask(c.policy, c.path, c.lines...)); !allows(r) {
			t.Fatalf("%s: %s", name, reasonOf(r))
		}
		var got []int64
		for _, charge := range g.limiter.taken[before] {
			got = append(got, charge.Cost)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: costs %v, want %v", name, got, c.want)
		}
	}
	before := len(g.limiter.taken)
	for want, lines := range map[Reason][]line{
		ReasonDuplicateHeader: {{"x-cost", "7"}, {"X-Cost", "7"}},
		ReasonMalformedHeader: {{"x-cost", "7\xff"}},
	} {
		if r := g.check(t, ask(anyone, "/", lines...)); reasonOf(r) != want || statusOf(r) != 400 {
			t.Errorf("%q: %d %s, want %s", lines, statusOf(r), reasonOf(r), want)
		}
	}
	if r := g.check(t, askJoined(anyone, "/", line{"x-cost", "7"}, line{"x-cost", "8"})); reasonOf(r) != ReasonDuplicateHeader {
		t.Errorf("joined: %s", reasonOf(r))
	}
	if len(g.limiter.taken) != before {
		t.Error("a doubtful cost was charged")
	}
}

// TestCostsInFilter: what Envoy's filter is told of costs, where they are each
// request's own, and of addresses, of which each limit takes its own prefix.
func TestCostsInFilter(t *testing.T) {
	g := newGate(t, nil, func(o *Options) { o.ClientIPKey = func(string, int) string { return "cut" } })
	limits := []*config.Limit{limitBy("plain", "clientIP"), limitBy("number", "clientIP"), limitBy("header", "clientIP"), limitBy("free", "route")}
	limits[1].Cost, limits[2].Cost, limits[3].Cost = &config.Cost{Number: 4}, &config.Cost{Header: "X-Cost"}, &config.Cost{Rule: "0"}
	hash := g.publish(&Policy{Limits: limits, LimitsInFilter: true})
	r := g.check(t, ask(hash, "/", line{"x-cost", "9"}))
	data := r.GetDynamicMetadata().AsMap()
	costs, _ := data["limit_costs"].(map[string]any)
	if len(costs) != 2 || costs["header"] != "9" || costs["free"] != "0" {
		t.Errorf("metadata %v", data)
	}
	if keys, _ := data["limit_keys"].(map[string]any); keys["clientIP"] != "192.0.2.7" {
		t.Errorf("metadata %v", data)
	}
}
