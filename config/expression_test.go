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
		{"(?i)É", []string{"É", "\xe3\x89"}, []string{"é"}},
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
	if _, err := CompileExpression("a)|(b"); err == nil {
		t.Error("brackets that do not match are taken")
	}
}
