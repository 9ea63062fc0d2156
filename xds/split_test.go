package xds

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/split"
)

// TestCookieRegex: Envoy pins by an expression what explain reads out of the header,
// whatever else is in it.
func TestCookieRegex(t *testing.T) {
	t.Parallel()
	pins := func(header, name, value string) bool {
		// Go's expressions have no \C, and a dot takes one of these bytes as well.
		expression := `^(?:` + strings.ReplaceAll(cookieRegex(name, value), anyBytes, `(?s:.*)`) + `)$`
		return regexp.MustCompile(expression).MatchString(header)
	}
	for _, c := range []struct {
		header string
		want   bool
	}{
		{"a=1", true}, {"b=2; a=1", true}, {"b=2;a=1;c=3", true}, {`a="1"`, true}, {"a=2; a=1", true}, {"b=2;  a=1", true},
		{"", false}, {"a=", false}, {"a=11", false}, {"a=1 ; b=2", false}, {"aa=1", false}, {"b=a=1", false}, {"A=1", false}, {`a="1`, false}, {`a=""1""`, false}, {"b; a", false},
	} {
		if got := pins(c.header, "a", "1"); got != c.want {
			t.Errorf("%q: %t", c.header, got)
		}
	}
	if pins("axc=1", "a.c", "1") || pins("a=11", "a", "1+") || !pins("a.c=1+", "a.c", "1+") {
		t.Error("a name or a value is read as an expression")
	}
	part := rapid.StringOfN(rapid.RuneFrom([]rune(`a1.=;" x`)), 0, 24, -1)
	rapid.Check(t, func(t *rapid.T) {
		header := strings.Trim(part.Draw(t, "header"), " ") // as HTTP does
		want := slices.Contains(slices.Collect(split.Cookies(header, "a")), "1")
		if got := pins(header, "a", "1"); got != want {
			t.Fatalf("%q: the expression says %t", header, got)
		}
	})
}
