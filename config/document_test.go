package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// faultsOf are the faults of a file named f.yaml with the given content.
func faultsOf(t fataler, content string) Faults {
	t.Helper()
	_, err := Parse("f.yaml", []byte(content))
	var faults Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatalf("error is %v, want Faults", err)
	}
	return faults
}

// TestSyntaxFaultLine pins the lines that are made of the YAML parser's.
func TestSyntaxFaultLine(t *testing.T) {
	for _, c := range []struct {
		name string
		line int
		yaml string
	}{
		{"two colons on the first line", 1, "a: b: c\nd: 1\n"},
		{"deeper than its mapping", 3, "a: 1\nb: 2\n c: 3\nd: 4\n"},
		{"between two depths", 4, "x: 1\na:\n  b: 1\n c: 2\n  d: 3\ne: 4\n"},
		{"a key in a list", 4, "x:\n  - a\n  - b\n  c: d\ne: 5\nf: 6\n"},
		{"less deep than its entry", 5, "x:\n  y:\n    - a: 1\n      b: 2\n     c: 3\n    - a: 4\nz: 1\n"},
		{"an entry in a mapping", 3, "x: 1\ny: 1\n- a\nb: 3\nc: 4\n"},
		{"text after a quoted string", 3, "x: 1\ny: 1\nz: 'a'b\nb: 3\nc: 4\n"},
		{"a word without a colon", 3, "x: 1\ny: 1\njust text\nb: 3\nc: 4\n"},
		{"an open list before more lines", 2, "x: 1\na: [1, 2\nb: 3\nc: 4\nd: 5\n"},
		{"an open list at the end", 2, "x: 1\na: [1, 2\n"},
		{"an open mapping on the first line, where it comes to light", 2, "a: {b: 1\nc: 2\n"},
		{"the wrong bracket", 3, "x: 1\ny: 1\nz: {a: 1, b: 2]\nb: 3\nc: 4\n"},
		{"a bracket out of nowhere", 3, "x: 1\ny: 1\nz: }\nb: 3\nc: 4\n"},
		{"an open string", 2, "x: 1\na: \"open\nb: 3\nc: 4\n"},
		{"a tab for indentation", 3, "x: 1\ny:\n\tz: 1\nb: 3\n"},
		{"a reserved character", 3, "x: 1\ny: 1\nz: @foo\nb: 3\n"},
		{"an unknown escape", 3, "x: 1\ny: 1\nz: \"\\q\"\nb: 3\n"},
		{"an unknown alias", 3, "x: 1\ny: 1\nz: *foo\nb: 3\nc: 4\n"},
		{"an unknown tag handle", 3, "x: 1\ny: 1\nz: !foo!bar a\nb: 3\nc: 4\n"},
		{"two anchors", 3, "x: 1\ny: 1\nz: &a &b c\nb: 3\nc: 4\n"},
		{"a version of YAML to come", 1, "%YAML 3.0\n---\nx: 1\n"},
		{"in a second document", 4, "x: 1\ny: 1\n---\nz: [\nb: 3\nc: 4\n"},
		{"after a plain text of many lines", 8, "x: 1\ny: a\n  b\n  c\n  d\n  e\n  f\n g: 1\nb: 3\nc: 4\n"},
		{"with Windows line ends", 3, "a: 1\r\nb: 2\r\n c: 3\r\nd: 4\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults := faultsOf(t, c.yaml)
			if len(faults) != 1 || !strings.HasPrefix(faults[0].Rule, "YAML syntax: ") {
				t.Fatalf("faults are %v, want one of syntax", faults)
			}
			if faults[0].Line != c.line {
				t.Errorf("%v, want line %d", faults[0], c.line)
			}
		})
	}
}

// panicking is a stream that meets a fault of the parser's own.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("internal error: please report") }

func TestParserPanicIsAnError(t *testing.T) {
	if _, _, err := documents(panicking{}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("error is %v", err)
	}
}

