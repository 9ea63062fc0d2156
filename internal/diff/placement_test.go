package diff

import (
	"reflect"
	"strings"
	"testing"
)

// TestPoliciesThatMove: a change by which requests are asked about that were not, or the
// other way round, is told with its routes and its reason, also where no answer changes.
func TestPoliciesThatMove(t *testing.T) {
	t.Parallel()
	listener := `{name: public, address: "127.0.0.1:8080"`
	for name, c := range map[string]struct {
		replacing []string
		want      []Moved
		says      string
	}{
		"nothing": {replacing: []string{"timeout: 2s", "timeout: 3s"}},
		"the route says so": {
			[]string{"auth: {anyOf: [{jwt: main}]}, to", "placement: service, auth: {anyOf: [{jwt: main}]}, to"},
			[]Moved{{false, []string{"the route says placement: service"}, []string{"all"}, []string{"public"}}},
			"  all, on public: by Gatewright now, which is asked about every request: the route says placement: service\n",
		},
		"the listener says so": {
			[]string{listener, listener + ", placement: service"},
			[]Moved{{false, []string{"listener public says placement: service"}, []string{"all"}, []string{"public"}}},
			"  all, on public: by Gatewright now",
		},
		"a provider's tokens": {
			[]string{"forward: {sub: X-User-ID}", "forward: {sub: X-User-ID}, planClaim: plan"},
			[]Moved{{false, []string{"jwt main names the caller's plan"}, []string{"all"}, []string{"public"}}},
			": jwt main names the caller's plan\n",
		},
		"one that could not": {
			[]string{"[{jwt: main, scopes: [a, b]}, {apiKey: keys, permissions: [p]}]}, limits: [l]", "[{jwt: main, scopes: [a, b]}]}"},
			[]Moved{{true, []string{"limit l is exact among all, and not consistency: sync"}, []string{"users"}, []string{"public"}}},
			"  users, on public: inside Envoy now; every request was asked about: limit l is exact among all, and not consistency: sync\n",
		},
		"nobody is asked any more": {replacing: []string{"auth: {anyOf: [{jwt: main}]}, to", "auth: public, to"}},
	} {
		r := compared(t, c.replacing...)
		if !reflect.DeepEqual(r.Moved, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, r.Moved, c.want)
		}
		var text strings.Builder
		if err := r.Write(&text, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), c.says) || strings.Contains(text.String(), "elsewhere") != (len(c.want) > 0) {
			t.Errorf("%s: no %q in\n%s", name, c.says, &text)
		}
	}
}

// TestMovesTogether: routes that move for one reason are one line, whatever the listener,
// and of many the first are named.
func TestMovesTogether(t *testing.T) {
	t.Parallel()
	var routes strings.Builder
	for _, name := range strings.Split("g f e d c b a", " ") {
		routes.WriteString(`- {name: ` + name + `, match: {path: /` + name + `}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}` + "\n")
	}
	text := `
listeners: [{name: one, address: "127.0.0.1:8080"}, {name: two, address: "127.0.0.1:8081"}]
backends: {app: {endpoints: ["10.0.0.1:80"]}}
auth: {jwt: {main: {issuer: "http://id.example", audiences: [api], jwks: {url: "https://id.example/jwks.json"}}}}
routes:
` + routes.String()
	before, after := parse(t, text), parse(t, strings.Replace(text, "audiences: [api],", "audiences: [api], clockSkew: 1s,", 1))
	r := Compare(before, after)
	want := []Moved{{false, []string{"clockSkew of jwt main is below 2s"}, []string{"a", "b", "c", "d", "e", "f", "g"}, []string{"one", "two"}}}
	if !reflect.DeepEqual(r.Moved, want) {
		t.Errorf("got %+v, want %+v", r.Moved, want)
	}
	for all, part := range map[bool]string{false: "  a, b, c, d, e and 2 more (--all), on one, two: ", true: "  a, b, c, d, e, f, g, on one, two: "} {
		var written strings.Builder
		if err := r.Write(&written, all); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(written.String(), part) {
			t.Errorf("no %q in\n%s", part, &written)
		}
	}
}

// TestPublicRoutesMove: a public route with a limit is judged, and moves as others do; one
// that asks for nothing any more does not.
func TestPublicRoutesMove(t *testing.T) {
	t.Parallel()
	const limit = "limits: {l: {key: [clientIP], tokenBucket: {capacity: 5, refill: 1/s}, consistency: sync}}"
	text := `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["10.0.0.1:80"]}}
` + limit + `
routes: [{name: pages, match: {path: /pages}, auth: public, limits: [l], to: [{backend: app}]}]
`
	const exact = "limit l is exact among all, and not consistency: sync"
	after := parse(t, strings.Replace(text, ", consistency: sync", "", 1))
	want := []Moved{{false, []string{exact}, []string{"pages"}, []string{"public"}}}
	if got := Compare(parse(t, text), after).Moved; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	free := parse(t, strings.Replace(text, ", limits: [l]", "", 1))
	if got := Compare(after, free).Moved; got != nil {
		t.Errorf("it asks for nothing any more, and is said to move: %+v", got)
	}
}
