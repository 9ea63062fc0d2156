package diff

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

const gateway = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends:
  users: {endpoints: ["10.0.0.1:80", "10.0.0.9:80"]}
  other: {endpoints: ["10.0.0.3:80"]}
auth:
  jwt: {main: {issuer: "http://id.example", audiences: [api, web], jwks: {url: "https://id.example/jwks.json"}, forward: {sub: X-User-ID}}}
  apiKey: {keys: {}}
limits: {l: {key: [user], tokenBucket: {capacity: 10, refill: 5/s}}}
routes:
- {name: users, match: {methods: [GET, PUT], path: "/users/{id}"}, auth: {anyOf: [{jwt: main, scopes: [a, b]}, {apiKey: keys, permissions: [p]}]}, limits: [l], to: [{backend: users}], timeout: 2s, request: {set: {X-Token: hush}, remove: [X-A, X-B]}}
- {name: split, match: {path: /split}, auth: public, to: [{backend: users, weight: 1}, {backend: other, weight: 9}]}
- {name: all, match: {path: /**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: users}]}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// compared is the report on the gateway and what replacing makes of it.
func compared(t *testing.T, replacing ...string) Report {
	t.Helper()
	next := strings.NewReplacer(replacing...).Replace(gateway)
	if len(replacing) > 0 && next == gateway {
		t.Fatalf("%q is not in the config", replacing)
	}
	return Compare(parse(t, gateway), parse(t, next))
}

// TestWhatIsNoDifference: order, where it means nothing, and formatting.
func TestWhatIsNoDifference(t *testing.T) {
	t.Parallel()
	for name, replacing := range map[string][]string{
		"nothing":          nil,
		"endpoints":        {`"10.0.0.1:80", "10.0.0.9:80"`, `"10.0.0.9:80", "10.0.0.1:80"`},
		"scopes, audience": {"[a, b]", "[b, a]", "[api, web]", "[web, api]", "[GET, PUT]", "[PUT, GET]", "[X-A, X-B]", "[X-B, X-A]"},
		"sides":            {"{backend: users, weight: 1}, {backend: other, weight: 9}", "{backend: other, weight: 9}, {weight: 1, backend: users}"},
		"formatting":       {"timeout: 2s", "timeout: 2000ms", "routes:\n", "\n# the routes\nroutes:\n"},
	} {
		if r := compared(t, replacing...); !r.Same() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		replacing []string
		want      []string
	}{
		{[]string{"timeout: 2s", "timeout: 3s"}, []string{"routes.users.timeout: 2s → 3s"}},
		{[]string{", timeout: 2s", ""}, []string{"routes.users.timeout: 2s → (not set)"}},
		{[]string{`"10.0.0.9:80"`, `"10.0.0.2:80"`}, []string{"backends.users.endpoints: + 10.0.0.2:80", "backends.users.endpoints: - 10.0.0.9:80"}},
		{[]string{"X-Token: hush", "X-Token: other-hush"}, []string{"routes.users.request.set.X-Token: changed (not shown)"}},
		{[]string{"capacity: 10, refill: 5/s", "capacity: 10, refill: 6/s"}, []string{"limits.l.tokenBucket.refill: 5/s → 6/s"}},
		{[]string{"backend: other, weight: 9", "backend: other, weight: 0"}, []string{"routes.split.to.other.weight: 9 → 0"}},
		{[]string{"- {name: split", "- {name: split-2"}, []string{"routes.split-2: added", "routes.split: removed"}},
		{[]string{"timeout: 2s", "timeout: 2s, retry: {attempts: 2}"}, []string{"routes.users.retry.attempts: (not set) → 2"}},
		{[]string{"scopes: [a, b]", "scopes: [a]"}, []string{"routes.users.auth: jwt main, scope a, scope b or apiKey keys, permission p → jwt main, scope a or apiKey keys, permission p"}},
		{[]string{"sub: X-User-ID", "email: X-User-ID"}, []string{"auth.jwt.main.forward.email: (not set) → X-User-ID", "auth.jwt.main.forward.sub: X-User-ID → (not set)"}},
		{[]string{"l: {key", "l: {cost: 2, key"}, []string{"limits.l.cost.number: (not set) → 2"}},
		{[]string{"limits: {l", "rateLimitHeaders: x\nlimits: {l"}, []string{"rateLimitHeaders: (not set) → x"}},
		{[]string{"127.0.0.1:8080", "0.0.0.0:80"}, []string{"listeners.public.address: 127.0.0.1:8080 → 0.0.0.0:80"}},
	} {
		var got []string
		for _, f := range compared(t, c.replacing...).Fields {
			got = append(got, f.Path+": "+f.Change)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.replacing, got, c.want)
		}
	}
}

// TestWhatIsLessProtected: what somebody may do who could not is told first.
func TestWhatIsLessProtected(t *testing.T) {
	t.Parallel()
	const ask = "auth: {anyOf: [{jwt: main, scopes: [a, b]}, {apiKey: keys, permissions: [p]}]}"
	for _, c := range []struct {
		replacing []string
		want      Protection
		lost      string
	}{
		{[]string{ask + ", limits: [l]", "auth: public"}, Less, "it is public now, limit l is gone"},
		{[]string{"scopes: [a, b]", "scopes: [a]"}, Less, "new way in: jwt main, scope a"},
		{[]string{"scopes: [a, b]", "scopes: [a, b, c]"}, Other, ""},
		{[]string{"{jwt: main, scopes: [a, b]}, ", ""}, Other, ""},
		{[]string{"permissions: [p]", "permissions: [q]"}, Less, "new way in: apiKey keys, permission q"},
		{[]string{"limits: [l],", ""}, Less, "limit l is gone"},
		{[]string{"capacity: 10", "capacity: 11"}, Less, "limit l is another one"},
		{[]string{"capacity: 10, refill: 5/s", "capacity: 9, refill: 300/m"}, Other, ""},
		{[]string{"l: {key", "l: {cost: 2, key"}, Other, ""},
		{[]string{"l: {key", "l: {cost: {header: X-Cost}, key"}, Less, "limit l is another one"},
		{[]string{"l: {key", "l: {mode: shadow, key"}, Less, "limit l is another one"},
		{[]string{"key: [user]", "key: [user, method]"}, Less, "limit l is another one"},
		{[]string{"- {name: users", "- {name: people"}, Other, ""},
		{[]string{"match: {methods: [GET, PUT], path: \"/users/{id}\"}", "match: {methods: [GET], path: \"/users/{id}\"}"}, Less, "new way in: jwt main, limit l is gone"},
		{[]string{"path: /**", "path: /x/**"}, Closed, ""},
		{[]string{"path: /split", "path: /open"}, Less, "it is public now"},
	} {
		r := compared(t, c.replacing...)
		if len(r.Requests) == 0 || r.Requests[0].Protection != c.want || strings.Join(r.Requests[0].Lost, ", ") != c.lost {
			t.Errorf("%q: %+v, want %s: %s", c.replacing, r.Requests, c.want, c.lost)
		}
	}
	opened := Compare(parse(t, strings.Replace(gateway, "path: /**", "path: /x/**", 1)), parse(t, gateway))
	if opened.Requests[0].Protection != Opened || opened.Requests[0].OldRoute != "" {
		t.Errorf("%+v", opened.Requests)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := compared(t, "scopes: [a, b]", "scopes: [a]", "X-Token: hush", "X-Token: hush2").Write(&b, false); err != nil {
		t.Fatal(err)
	}
	const want = `LESS PROTECTED than before:
  GET any-host.example/users/any-id: was route users (jwt main, scope a, scope b or apiKey keys, permission p, limit l), to users; now route users (jwt main, scope a or apiKey keys, permission p, limit l), to users — new way in: jwt main, scope a
in the config:
  routes.users.auth: jwt main, scope a, scope b or apiKey keys, permission p → jwt main, scope a or apiKey keys, permission p
  routes.users.request.set.X-Token: changed (not shown)
`
	if b.String() != want {
		t.Errorf("%s", &b)
	}
}

// TestBreakersDiffer: what is said of what fails, also that nothing of a kind does, which
// is another thing than not to say it.
func TestBreakersDiffer(t *testing.T) {
	t.Parallel()
	with := func(breaker string) *config.Config {
		return parse(t, `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["10.0.0.1:80"], breaker: `+breaker+`}}
routes: [{name: r, match: {path: /}, auth: public, to: [{backend: app}]}]
`)
	}
	for _, c := range []struct{ before, after, want string }{
		{"{}", "{failures: {status: []}}", "backends.app.breaker.failures.status: (not set) → []"},
		{"{failures: {status: [5xx]}}", "{failures: {status: [5xx, 429]}}", "backends.app.breaker.failures.status: + 429"},
		{"{failures: {grpcStatus: []}}", "{failures: {grpcStatus: [internal]}}", "backends.app.breaker.failures.grpcStatus: + internal"},
		{"{}", "{errorRate: 0}", "backends.app.breaker.errorRate: (not set) → 0"},
		{"{}", "{backoff: {}, mode: enforce}", "backends.app.breaker.backoff: added\nbackends.app.breaker.mode: (not set) → enforce"},
	} {
		var got []string
		for _, f := range Compare(with(c.before), with(c.after)).Fields {
			got = append(got, f.Path+": "+f.Change)
		}
		if text := strings.Join(got, "\n"); text != c.want {
			t.Errorf("%s to %s: %q, want %q", c.before, c.after, text, c.want)
		}
	}
}
