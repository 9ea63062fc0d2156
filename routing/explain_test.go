package routing

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// TestExplanationsHold: the chosen route is the one that Find finds, each route
// that matches is said to, and every reason is true and none is left out.
func TestExplanationsHold(t *testing.T) {
	reasons := map[Rule]int{}
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t, 0, 16, anyPath)
		table, ref := NewTable(c), newReference(c)
		for range 200 {
			x := checkExplanation(t, table, ref, rapid.SampledFrom(askedRequests).Draw(t, "request"))
			for _, c := range x.Candidates {
				for _, r := range c.Reasons {
					reasons[r.Rule]++
				}
			}
		}
	})
	for _, rule := range []Rule{RuleHost, RuleMethod, RulePath, RuleHeader, RuleQuery, RuleOrder} {
		if reasons[rule] == 0 {
			t.Errorf("no route was left out for its %s", rule)
		}
	}
}

// fataler is a test of any kind.
type fataler interface{ Fatalf(string, ...any) }

func checkExplanation(t fataler, table *Table, ref *reference, r Request) Explanation {
	x := table.Explain(r)
	if found := table.Find(r); x.Chosen != found || found != nil && x.Route != found.Name {
		t.Fatalf("%s: explained is %s, found is %s", showRequest(r), nameOf(x.Chosen), nameOf(found))
	}
	matching := ref.matching(r)
	if len(matching) > 0 {
		matching = matching[1:]
	}
	if len(x.Candidates) > MaxCandidates || x.Omitted > 0 && len(x.Candidates) < MaxCandidates ||
		len(x.Candidates)+x.Omitted < len(matching) {
		t.Fatalf("%s: %d candidates and %d omitted, of which %d match", showRequest(r), len(x.Candidates), x.Omitted, len(matching))
	}
	for i, c := range x.Candidates {
		if c.Matches != (i < len(matching)) || c.Matches && c.Route != matching[i] {
			t.Fatalf("%s: candidate %d is %s, and matches: %v", showRequest(r), i, c.Name, c.Matches)
		}
		checkReasons(t, x.Chosen, c, r)
	}
	return x
}

// checkReasons evaluates the reasons against a route again, by the reference.
func checkReasons(t fataler, chosen *config.Route, c Candidate, r Request) {
	got := map[Reason]bool{}
	for _, reason := range c.Reasons {
		if reason.Text == "" || strings.Contains(reason.Text, "%!") {
			t.Fatalf("%s: %s is not taken for %q", showRequest(r), c.Name, reason.Text)
		}
		reason.Text = ""
		got[reason] = true
	}
	want := mismatches(c.Route, r)
	if c.Matches {
		if config.Compare(chosen, c.Route) >= 0 {
			t.Fatalf("%s: %s does not come after %s", showRequest(r), c.Name, chosen.Name)
		}
		d, _ := config.Decide(chosen.Specificity(), c.Route.Specificity())
		want = map[Reason]bool{{Rule: RuleOrder, By: d.By}: true}
	}
	if len(got) != len(want) || len(got) != len(c.Reasons) {
		t.Fatalf("%s: %s is not taken for %v, and it should be for %v", showRequest(r), c.Name, c.Reasons, want)
	}
	for reason := range want {
		if !got[reason] {
			t.Fatalf("%s: %s is not taken for %v, and it should be for %v", showRequest(r), c.Name, c.Reasons, want)
		}
	}
}

// mismatches is what of a route does not fit, by the reference.
func mismatches(route *config.Route, r Request) map[Reason]bool {
	all := map[Reason]bool{}
	m := &route.Match
	path, query := splitQuery(r.Path)
	if !takesHost(m, r.Host) {
		all[Reason{Rule: RuleHost}] = true
	}
	if !pathExpression(m.Path).MatchString(path) {
		all[Reason{Rule: RulePath}] = true
	}
	if !takes(&config.Match{Methods: m.Methods}, r, query) {
		all[Reason{Rule: RuleMethod}] = true
	}
	for name, want := range m.Headers {
		if value, ok := r.header(strings.ToLower(name)); !holds(want, value, ok) {
			all[Reason{Rule: RuleHeader, Name: name}] = true
		}
	}
	for name, want := range m.Query {
		if value, ok := query[name]; !holds(want, value, ok) {
			all[Reason{Rule: RuleQuery, Name: name}] = true
		}
	}
	return all
}

