package config

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPathIndexFindsWhatOverlaps, and nothing else.
func TestPathIndexFindsWhatOverlaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var patterns []PathPattern
		var index PathIndex
		for i, path := range rapid.SliceOfN(rapid.Custom(drawPattern), 1, 20).Draw(t, "paths") {
			p, err := ParsePath(path)
			if err != nil {
				t.Fatal(err)
			}
			patterns = append(patterns, p)
			index.Add(p, i)
		}
		for _, p := range patterns {
			var want []int
			for i, q := range patterns {
				if overlap(p, q) {
					want = append(want, i)
				}
			}
			got := index.Overlapping(p)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s overlaps with %v of %v, found were %v", p, want, patterns, got)
			}
		}
	})
}

// overlap tells, by a plain reading of the rules, whether some path is taken by
// both patterns.
func overlap(p, q PathPattern) bool {
	shared := min(len(p.Segments), len(q.Segments))
	if len(p.Segments) > shared && !q.Rest || len(q.Segments) > shared && !p.Rest {
		return false
	}
	for i := range shared {
		a, b := p.Segments[i], q.Segments[i]
		switch {
		case a.Variable != "" && b.Variable != "":
		case a.Variable != "" && b.Literal == "", b.Variable != "" && a.Literal == "":
			return false // a variable takes no empty segment
		case a.Variable == "" && b.Variable == "" && a.Literal != b.Literal:
			return false
		}
	}
	return true
}

func TestPathsOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"/a", "/a", true}, {"/a", "/b", false}, {"/a", "/a/", false}, {"/a", "/a/b", false},
		{"/a", "/a/**", true}, {"/a/", "/a/**", true}, {"/a/b/c", "/a/**", true}, {"/ab", "/a/**", false}, {"/", "/**", true},
		{"/{x}", "/a", true}, {"/{x}", "/", false}, {"/{x}/b", "/a/{y}", true}, {"/{x}/b", "/a/c", false}, {"/a/{x}", "/a/", false},
		{"/a/**", "/a/b/**", true}, {"/a/**", "/b/**", false}, {"/**", "/{x}/{y}", true}, {"/a/{x}/**", "/a", false},
	} {
		a, errA := ParsePath(c.a)
		b, errB := ParsePath(c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if overlap(a, b) != c.want || overlap(b, a) != c.want {
			t.Errorf("%s and %s overlap: %t and %t, want %t", c.a, c.b, overlap(a, b), overlap(b, a), c.want)
		}
	}
}
