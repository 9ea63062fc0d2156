package config

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What ParsePath refuses is in testdata/bad/match_paths.yaml.
func TestParsePath(t *testing.T) {
	literal := func(s string) Segment { return Segment{Literal: s} }
	variable := func(s string) Segment { return Segment{Variable: s} }
	for path, want := range map[string]PathPattern{
		"/":                 {Segments: []Segment{literal("")}},
		"/a/b":              {Segments: []Segment{literal("a"), literal("b")}},
		"/a/":               {Segments: []Segment{literal("a"), literal("")}},
		"/users/{id}/books": {Segments: []Segment{literal("users"), variable("id"), literal("books")}},
		"/a/**":             {Segments: []Segment{literal("a")}, Rest: true},
		"/**":               {Segments: []Segment{}, Rest: true},
		"/{a}/{b}/**":       {Segments: []Segment{variable("a"), variable("b")}, Rest: true},
	} {
		got, err := ParsePath(path)
		if err != nil || got.Rest != want.Rest || len(got.Segments) != len(want.Segments) || len(want.Segments) > 0 && !reflect.DeepEqual(got.Segments, want.Segments) {
			t.Errorf("%s is %+v (%v), want %+v", path, got, err, want)
		}
	}
}

func TestPathMatches(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		yes, not []string
	}{
		{"/", []string{"/"}, []string{"", "/a", "a", "*"}},
		{"/a/b", []string{"/a/b"}, []string{"/a", "/a/b/", "/a/b/c", "/A/b", "/a/bc", "a/b"}},
		{"/a/", []string{"/a/"}, []string{"/a", "/a/b"}},
		{"/u/{id}", []string{"/u/1", "/u/a.b;v=1"}, []string{"/u", "/u/", "/u/1/", "/u/1/2"}},
		{"/u/{id}/", []string{"/u/1/"}, []string{"/u/1", "/u//"}},
		{"/a/**", []string{"/a", "/a/", "/a/b", "/a/b/c"}, []string{"/", "/ab", "/b/a", "/ab/c"}},
		{"/**", []string{"/", "/a", "/a/b/"}, []string{"", "*", "a"}},
		{"/{x}/**", []string{"/a", "/a/", "/a/b"}, []string{"/", ""}},
	} {
		pattern, err := ParsePath(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range c.yes {
			if !pattern.Matches(path) {
				t.Errorf("%s does not take %q", c.pattern, path)
			}
		}
		for _, path := range c.not {
			if pattern.Matches(path) {
				t.Errorf("%s takes %q", c.pattern, path)
			}
		}
	}
}

// drawPattern is a valid path over so few words that patterns often meet.
func drawPattern(t *rapid.T) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{x}"}), 0, 3).Draw(t, "segments")
	var b strings.Builder
	for i, s := range segments {
		if s == "{x}" {
			s = "{x" + strings.Repeat("x", i) + "}" // names differ within a path
		}
		b.WriteString("/" + s)
	}
	return b.String() + rapid.SampledFrom([]string{"", "/", "/**"}).Filter(func(end string) bool {
		return end != "" || len(segments) > 0
	}).Draw(t, "end")
}

// drawPath is a path of a request over the same words.
func drawPath(t *rapid.T) string {
	return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 4).Draw(t, "path"), "/") +
		rapid.SampledFrom([]string{"", "/"}).Draw(t, "slash")
}

func TestPathIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := drawPattern(t)
		pattern, err := ParsePath(path)
		if err != nil || pattern.String() != path {
			t.Fatalf("%s was read as %s (%v)", path, pattern, err)
		}
	})
}

// comparePaths compares routes that differ in their paths alone.
func comparePaths(p, q PathPattern) int {
	s := Specificity{path: p, variables: p.Variables()}
	return s.Compare(&Specificity{path: q, variables: q.Variables()})
}

// TestEqualPathsDifferInVariableNames, and in nothing else.
func TestEqualPathsDifferInVariableNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawPattern(t), drawPattern(t)
		parsedP, _ := ParsePath(p)
		parsedQ, _ := ParsePath(q) // drawn patterns are valid
		if equal := comparePaths(parsedP, parsedQ) == 0; equal != (p == q) {
			t.Fatalf("%s and %s are equal: %v", p, q, equal)
		}
	})
	a, _ := ParsePath("/users/{id}/**")
	b, _ := ParsePath("/users/{name}/**")
	if comparePaths(a, b) != 0 {
		t.Error("the name of a variable makes a difference")
	}
}

// TestNarrowerPathIsFirst makes a pattern narrower in every way there is. The
// narrower one must go first, and take nothing that the other does not.
func TestNarrowerPathIsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide, err := ParsePath(drawPattern(t))
		if err != nil {
			t.Fatal(err)
		}
		narrow := PathPattern{Segments: append([]Segment(nil), wide.Segments...), Rest: wide.Rest}
		for i, s := range narrow.Segments {
			if s.Variable != "" && rapid.Bool().Draw(t, "fix variable") {
				narrow.Segments[i] = Segment{Literal: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "literal")}
			}
		}
		if wide.Rest {
			for range rapid.IntRange(0, 2).Draw(t, "further segments") {
				narrow.Segments = append(narrow.Segments, Segment{Variable: "more"})
			}
			narrow.Rest = rapid.Bool().Draw(t, "rest")
		}
		same := narrow.String() == wide.String()
		if got := comparePaths(narrow, wide); same && got != 0 || !same && got >= 0 {
			t.Fatalf("%s is compared to %s as %d", narrow, wide, got)
		}
		if path := drawPath(t); narrow.Matches(path) && !wide.Matches(path) {
			t.Fatalf("%s takes %s, and %s does not", narrow, path, wide)
		}
	})
}
