package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// The world of the tests is so small that routes often compete, and that each of
// its requests can be asked of both gateways.
var (
	worldHosts    = []string{"a.x.com", "b.x.com", "*.b.x.com", "*.x.com", "*.com"}
	worldMethods  = []string{"GET", "POST"}
	worldSegments = []string{"a", "b", "{x}"}
	worldValues   = []config.ValueMatch{{Exact: "1"}, {Exact: "12"}, {Prefix: "1"}, {Regex: "1[0-9]"}, {Regex: "a|12"}, {Present: true}, {Absent: true}}

	askedHosts  = []string{"a.x.com", "z.x.com", "a.b.x.com", "z.org"}
	askedValues = []string{"absent", "", "1", "12", "a", "zz"}
	askedPaths  = []string{"/", "/a", "/b", "/c", "/a/", "/a/a", "/a/b", "/a/c", "/b/a", "/c/b", "/c/c", "/a/b/", "/a/b/c", "/c/c/c/", "/a/a/a/a"}
)

// worldProviders are in every config of the world.
func worldProviders() config.Providers {
	return config.Providers{JWT: map[string]*config.JWT{"main": {Name: "main", Issuer: "http://id"}}, APIKey: map[string]*config.APIKey{"keys": {Name: "keys"}}}
}

func drawRoute(t *rapid.T, name string) *config.Route {
	return &config.Route{
		Name:     name,
		Priority: rapid.IntRange(0, 5).Draw(t, "priority") / 4,
		Match: config.Match{
			Hosts:   drawSome(t, "hosts", worldHosts),
			Methods: drawSome(t, "methods", worldMethods),
			Path:    drawPath(t),
			Headers: drawValues(t, "X-A", "X-B"),
			Query:   drawValues(t, "q", "p"),
		},
		Auth: rapid.SampledFrom([]*config.RouteAuth{
			{Public: true},
			{AnyOf: []*config.Requirement{{JWT: "main"}}},
			{AnyOf: []*config.Requirement{{JWT: "main", Scopes: []string{"a"}}, {APIKey: "keys"}}},
			{AllOf: []*config.Requirement{{JWT: "main"}, {APIKey: "keys"}}},
		}).Draw(t, "auth"),
		Respond: &config.Respond{Status: 200},
	}
}

func drawSome(t *rapid.T, label string, from []string) []string {
	if rapid.Bool().Draw(t, "any "+label) {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID[string]).Draw(t, label)
}

func drawPath(t *rapid.T) string {
	var b strings.Builder
	segments := rapid.SliceOfN(rapid.SampledFrom(worldSegments), 0, 3).Draw(t, "segments")
	for i, s := range segments {
		b.WriteString("/" + strings.ReplaceAll(s, "x", fmt.Sprintf("x%d", i)))
	}
	end := rapid.SampledFrom([]string{"", "/", "/**", "/**"}).Draw(t, "end")
	if end == "" && len(segments) == 0 {
		end = "/"
	}
	return b.String() + end
}

func drawValues(t *rapid.T, usual, other string) map[string]config.ValueMatch {
	names := rapid.SampledFrom([][]string{nil, nil, nil, {usual}, {usual}, {other}, {usual, other}}).Draw(t, "names")
	values := map[string]config.ValueMatch{}
	for _, name := range names {
		values[name] = rapid.SampledFrom(worldValues).Draw(t, name)
	}
	return values
}

// drawPair are two configs that have some routes in common.
func drawPair(t *rapid.T) (before, after *config.Config) {
	before, after = &config.Config{Auth: worldProviders()}, &config.Config{Auth: worldProviders()}
	for i := range rapid.IntRange(1, 8).Draw(t, "routes") {
		r := drawRoute(t, fmt.Sprint("r", i))
		switch rapid.SampledFrom([]string{"kept", "kept", "kept", "asks other", "gone", "new", "other"}).Draw(t, "becomes") {
		case "kept":
			copied := *r
			before.Routes, after.Routes = append(before.Routes, r), append(after.Routes, &copied)
		case "asks other":
			asking := *r
			asking.Auth = drawRoute(t, r.Name).Auth
			before.Routes, after.Routes = append(before.Routes, r), append(after.Routes, &asking)
		case "gone":
			before.Routes = append(before.Routes, r)
		case "new":
			after.Routes = append(after.Routes, r)
		case "other":
			before.Routes, after.Routes = append(before.Routes, r), append(after.Routes, drawRoute(t, r.Name))
		}
	}
	return before, after
}

// askedRequests are all requests of the world.
func askedRequests(visit func(*Request)) {
	for _, host := range askedHosts {
		for _, method := range []string{"GET", "POST", "PUT"} {
			for _, path := range askedPaths {
				for i, header := range askedValues {
					for j, query := range askedValues {
						q := &Request{Host: host, Method: method, Path: path, Headers: map[string]string{}}
						if header != "absent" {
							q.Headers["x-a"] = header
						}
						var pairs []string
						if query != "absent" {
							pairs = append(pairs, "q="+query)
						}
						if (i+j)%3 == 0 {
							q.Headers["x-b"] = "1"
							pairs = append(pairs, "p=12")
						}
						if len(pairs) > 0 {
							q.Path += "?" + strings.Join(pairs, "&")
						}
						visit(q)
					}
				}
			}
		}
	}
}

func judged(s *side, q *Request) *judgement { return s.judge(s.table.Find(q.Routed())) }

// TestWhatIsReportedIsTrue: each request that is reported is judged in the two
// ways that are told.
func TestWhatIsReportedIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawPair(t)
		x, y := newSide(before), newSide(after)
		x.open()
		y.open()
		for _, q := range Compare(before, after).Requests {
			normal, err := routing.NormalizeStrictly(q.Routed())
			was, now := judged(x, &q), judged(y, &q)
			if err != nil || normal.Path != q.Path || was.same(now) || was.route != q.OldRoute || now.route != q.NewRoute {
				t.Fatalf("%s: is %s and %s (%v)", &q, was, now, err)
			}
		}
	})
}

// TestEveryDifferenceIsReported: whatever request of the world is judged in
// another way, requests of the same two routes are reported.
func TestEveryDifferenceIsReported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawPair(t)
		x, y := newSide(before), newSide(after)
		x.open()
		y.open()
		report := Compare(before, after)
		if report.Bounded {
			t.Fatal("a small world is not searched through")
		}
		askedRequests(func(q *Request) {
			was, now := judged(x, q), judged(y, q)
			if was.same(now) || slices.ContainsFunc(report.Requests, func(r Request) bool { return r.OldRoute == was.route && r.NewRoute == now.route }) {
				return
			}
			t.Fatalf("not reported: %s: was %s, now %s\nbefore:\n%safter:\n%s", q, was, now, show(before), show(after))
		})
	})
}

func show(c *config.Config) string {
	var b strings.Builder
	for _, r := range c.RoutesBySpecificity() {
		fmt.Fprintf(&b, "  %s: priority %d, %+v\n", r.Name, r.Priority, r.Match)
	}
	return b.String()
}
