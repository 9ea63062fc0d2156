package split

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// to are destinations of those weights, called a, b, c and so on.
func to(weights ...int) []*config.Destination {
	var all []*config.Destination
	for i, w := range weights {
		all = append(all, &config.Destination{Backend: string(rune('a' + i)), Weight: &w})
	}
	return all
}

// weights draws those of so many sides, of which one at least is above 0.
func weights(t *rapid.T, sides int, name string) []int {
	all := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 100), rapid.IntRange(0, 1_000_000)), sides, sides).Draw(t, name)
	if sum(all) == 0 {
		all[rapid.IntRange(0, sides-1).Draw(t, "the one")] = 1
	}
	return all
}

func sum(all []int) (n int64) {
	for _, w := range all {
		n += int64(w)
	}
	return n
}

// widths are those of the sides, by their names.
func (l Line) widths() map[string]float64 {
	out := map[string]float64{}
	for _, side := range l {
		out[side.Backend] += float64(side.Width)
	}
	return out
}

// moved is how many points change from one side to another between two lines.
func moved(before, after Line) map[[2]string]float64 {
	out := map[[2]string]float64{}
	end := func(l Line) []uint32 {
		var at uint32
		var ends []uint32
		for _, side := range l {
			at += side.Width
			ends = append(ends, at)
		}
		return ends
	}
	a, b := end(before), end(after)
	for i, j, at := 0, 0, uint32(0); at < Points; {
		for a[i] <= at {
			i++
		}
		for b[j] <= at {
			j++
		}
		next := min(a[i], b[j])
		if before[i].Backend != after[j].Backend {
			out[[2]string{before[i].Backend, after[j].Backend}] += float64(next - at)
		}
		at = next
	}
	return out
}

// TestLine: every side has its share, to a point, and together they have the line.
func TestLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := weights(t, rapid.IntRange(1, 6).Draw(t, "sides"), "weights")
		line := Of(to(all...))
		total := 0.0
		for name, width := range line.widths() {
			w := all[name[0]-'a']
			if exact := float64(w) / float64(sum(all)) * Points; math.Abs(width-exact) > 1 || w == 0 && width != 0 {
				t.Fatalf("%v: %s has %v points, its share is %v", all, name, width, exact)
			}
			total += width
		}
		if total != Points || len(line) != len(all) {
			t.Fatalf("%v: %v", all, line)
		}
		point := rapid.Uint32Range(0, Points-1).Draw(t, "point")
		if line.widths()[line.At(point)] == 0 {
			t.Fatalf("%v: point %d is on %q, which has none", all, point, line.At(point))
		}
	})
}

// TestOnlyTheShareMoves: of two sides, exactly what one gains, from the other; of
// three, what one gains while another stands comes from the first alone.
func TestOnlyTheShareMoves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after := Of(to(weights(t, 2, "before")...)), Of(to(weights(t, 2, "after")...))
		gains := after.widths()["b"] - before.widths()["b"]
		want := map[[2]string]float64{}
		if gains > 0 {
			want[[2]string{"a", "b"}] = gains
		} else if gains < 0 {
			want[[2]string{"b", "a"}] = -gains
		}
		if got := moved(before, after); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v to %v: %v moved, want %v", before, after, got, want)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		all := weights(t, 3, "before")
		for i := range all {
			all[i]++ // so that the first has something to give
		}
		gain := rapid.IntRange(0, all[0]).Draw(t, "gain")
		which := rapid.IntRange(1, 2).Draw(t, "which")
		next := append([]int(nil), all...)
		next[0], next[which] = next[0]-gain, next[which]+gain
		for pair, points := range moved(Of(to(all...)), Of(to(next...))) {
			if pair != [2]string{"a", string(rune('a' + which))} {
				t.Fatalf("%v to %v: %v points moved from %s to %s", all, next, points, pair[0], pair[1])
			}
		}
	})
}

// TestSameShareSameLine, however the weights say it.
func TestSameShareSameLine(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2][]int{{{95, 5}, {19, 1}}, {{75, 25}, {3, 1}}, {{50, 30, 20}, {5, 3, 2}}, {{0, 1}, {0, 100}}} {
		if a, b := Of(to(pair[0]...)), Of(to(pair[1]...)); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%v: %v, and %v: %v", pair[0], a, pair[1], b)
		}
	}
	if got, want := fmt.Sprint(Of(to(80, 15, 5))), "[{c 50000} {a 800000} {b 150000}]"; got != want {
		t.Errorf("80, 15, 5 lie as %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(layoutNames(5)), "[c e a d b]"; got != want {
		t.Errorf("five lie as %s, want %s", got, want)
	}
	if got := fmt.Sprint(Of([]*config.Destination{{Backend: "alone"}})); got != "[{alone 1000000}]" {
		t.Errorf("one lies as %s", got)
	}
}

func layoutNames(n int) []string {
	var out []string
	for _, d := range layout(to(make([]int, n)...)) {
		out = append(out, d.Backend)
	}
	return out
}

// TestPoints: callers are spread evenly over the line, by the hash that Envoy has.
// These values are of Envoy 1.40 (test/sticky_test.go holds the two together).
func TestPoints(t *testing.T) {
	t.Parallel()
	if got := Point(""); got != 0xef46db3751d8e999%Points {
		t.Errorf("the point of an empty value is %d", got)
	}
	if Point("a", "b") == Point("ab") || Point("a", "b") == Point("b", "a") {
		t.Error("several values are hashed as one")
	}
	const callers, bins = 100_000, 100
	var count [bins]float64
	for i := range callers {
		count[Point(fmt.Sprintf("main:user-%d", i))/(Points/bins)]++
	}
	chi := 0.0
	for _, n := range count {
		chi += (n - callers/bins) * (n - callers/bins) / (callers / bins)
	}
	if chi > 149 { // 99 degrees of freedom: a chance of 1 in 1000, and always the same
		t.Errorf("chi square is %v", chi)
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"a=1": "1", "b=2; a=1": "1", "b=2;a=1": "1", "a=1; a=2": "1", `a="1"`: "1", `a="`: `"`, "a=1=2; b": "1=2", "aa=1; a=2": "2", "a= 1 ;b": " 1 ", "a=": "",
	} {
		if got, ok := Cookie(header, "a"); !ok || got != want {
			t.Errorf("%q: %q, %t; want %q", header, got, ok, want)
		}
	}
	for _, header := range []string{"", "a", "A=1", "b=a=1", "; ;"} {
		if got, ok := Cookie(header, "a"); ok {
			t.Errorf("%q: %q", header, got)
		}
	}
}

// FuzzCookie: any bytes are read without harm, and what is read is in them.
func FuzzCookie(f *testing.F) {
	for _, header := range []string{"", "a=1", `x=2; a="1"; a=3`, ";;=a=", "a", "\xff=\x00; a=\xff", `a="`} {
		f.Add(header, "a")
	}
	f.Fuzz(func(t *testing.T, header, name string) {
		for value := range Cookies(header, name) {
			if !strings.Contains(header, name+"="+value) && !strings.Contains(header, name+`="`+value+`"`) {
				t.Errorf("%q is not a cookie %q of %q", value, name, header)
			}
			if Point(value) >= Points {
				t.Errorf("%q is beyond the line", value)
			}
		}
	})
}
