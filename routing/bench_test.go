package routing

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// manyRoutes are n routes as a company has them: of each ten, seven are of a
// service's own path, two of a team's own host, and one of a tenant, who is
// told by a header on a path that all tenants share.
func manyRoutes(n int) *config.Config {
	c := &config.Config{}
	for i := range n {
		m := config.Match{Path: fmt.Sprintf("/service%d/v1/items/{id}", i)}
		switch i % 10 {
		case 1, 2:
			m.Path = fmt.Sprintf("/service%d/**", i)
		case 3:
			m.Methods = []string{"GET", "POST"}
		case 4:
			m.Query = map[string]config.ValueMatch{"q": {Exact: fmt.Sprint(i)}}
		case 7, 8:
			m.Hosts = []string{fmt.Sprintf("team%d.example.com", i)}
		case 9:
			m = config.Match{Path: "/shared/{id}", Headers: map[string]config.ValueMatch{"X-Tenant": {Exact: fmt.Sprint(i)}}}
		}
		c.Routes = append(c.Routes, &config.Route{Name: fmt.Sprintf("route-%d", i), Match: m})
	}
	return c
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		table := NewTable(manyRoutes(n))
		last := n - 10
		for name, r := range map[string]Request{
			"path":   {Host: "api.example.com", Method: "GET", Path: fmt.Sprintf("/service%d/v1/items/42", last+5)},
			"host":   {Host: fmt.Sprintf("team%d.example.com", last+7), Method: "GET", Path: fmt.Sprintf("/service%d/v1/items/42", last+7)},
			"header": {Host: "api.example.com", Method: "GET", Path: "/shared/42", Header: headers(map[string]string{"x-tenant": fmt.Sprint(last + 9)})},
			"none":   {Host: "api.example.com", Method: "GET", Path: "/nothing/here"},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				if found := table.Find(r) != nil; found != (name != "none") {
					b.Fatalf("found is %v", found)
				}
				for b.Loop() {
					table.Find(r)
				}
			})
		}
	}
}

func BenchmarkNewTable(b *testing.B) {
	c := manyRoutes(100_000)
	b.ReportAllocs()
	for b.Loop() {
		NewTable(c)
	}
	b.StopTimer()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := NewTable(c)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-kept")
	runtime.KeepAlive(table)
}

func BenchmarkNormalize(b *testing.B) {
	for name, path := range map[string]string{"normal": "/service/v1/items/42?a=b", "other": "/service/./v1//items/%34%32?a=b"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Normalize(Request{Host: "api.example.com:443", Path: path}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	table := NewTable(manyRoutes(100_000))
	for b.Loop() {
		table.Explain(Request{Host: "api.example.com", Method: "GET", Path: "/service5/v1/items/42"})
	}
}