func TestTextFaults(t *testing.T) {
	for _, c := range []struct {
		name, content, want string
	}{
		{"not UTF-8", "a: 1\nb: \xff\xfe\n", "f.yaml:2: the file must be UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "f.yaml:1: the file must be UTF-8"},
		{"NUL", "a: 1\n\nb: \x00\n", "f.yaml:3: the file must not contain the character U+0000"},
		{"a line separator", "a: \u2028\n", "f.yaml:1: the file must not contain the character U+2028"},
		{"a byte order mark within", "a: \uFEFF\n", "f.yaml:1: the file must not contain the character U+FEFF"},
		{"a C1 control character", "a: \u0085\n", "f.yaml:1: the file must not contain the character U+0085"},
		{"one a line", "a: \x01\x02\x03\nb: \x01\n", "f.yaml:1: the file must not contain the character U+0001\n" +
			"f.yaml:2: the file must not contain the character U+0001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := faultsOf(t, c.content).Error(); got != c.want {
				t.Errorf("faults are\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestSyntaxFaultIsBounded: the parser repeats names from the file.
func TestSyntaxFaultIsBounded(t *testing.T) {
	for _, name := range []string{strings.Repeat("a", 1000), "a\u200bb"} {
		got := faultsOf(t, "routes: *"+name+"\n").Error()
		if len(got) > 300 || strings.Contains(got, "\u200b") {
			t.Errorf("%s", got)
		}
	}
}

// TestTextThatYAMLTakes holds textFaults to refuse nothing that is well
// written: the characters at the edges of what YAML allows.
func TestTextThatYAMLTakes(t *testing.T) {
	minimal, err := os.ReadFile("testdata/good/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	comment := "# \t ~ \u00A0 \uD7FF \uE000 \uFFFD \U00010000 \U0010FFFF é 日本\r\n"
	if faults := faultsOf(t, "\uFEFF"+comment+string(minimal)+"...\n"); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestSizeIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(file, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	want := fmt.Sprintf("%s:1: the file has %d bytes, must have at most %d", file, MaxSize+1, MaxSize)
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// TestDepthIsBounded nests deeper than any field: what the types do not have is
// refused at its top, and what the parser does not take is a fault as well.
func TestDepthIsBounded(t *testing.T) {
	for _, depth := range []int{100, 9_000, 100_000} {
		for _, content := range []string{
			"routes: " + strings.Repeat("[", depth) + strings.Repeat("]", depth),
			"routes: " + strings.Repeat("{a: ", depth) + strings.Repeat("}", depth),
			"unknown: " + strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat("[", depth),
			strings.Repeat("- ", depth),
		} {
			if faults := faultsOf(t, content); len(faults) == 0 {
				t.Errorf("no fault in %.20s… of depth %d", content, depth)
			}
		}
	}
}

// TestAliasesAreBounded gives every route the ten hosts of one anchor: eleven
// values a route.
func TestAliasesAreBounded(t *testing.T) {
	gateway := func(routes int) string {
		var b strings.Builder
		b.WriteString("listeners: [{name: public, address: 0.0.0.0:8080}]\nroutes:\n" +
			"- {name: r, match: {path: /, hosts: &h [a, b, c, d, e, f, g, h, i, j]}, auth: public, respond: {status: 200}}\n")
		for i := range routes {
			fmt.Fprintf(&b, "- {name: r%d, match: {path: /r%d, hosts: *h}, auth: public, respond: {status: 200}}\n", i, i)
		}
		return b.String()
	}
	if faults := faultsOf(t, gateway(maxExpanded/11)); len(faults) > 0 {
		t.Errorf("within the bound: %v", faults[0])
	}
	got := faultsOf(t, gateway(maxExpanded/11+2)).Error()
	want := "f.yaml:3: routes[9091].match.hosts[9]: the aliases of the file stand for more than 100000 values"
	if got != want {
		t.Errorf("beyond the bound:\n%s\nwant\n%s", got, want)
	}
}

// TestBillionLaughs is the bomb as it is told: lists of lists of lists. Their
// types end it, and a list that holds itself.
func TestBillionLaughs(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	bomb += "routes: *z\nbackends: &self {a: *self}\nlisteners: &me [*me, *me]\n"
	faults := faultsOf(t, bomb)
	for _, want := range []string{"routes[0]: must be a mapping, not a list", "backends.a.a: unknown field", "listeners[0]: must be a mapping, not a list"} {
		if !strings.Contains(faults.Error(), want) {
			t.Errorf("no fault %q", want)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	if binary := faultsOf(t, strings.Repeat("\xff\n", 5*maxFaults)); len(binary) != maxFaults {
		t.Errorf("%d faults of the text, want %d", len(binary), maxFaults)
	}
	faults := faultsOf(t, strings.Repeat("unknown: 1\n", 5*maxFaults))
	if len(faults) != maxFaults+1 {
		t.Fatalf("%d faults, want %d and a last word", len(faults), maxFaults)
	}
	if got := faults[maxFaults].Rule; got != "more than 1000 faults: the rest are not shown" {
		t.Errorf("the last word is %q", got)
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := Load(missing)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("error is %v, want that %s is not there", err, missing)
	}
	var faults Faults
	if errors.As(err, &faults) {
		t.Error("a file that cannot be read is no faulty config")
	}
}
