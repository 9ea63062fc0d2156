package authz

import (
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCanonicalNumber(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e5": "0", "1": "1", "1.0": "1", "10e-1": "1", "0.1e1": "1",
		"-1.50": "-1.5", "100": "100", "1e2": "100", "1E+2": "100", "0.001": "0.001", "1e-3": "0.001",
		"123.456": "123.456", "1e21": "1e21", "1e20": "100000000000000000000",
		"12345678901234567890":   "12345678901234567890",
		"12345678901234567891":   "12345678901234567891", // not the same as a float64
		"1234567890123456789012": "1.234567890123456789012e21",
		"1e-7":                   "1e-7", "1.5e-9": "1.5e-9", "0.000001": "0.000001", "1e9999": "1e9999",
	} {
		if got := canonicalNumber(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// Two spellings are equal if and only if their exact values are.
func TestCanonicalNumberIsInjective(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if (canonicalNumber(a) == canonicalNumber(b)) != (x.Cmp(y) == 0) {
			t.Fatalf("%s is %s, %s is %s", a, canonicalNumber(a), b, canonicalNumber(b))
		}
		again, ok := new(big.Rat).SetString(canonicalNumber(a))
		if !ok || again.Cmp(x) != 0 || !json.Valid([]byte(canonicalNumber(a))) {
			t.Fatalf("%s became %s", a, canonicalNumber(a))
		}
	})
}

func TestClaimText(t *testing.T) {
	for payload, want := range map[string]string{
		`"a b"`: "a b", `""`: "", `null`: "", `true`: "true", `7.0`: "7",
		`[1.0,"x",null]`:           `[1,"x",null]`,
		`{"b":[],"a":{"c":false}}`: `{"a":{"c":false},"b":[]}`,
		`"\u0000\n"`:               "\x00\n",
	} {
		object, err := decodeObject([]byte(`{"v":` + payload + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := claimText(object["v"]); got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
}

func TestHeaderText(t *testing.T) {
	for in, want := range map[string]string{
		"alice":              "alice",
		"":                   "",
		"Zoë, Łódź":          "Zoë, Łódź",
		"a\r\nX-Admin: true": "a%0D%0AX-Admin: true",
		"a\x00b\tc\x7f":      "a%00b%09c%7F",
		"100%":               "100%25",
		"%0A":                "%250A",
		" a b ":              "%20a b%20",
		"  ":                 "%20%20",
		"a\xffb":             "a%FFb",
		"\u0085\u200b":       "%C2%85\u200b",
		"\ufffd":             "\ufffd",
	} {
		if got := headerText(in, ""); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := headerText("a,b", ","); got != "a%2Cb" {
		t.Errorf("comma in an element: %q", got)
	}
}

// isHeaderValue reports whether s arrives at the backend as it was sent: valid
// UTF-8, no control characters, no space at either end.
func isHeaderValue(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) && strings.Trim(s, " \t") == s
}

// The encoding can be undone, so no two callers look alike to the backend.
func TestHeaderTextIsInjective(t *testing.T) {
	hostile := rapid.StringOfN(rapid.RuneFrom([]rune("a% ,\r\n\x00\t\x7f\u0085é\ufffd0DA2")), 0, 12, -1)
	bytes := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")) })
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(hostile, bytes, rapid.String()).Draw(t, "s")
		also := rapid.SampledFrom([]string{"", ","}).Draw(t, "also")
		got := headerText(s, also)
		if !isHeaderValue(got) || also != "" && strings.ContainsAny(got, also) {
			t.Fatalf("%q became %q", s, got)
		}
		if back, err := url.PathUnescape(got); err != nil || back != s {
			t.Fatalf("%q became %q, and back %q (%v)", s, got, back, err)
		}
	})
}

func TestForwardText(t *testing.T) {
	for payload, want := range map[string]string{
		`"a\r\nb"`: "a%0D%0Ab", `12.50`: "12.5", `true`: "true", `null`: "", `{"a":1}`: "", `[]`: "",
		`["a","b,c"]`: "a,b%2Cc", `["a",1]`: "", `[["a"]]`: "", `["a"," "]`: "a,%20",
	} {
		object, err := decodeObject([]byte(`{"v":` + payload + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := forwardText(object["v"]); got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
}
