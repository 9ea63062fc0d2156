package routing

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// TestFindIsTheReference asks every request of the world of made-up tables:
// more than 200 000 pairs of a request and a table.
func TestFindIsTheReference(t *testing.T) {
	asked, found := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t, 0, 12, anyPath)
		a, f := compareAll(t, c)
		asked, found = asked+a, found+f
	})
	if asked < 200_000 || found < asked/20 {
		t.Errorf("%d requests were asked, and %d had a route: that proves too little", asked, found)
	}
	t.Logf("%d requests, %d of them with a route", asked, found)
}

// TestFindAmongManyOfOnePath has so many routes on one path that they are
// looked up by their headers and parameters.
func TestFindAmongManyOfOnePath(t *testing.T) {
	lookups := 0
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t, 20, 60, rapid.Just("/a/**"))
		compareSome(t, c, 500)
		if a := NewTable(c).every.literals.get("a"); a != nil {
			lookups += len(a.rest.lookups)
		}
	})
	if lookups == 0 {
		t.Error("nothing was looked up")
	}
}

func compareAll(t *rapid.T, c *config.Config) (asked, found int) {
	table, ref := NewTable(c), newReference(c)
	for _, r := range askedRequests {
		if compareOne(t, c, table, ref, r) != nil {
			found++
		}
	}
	return len(askedRequests), found
}

func compareSome(t *rapid.T, c *config.Config, n int) {
	table, ref := NewTable(c), newReference(c)
	for range n {
		compareOne(t, c, table, ref, rapid.SampledFrom(askedRequests).Draw(t, "request"))
	}
}

func compareOne(t *rapid.T, c *config.Config, table *Table, ref *reference, r Request) *config.Route {
	got, want := table.Find(r), ref.find(r)
	if got != want {
		t.Fatalf("%s takes %s, the rules say %s, of\n%s", showRequest(r), nameOf(got), nameOf(want), show(c))
	}
	return got
}

// TestFind is a table that can be read, and what is easily got wrong.
func TestFind(t *testing.T) {
	table := NewTable(&config.Config{Routes: []*config.Route{
		{Name: "all", Match: config.Match{Path: "/**"}},
		{Name: "orders", Match: config.Match{Path: "/orders/**", Methods: []string{"GET", "POST"}}},
		{Name: "order", Match: config.Match{Path: "/orders/{id}"}},
		{Name: "new-order", Match: config.Match{Path: "/orders/new"}},
		{Name: "shop", Match: config.Match{Path: "/orders/new", Hosts: []string{"shop.x.com", "[::1]"}}},
		{Name: "any-shop", Match: config.Match{Path: "/orders/new", Hosts: []string{"*.x.com"}}},
		{Name: "beta", Priority: 1, Match: config.Match{Path: "/orders/**", Headers: map[string]config.ValueMatch{"X-Beta": {Exact: "a,b"}}}},
		{Name: "raw", Match: config.Match{Path: "/q", Query: map[string]config.ValueMatch{"v": {Exact: "%31"}}}},
		{Name: "empty", Match: config.Match{Path: "/q", Query: map[string]config.ValueMatch{"v": {Exact: ""}}}},
		{Name: "first", Match: config.Match{Path: "/q", Query: map[string]config.ValueMatch{"v": {Exact: "1"}}}},
		{Name: "no-header", Match: config.Match{Path: "/h", Headers: map[string]config.ValueMatch{"X-A": {Absent: true}}}},
	}})
	beta := headers(map[string]string{"x-beta": "a,b"})
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Host: "y.org", Method: "GET", Path: "/"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "//"}, "all"},
		{Request{Host: "", Method: "GET", Path: "/orders"}, "orders"},
		{Request{Host: "y.org", Method: "PUT", Path: "/orders"}, "all"},
		{Request{Host: "y.org", Method: "get", Path: "/orders"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "/ordersx"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "/orders/7"}, "order"},
		{Request{Host: "y.org", Method: "GET", Path: "/orders/"}, "orders"},
		{Request{Host: "y.org", Method: "GET", Path: "/orders/new?x"}, "new-order"},
		{Request{Host: "SHOP.x.com", Method: "GET", Path: "/orders/new"}, "shop"},
		{Request{Host: "[::1]", Method: "GET", Path: "/orders/new"}, "shop"},
		{Request{Host: "a.b.x.com", Method: "GET", Path: "/orders/new"}, "any-shop"},
		{Request{Host: ".x.com", Method: "GET", Path: "/orders/new"}, "new-order"},
		{Request{Host: "*.x.com", Method: "GET", Path: "/orders/new"}, "any-shop"},
		{Request{Host: "x.com", Method: "GET", Path: "/orders/new"}, "new-order"},
		{Request{Host: "y.org", Method: "PUT", Path: "/orders/new", Header: beta}, "beta"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?v=1&v=2"}, "first"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?v=2&v=1"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?v=%31"}, "raw"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?%76=1"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?v"}, "empty"},
		{Request{Host: "y.org", Method: "GET", Path: "/q?v=1?"}, "all"},
		{Request{Host: "y.org", Method: "GET", Path: "/h"}, "no-header"},
		{Request{Host: "y.org", Method: "GET", Path: "/h", Header: headers(map[string]string{"x-a": ""})}, "all"},
		{Request{Host: "y.org", Method: "OPTIONS", Path: "*"}, "no route"},
		{Request{Host: "y.org", Method: "GET", Path: "orders"}, "no route"},
		{Request{}, "no route"},
	} {
		if got := nameOf(table.Find(c.r)); got != c.want {
			t.Errorf("%s takes %s, want %s", showRequest(c.r), got, c.want)
		}
	}
}

// TestFindDoesNotAllocate, on a request of an ordinary kind.
func TestFindDoesNotAllocate(t *testing.T) {
	table := NewTable(manyRoutes(1000))
	r := Request{Host: "team7.example.com", Method: "GET", Path: "/service7/v1/items/42?page=2&q=7", Header: headers(map[string]string{"x-tenant": "7"})}
	if table.Find(r) == nil {
		t.Fatal("the request has no route")
	}
	if n := testing.AllocsPerRun(1000, func() { table.Find(r) }); n != 0 {
		t.Errorf("Find allocates %v times", n)
	}
}

// TestTableKeepsNoOrderOfTheFile, and leaves the config alone.
func TestTableKeepsNoOrderOfTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t, 2, 8, anyPath)
		shuffled := &config.Config{Routes: rapid.Permutation(c.Routes).Draw(t, "shuffled")}
		one, other := NewTable(c), NewTable(shuffled)
		for range 200 {
			r := rapid.SampledFrom(askedRequests).Draw(t, "request")
			if a, b := one.Find(r), other.Find(r); a != b {
				t.Fatalf("%s takes %s in one order, %s in another", showRequest(r), nameOf(a), nameOf(b))
			}
		}
	})
}
