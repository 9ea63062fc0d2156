package transcoding

import (
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	set, problems := Read(shop(t), Options{Services: []string{"shop.v1.Orders"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct{ verb, path, want string }{
		{"GET", "/api/v1/orders/7", "Get id=7"},
		{"GET", "/api/v1/customers/a%20b/orders/7", "Get customer=a b id=7"},
		{"GET", "/api/v1/orders", "List"},
		{"POST", "/api/v1/orders", "Create"},
		{"POST", "/api/v1/orders:import", "Import"},
		{"GET", "/api/v1/orders/7/receipt", "Receipt id=7"},
		{"GET", "/api/v1/files/shelves/1/2", "File name=shelves/1/2"},
		{"GET", "/api/v1/files/shelves", "File name=shelves"},
		{"GET", "/api/v1/orders/", "none"},
		{"DELETE", "/api/v1/orders/7", "none"},
		{"POST", "/api/v1/orders:export", "none"},
		{"GET", "/api/v1/files/other/1", "none"},
	} {
		got := "none"
		if m := set.Find(c.verb, c.path); m != nil {
			got = m.Method
			for _, f := range m.Fields {
				got += " " + f.Name + "=" + f.Value
			}
		}
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.verb, c.path, got, c.want)
		}
	}
}

// TestFits: a route and a binding meet where some request is of both.
func TestFits(t *testing.T) {
	for _, c := range []struct {
		route, template string
		want            bool
	}{
		{"/a/b", "/a/b", true},
		{"/a/b", "/a/{x}", true},
		{"/a/{x}", "/a/b", true},
		{"/a/**", "/a/b/c", true},
		{"/a/b/**", "/a/b", true},
		{"/a/b/c/**", "/a/b", false},
		{"/**", "/a/b:go", true},
		{"/a/b:go", "/a/b:go", true},
		{"/a/b", "/a/b:go", false},
		{"/a/b:go", "/a/{x}:go", true},
		{"/a/:go", "/a/{x}:go", false},
		{"/a/{x}", "/a/b:go", true},
		{"/a", "/a/b", false},
		{"/a/b/c", "/a/b", false},
		{"/a/b/c", "/a/{x=**}", true},
		{"/a", "/a/{x=**}", true},
		{"/a/b/", "/a/b", false},
		{"/b/**", "/a/{x=**}", false},
	} {
		parsed, err := parseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		b := Binding{Verb: "GET", pattern: parsed}
		var p Path
		segments, rest := strings.CutSuffix(c.route, "/**")
		p.Rest = rest
		for part := range strings.SplitSeq(strings.TrimPrefix(segments, "/"), "/") {
			if segments == "" {
				break
			}
			p.Segments = append(p.Segments, Segment{Any: strings.HasPrefix(part, "{"), Literal: part})
		}
		if got := b.Fits(p, nil); got != c.want {
			t.Errorf("%s and %s: %t", c.route, c.template, got)
		}
		if b.Fits(p, []string{"POST"}) {
			t.Errorf("%s: a POST is taken for a GET", c.template)
		}
	}
}
