package authz

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

func limitBy(name string, parts ...config.KeyPart) *config.Limit {
	return &config.Limit{Name: name, Key: parts, TokenBucket: &config.TokenBucket{Capacity: 1, Refill: config.Rate{Events: 1, Per: time.Second}}}
}

// everyPart has each kind of part, in an order of its own.
func everyPart() *config.Limit {
	return limitBy("all", "claim:level", "user", "tenant", "apiKey", "clientIP", "route", "header:X-Foo", "claim:none", "claim:list")
}

func TestWhatLimitsCountBy(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
		o.ClientIPKey = func(address string, bits int) string { return fmt.Sprintf("net(%s/%d)", address, bits) }
	})
	limits := []*config.Limit{everyPart(), limitBy("ip", "clientIP")}
	private := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}, {APIKey: partnersKey()}}, Limits: limits})
	public := g.publish(&Policy{Limits: limits})
	foo := line{"x-foo", "Grüße"}
	for name, c := range map[string]struct {
		policy string
		lines  []line
		want   []string
	}{
		"a token": {private, []line{foo, withToken(rsaSigner().token(map[string]any{"level": 7.50, "list": []any{"a", 1}}))},
			[]string{"7.5", "main:alice", "acme", "", "net(192.0.2.7/64)", "get-users", "Grüße", "", `["a",1]`}},
		"a token without sub and tenant": {private, []line{withToken(rsaSigner().token(map[string]any{"sub": nil, "tenant": nil}))},
			[]string{"", "", "", "", "net(192.0.2.7/64)", "get-users", "", "", ""}},
		"a key":               {private, []line{withKey("gw_good")}, []string{"", "partners:k1", "globex", "k1", "net(192.0.2.7/64)", "get-users", "", "", ""}},
		"nobody":              {public, nil, []string{"", "", "", "", "net(192.0.2.7/64)", "get-users", "", "", ""}},
		"a token unlooked at": {public, []line{withToken(rsaSigner().token(nil))}, []string{"", "", "", "", "net(192.0.2.7/64)", "get-users", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.limiter.taken)
			r := g.check(t, ask(c.policy, "/", c.lines...))
			if !allows(r) {
				t.Fatal(reasonOf(r))
			}
			taken := g.limiter.taken[before:]
			if len(taken) != 1 || len(taken[0]) != 2 || taken[0][0].Limit.Name != "all" || taken[0][1].Limit.Name != "ip" {
				t.Fatalf("charged %v", taken)
			}
			if got := taken[0][0].Key; !slices.Equal(got, c.want) {
				t.Errorf("counted by\n%q, want\n%q", got, c.want)
			}
			if got := taken[0][1].Key; !slices.Equal(got, []string{"net(192.0.2.7/64)"}) {
				t.Errorf("counted by %q", got)
			}
		})
	}
}

// The same sub of two issuers is two callers.
func TestUsersOfTwoIssuersAreTwo(t *testing.T) {
	main, other := twoIssuers()
	g := newGate(t, keySetsFor(t, main, other), nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: main}, {JWT: other}}, Limits: []*config.Limit{limitBy("u", "user")}})
	g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil))))
	g.check(t, ask(hash, "/", withToken(otherRSA().token(map[string]any{"iss": other.Issuer}))))
	if a, b := g.limiter.taken[0][0].Key[0], g.limiter.taken[1][0].Key[0]; a != "main:alice" || b != "other:alice" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestHeadersThatCount(t *testing.T) {
	g := newGate(t, nil, nil)
	hash := g.publish(&Policy{Limits: []*config.Limit{limitBy("h", "header:X-Foo")}})
	for name, c := range map[string]struct {
		lines  []line
		joined bool
		want   Reason
	}{
		"one":                     {[]line{{"x-foo", "a"}}, false, ReasonAllowed},
		"none":                    {nil, false, ReasonAllowed},
		"empty":                   {[]line{{"x-foo", ""}}, false, ReasonAllowed},
		"two":                     {[]line{{"x-foo", "a"}, {"x-foo", "b"}}, false, ReasonDuplicateHeader},
		"two, of two spellings":   {[]line{{"x-foo", "a"}, {"X-FOO", "a"}}, false, ReasonDuplicateHeader},
		"not UTF-8":               {[]line{{"x-foo", "a\xff"}}, false, ReasonMalformedHeader},
		"not UTF-8 where nothing": {[]line{{"x-bar", "a\xff"}, {"x-bar", "\xfe"}}, false, ReasonAllowed},
		"joined":                  {[]line{{"x-foo", "a"}, {"x-foo", "b"}}, true, ReasonDuplicateHeader},
		"joined, with one":        {[]line{{"x-foo", "a"}}, true, ReasonAllowed},
	} {
		m := ask(hash, "/", c.lines...)
		if c.joined {
			m = askJoined(hash, "/", c.lines...)
		}
		before := len(g.limiter.taken)
		r := g.check(t, m)
		if reasonOf(r) != c.want || c.want != ReasonAllowed && statusOf(r) != 400 {
			t.Errorf("%s: %d %s, want %s", name, statusOf(r), reasonOf(r), c.want)
		}
		if charged := len(g.limiter.taken) > before; charged != (c.want == ReasonAllowed) {
			t.Errorf("%s: charged %t", name, charged)
		}
	}
	if got := g.limiter.taken[len(g.limiter.taken)-1]; got == nil {
		t.Error("nothing was charged")
	}
}

func TestLimiterAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer LimitResult
		want   Reason
		status int
	}{
		"allowed":                 {LimitResult{Allowed: true, Limit: "u", Capacity: 2, Remaining: 1}, ReasonAllowed, 200},
		"allowed without a count": {LimitResult{Allowed: true}, ReasonAllowed, 200},
		"used up":                 {LimitResult{Limit: "u", Capacity: 2, RetryAfter: 1500 * time.Millisecond}, ReasonRateLimited, 429},
		"the store is down":       {LimitResult{StoreDown: true}, ReasonLimitStoreUnavailable, 503},
		"nothing at all":          {LimitResult{}, ReasonRateLimited, 429},
		"more than there ever is": {LimitResult{Limit: "u", Capacity: 2, RetryAfter: -1}, ReasonRateLimited, 429},
	} {
		g := newGate(t, nil, nil)
		g.limiter.answer = c.answer
		hash := g.publish(&Policy{Limits: []*config.Limit{limitBy("u", "clientIP")}})
		r := g.check(t, ask(hash, "/"))
		if reasonOf(r) != c.want || statusOf(r) != c.status {
			t.Errorf("%s: %d %s", name, statusOf(r), reasonOf(r))
		}
		if name == "used up" && deniedHeader(r, "retry-after") != "2" {
			t.Errorf("retry-after %q", deniedHeader(r, "retry-after"))
		}
		if name == "more than there ever is" {
			if deniedHeader(r, "retry-after") != "" || !strings.Contains(r.GetDeniedResponse().GetBody(), "it can never pass") {
				t.Errorf("retry-after %q: %s", deniedHeader(r, "retry-after"), r.GetDeniedResponse().GetBody())
			}
		}
	}
}

// With the limits in Envoy's own filter, Check charges nothing and hands over
// the values.
func TestLimitsInFilter(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{everyPart()}, LimitsInFilter: true})
	r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil)), line{"x-foo", "bar"}))
	if !allows(r) || len(g.limiter.taken) != 0 {
		t.Fatalf("%s, charged %v", reasonOf(r), g.limiter.taken)
	}
	keys, ok := r.GetDynamicMetadata().AsMap()["limit_keys"].(map[string]any)
	if !ok {
		t.Fatalf("metadata %v", r.GetDynamicMetadata())
	}
	for part, want := range map[string]string{
		"user": "main:alice", "tenant": "acme", "apiKey": "", "clientIP": "192.0.2.7", "route": "get-users",
		"header:X-Foo": "bar", "claim:level": "", "claim:none": "", "claim:list": "",
	} {
		if keys[part] != want {
			t.Errorf("%s is %v, want %q", part, keys[part], want)
		}
	}
	if len(keys) != 9 {
		t.Errorf("keys %v", keys)
	}
	if len(r.GetOkResponse().GetResponseHeadersToAdd()) != 0 {
		t.Error("limit headers without a limit asked")
	}
	// A header that counts is judged all the same.
	if r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil)), line{"x-foo", "\xff"})); statusOf(r) != 400 {
		t.Errorf("not UTF-8: %s", reasonOf(r))
	}
}
