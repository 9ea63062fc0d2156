package authz

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// The leeway is allowed once, and to the second: valid while
// nbf - skew <= now < exp + skew, and iat <= now + skew.
func TestTimesToTheSecond(t *testing.T) {
	keys := keySetsFor(t, mainJWT())
	at := noon.Unix()
	for _, skew := range []time.Duration{30 * time.Second, 5 * time.Second} {
		provider := mainJWT()
		if skew != defaultSkew { // 0 in the config is the default
			provider.ClockSkew = config.Duration(skew)
		}
		s := int64(skew / time.Second)
		for _, c := range []struct {
			name   string
			claims map[string]any
			want   Reason
		}{
			{"exp a second before the edge", map[string]any{"exp": at - s + 1}, ReasonAllowed},
			{"exp at the edge", map[string]any{"exp": at - s}, ReasonTokenExpired},
			{"exp a second behind the edge", map[string]any{"exp": at - s - 1}, ReasonTokenExpired},
			{"exp half a second before the edge", map[string]any{"exp": float64(at-s) + 0.5}, ReasonAllowed},
			{"exp now", map[string]any{"exp": at}, ReasonAllowed},
			{"nbf a second before the edge", map[string]any{"nbf": at + s - 1}, ReasonAllowed},
			{"nbf at the edge", map[string]any{"nbf": at + s}, ReasonAllowed},
			{"nbf a second behind the edge", map[string]any{"nbf": at + s + 1}, ReasonTokenNotYetValid},
			{"iat at the edge", map[string]any{"iat": at + s}, ReasonAllowed},
			{"iat a second behind the edge", map[string]any{"iat": at + s + 1}, ReasonTokenNotYetValid},
			{"nbf 0", map[string]any{"nbf": 0}, ReasonAllowed},
			{"the last second there is", map[string]any{"exp": int64(maxNumericDate)}, ReasonAllowed},
		} {
			_, got := verifyRaw(t.Context(), keys, provider, rsaSigner().token(c.claims), noon)
			if got != c.want {
				t.Errorf("skew %s, %s: got %s, want %s", skew, c.name, got, c.want)
			}
		}
	}
}

// One token, and the clock goes on: the end is where exp + skew says.
func TestTokenEndsOnce(t *testing.T) {
	keys := keySetsFor(t, mainJWT())
	raw := rsaSigner().token(map[string]any{"exp": noon.Unix()})
	for after, want := range map[time.Duration]Reason{
		0:                              ReasonAllowed,
		29 * time.Second:               ReasonAllowed,
		30*time.Second - 1:             ReasonAllowed,
		30 * time.Second:               ReasonTokenExpired,
		31 * time.Second:               ReasonTokenExpired,
		60*time.Second - 1:             ReasonTokenExpired, // not twice
		24 * time.Hour * 365 * 10:      ReasonTokenExpired,
		-time.Minute - 30*time.Second:  ReasonAllowed, // iat is a minute before noon
		-time.Minute - 31*time.Second:  ReasonTokenNotYetValid,
		-24 * time.Hour * 365 * 10 * 5: ReasonTokenNotYetValid,
	} {
		if _, got := verifyRaw(t.Context(), keys, mainJWT(), raw, noon.Add(after)); got != want {
			t.Errorf("%s after exp: got %s, want %s", after, got, want)
		}
	}
}

func TestScopes(t *testing.T) {
	for payload, want := range map[string][]string{
		`{}`:                                 nil,
		`{"scope":""}`:                       nil,
		`{"scope":"a b"}`:                    {"a", "b"},
		`{"scope":"  a  b "}`:                {"a", "b"},
		`{"scope":"a\tb c"}`:                 {"a\tb", "c"}, // only a space parts scopes
		`{"scp":"a b"}`:                      {"a", "b"},
		`{"scp":["a","b c"]}`:                {"a", "b c"}, // an element is one scope
		`{"scope":"a","scp":["b"]}`:          {"a", "b"},
		`{"scp":[]}`:                         nil,
		`{"Scope":"a","SCP":"b","scopes":1}`: nil,
	} {
		c, err := decodeClaims([]byte(payload))
		if err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		got, ok := c.scopes()
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%s: got %q (%t), want %q", payload, got, ok, want)
		}
	}
}

func TestClaimHolds(t *testing.T) {
	c, err := decodeClaims([]byte(`{"role":"buyer","groups":["a","b"],"level":7.0,"admin":true,"o":{"x":"y"},
		"n":null,"mixed":["x",1,null,["deep"]],"empty":""}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		claim  string
		values []string
		want   bool
	}{
		{"role", []string{"admin", "buyer"}, true},
		{"role", []string{"Buyer"}, false},
		{"role", []string{"buy"}, false},
		{"role", nil, false},
		{"groups", []string{"b"}, true},
		{"groups", []string{"a,b"}, false},
		{"groups", []string{`["a","b"]`}, false},
		{"level", []string{"7"}, true},
		{"level", []string{"7.0"}, false},
		{"admin", []string{"true"}, true},
		{"o", []string{`{"x":"y"}`}, false},
		{"n", []string{"", "null"}, false},
		{"absent", []string{""}, false},
		{"empty", []string{""}, true},
		{"mixed", []string{"1"}, true},
		{"mixed", []string{"deep", ""}, false},
	} {
		if got := c.holds(x.claim, x.values); got != x.want {
			t.Errorf("%s in %q: %t, want %t", x.claim, x.values, got, x.want)
		}
	}
}

// TestGrantsIsScopes: a scope is granted where it is one of the scopes, and
// nowhere else.
func TestGrantsIsScopes(t *testing.T) {
	t.Parallel()
	word := rapid.SampledFrom([]string{"a", "b", "ab", "a\tb", "", "ü"})
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 4).Draw(t, "words"), rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(t, "space"))
	})
	rapid.Check(t, func(t *rapid.T) {
		c := claims{}
		if rapid.Bool().Draw(t, "scope") {
			c["scope"] = text.Draw(t, "scope's text")
		}
		switch rapid.IntRange(0, 2).Draw(t, "scp") {
		case 1:
			c["scp"] = text.Draw(t, "scp's text")
		case 2:
			var all []any
			for _, w := range rapid.SliceOfN(text, 0, 3).Draw(t, "scp's elements") {
				all = append(all, w)
			}
			c["scp"] = all
		}
		granted, ok := c.scopes()
		if asked := text.Draw(t, "asked"); ok && c.grants(asked) != slices.Contains(granted, asked) {
			t.Errorf("%v grants %q: %v, and has the scopes %q", c, asked, c.grants(asked), granted)
		}
	})
}