// TestExplainInWords is what people read.
func TestExplainInWords(t *testing.T) {
	value := func(name string, v config.ValueMatch) map[string]config.ValueMatch {
		return map[string]config.ValueMatch{name: v}
	}
	c := &config.Config{Routes: []*config.Route{
		{Name: "orders-v2", Match: config.Match{Path: "/orders/new", Methods: []string{"GET"}}},
		{Name: "orders", Match: config.Match{Path: "/orders/**"}},
		{Name: "urgent", Priority: -1, Match: config.Match{Path: "/orders/new"}},
		{Name: "write", Match: config.Match{Path: "/orders/new", Methods: []string{"POST", "PUT"}}},
		{Name: "item", Match: config.Match{Path: "/orders/{id}/items"}},
		{Name: "list", Match: config.Match{Path: "/orders"}},
		{Name: "other", Match: config.Match{Path: "/orders/old", Hosts: []string{"*.x.com", "x.com"}, Query: value("v", config.ValueMatch{Exact: "2"})}},
		{Name: "beta", Match: config.Match{Path: "/orders/new", Headers: value("X-Beta", config.ValueMatch{Exact: "1"})}},
		{Name: "old", Match: config.Match{Path: "/orders/new", Headers: value("X-Version", config.ValueMatch{Absent: true})}},
		{Name: "new", Match: config.Match{Path: "/orders/new", Headers: value("X-Version", config.ValueMatch{Regex: "3.*"})}},
		{Name: "elsewhere", Match: config.Match{Path: "/users/**", Hosts: []string{"y.com"}}},
		{Name: "nothing", Match: config.Match{Path: "/users/**"}},
	}}
	x := NewTable(c).Explain(Request{
		Host: "y.com", Method: "GET", Path: "/orders/new?v=1", Header: headers(map[string]string{"x-version": "2"}),
	})
	var lines []string
	for _, c := range x.Candidates {
		for _, r := range c.Reasons {
			lines = append(lines, c.Name+": "+r.Text)
		}
	}
	got, want := strings.Join(lines, "\n"), strings.TrimSpace(`
orders: matches too, but is less specific than orders-v2: its path ends in /**, that one's is exact
urgent: matches too, but comes after orders-v2: its priority is -1, that one's is 0
write: the method GET is not one of POST, PUT
beta: the header X-Beta is not there; the route wants the value "1"
new: the header X-Version is "2"; the route wants a value that fits "3.*"
old: the header X-Version is "2"; the route wants it not to be there
item: the path does not fit: /orders/{id}/items wants 3 segments, the request has 2
list: the path does not fit: /orders wants 1 segment, the request has 2
elsewhere: the path does not fit: /users/** wants "users" as segment 1, the request has "orders"
other: the host y.com is not one of *.x.com, x.com
other: the path does not fit: /orders/old wants "old" as segment 2, the request has "new"
other: the query parameter v is "1"; the route wants the value "2"`)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if x.Route != "orders-v2" || x.Omitted != 0 {
		t.Errorf("the route is %s, omitted are %d", x.Route, x.Omitted)
	}
}

// TestExplanationAsJSON is what a script reads.
func TestExplanationAsJSON(t *testing.T) {
	table := NewTable(&config.Config{Routes: []*config.Route{
		{Name: "a", Match: config.Match{Path: "/a", Methods: []string{"GET"}}},
		{Name: "rest", Match: config.Match{Path: "/**"}},
	}})
	for method, want := range map[string]string{
		"GET": `{"route":"a","candidates":[{"route":"rest","matches":true,"reasons":[{"rule":"order","by":"pathKind",` +
			`"text":"matches too, but is less specific than a: its path ends in /**, that one's is exact"}]}],"omitted":0}`,
		"PUT": `{"route":"rest","candidates":[{"route":"a","matches":false,"reasons":[{"rule":"method",` +
			`"text":"the method PUT is not GET"}]}],"omitted":0}`,
	} {
		got, err := json.Marshal(table.Explain(Request{Host: "a.com", Method: method, Path: "/a"}))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", method, got, err, want)
		}
	}
	if got, _ := json.Marshal(NewTable(&config.Config{}).Explain(Request{Path: "/"})); string(got) != `{"candidates":[],"omitted":0}` {
		t.Errorf("of an empty table: %s", got)
	}
}

// TestExplainIsBounded: of many candidates the closest are told, and how many
// more there are.
func TestExplainIsBounded(t *testing.T) {
	x := NewTable(manyRoutes(100)).Explain(Request{Host: "a.com", Method: "GET", Path: "/shared/1", Header: headers(map[string]string{"x-tenant": "9"})})
	if x.Route != "route-9" || len(x.Candidates) != 9 || x.Omitted != 0 {
		t.Errorf("%s, %d candidates, %d omitted; want route-9 and the 9 other tenants", x.Route, len(x.Candidates), x.Omitted)
	}
	x = NewTable(manyRoutes(1000)).Explain(Request{Host: "a.com", Method: "GET", Path: "/shared/1"})
	if x.Chosen != nil || len(x.Candidates) != MaxCandidates || x.Omitted != 90 {
		t.Errorf("%s, %d candidates, %d omitted; want no route, and 100 tenants", nameOf(x.Chosen), len(x.Candidates), x.Omitted)
	}
}
