package config

import "testing"

// TestExpressionFitsAsInEnvoy holds values that a real Envoy 1.40 was asked
// about. routing asks it again.
func TestExpressionFitsAsInEnvoy(t *testing.T) {
	for _, c := range []struct {
		regex    string
		yes, not []string
	}{
		{"1[0-9]", []string{"10", "19"}, []string{"1", "100", "210", ""}},
		{"a|ab", []string{"a", "ab"}, []string{"abb", "b"}},
		{".*", []string{"", "\xff", "é"}, nil},
		{"one.", []string{"one\xff"}, []string{"oneé", "one"}},
		{"two..", []string{"twoé"}, nil},
		{"é[é]", []string{"é\xc3", "é\xa9"}, []string{"éé", "é"}},
		{`w\w`, nil, []string{"wé", "w\xe9"}},
		{`p\pL`, []string{"p\xe9"}, []string{"pé"}},
		{"(?i)a[^k]", []string{"A\xe3", "ax"}, []string{"ak", "AK"}},
		{`(?i)a\pL`, []string{"A\xe3", "ax"}, []string{"a1"}},
		{`\xc3\xA9`, []string{"é"}, []string{"É"}},
	} {
		e, err := CompileExpression(c.regex)
		if err != nil {
			t.Fatalf("%s: %v", c.regex, err)
		}
		for _, value := range c.yes {
			if !e.Fits(value) {
				t.Errorf("%s does not fit %q", c.regex, value)
			}
		}
		for _, value := range c.not {
			if e.Fits(value) {
				t.Errorf("%s fits %q", c.regex, value)
			}
		}
	}
	if (Expression{}).Fits("") {
		t.Error("the zero value fits something")
	}
}

// TestExpressionsThatEnvoyReadsInAnotherWay are refused.
func TestExpressionsThatEnvoyReadsInAnotherWay(t *testing.T) {
	for _, regex := range []string{
		"a)|(b", `\x{100}`, `a(b|\x{fffd}c)*`, "(?i)é", "a(?i:é)", `(?i)\xc3`, `(?i)\xe5`, `(?i)[\xc3]`, `(?i)[a\xc3]`, `(?i)[^\xc3]`, `(?i)[\xc0-\xc3]+`,
	} {
		if _, err := CompileExpression(regex); err == nil {
			t.Errorf("%s is taken", regex)
		}
	}
}
