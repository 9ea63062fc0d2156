package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/routing"
)

// Request is a class of requests that are judged in another way, by one of them.
type Request struct {
	Protection Protection `json:"protection"`
	// Lost is what is less protected, in words.
	Lost []string `json:"lost,omitempty"`
	// Method, Host, Path (with its query) and Headers are an example: a request
	// that both gateways were asked about.
	Method  string            `json:"method"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	// Was and Now are what becomes of it, and OldRoute and NewRoute the names of
	// the routes, empty where there is none.
	Was      string `json:"was"`
	Now      string `json:"now"`
	OldRoute string `json:"oldRoute,omitempty"`
	NewRoute string `json:"newRoute,omitempty"`
}

// Routed is the request as route tables are asked about it.
func (r *Request) Routed() routing.Request {
	return routing.Request{Host: r.Host, Method: r.Method, Path: r.Path, Header: func(name string) (string, bool) {
		value, ok := r.Headers[name]
		return value, ok
	}}
}

// String is the example, and what becomes of it.
func (r *Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s", r.Method, r.Host, r.Path)
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, " [%s: %s]", name, plainText(r.Headers[name]))
	}
	fmt.Fprintf(&b, ": was %s; now %s", r.Was, r.Now)
	if len(r.Lost) > 0 {
		fmt.Fprintf(&b, " — %s", strings.Join(r.Lost, ", "))
	}
	return b.String()
}

func worseFirst(a, b Request) int {
	return cmp.Or(
		cmp.Compare(urgency[a.Protection], urgency[b.Protection]),
		cmp.Compare(a.OldRoute, b.OldRoute),
		cmp.Compare(a.NewRoute, b.NewRoute),
	)
}
