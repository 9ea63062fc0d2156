package test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestSecurityTableNamesRealTests: a threat is answered by tests that exist, in the
// package that stands before them.
func TestSecurityTableNamesRealTests(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{} // by package and name
	packages := map[string]bool{}
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(f)), "../")
			packages[pkg] = true
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllSubmatch(text, -1) {
				exists[pkg+" "+string(m[1])] = true
			}
		}
	}
	named, rows := 0, map[int]bool{}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 4 {
			continue
		}
		for number := range strings.SplitSeq(strings.TrimPrefix(cells[0], "| "), ", ") {
			if n, err := strconv.Atoi(number); err == nil {
				rows[n] = true
			}
		}
		pkg, inRow := "", 0
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1) {
			switch word := m[1]; {
			case packages[word]:
				pkg = word
			case !exists[pkg+" "+word]:
				t.Errorf("row %s names %s in package %q, which does not exist", strings.TrimPrefix(cells[0], "| "), word, pkg)
			default:
				inRow++
			}
		}
		if inRow == 0 && rows[1] { // beyond the head of the table
			t.Errorf("no test answers row %s", strings.TrimPrefix(cells[0], "| "))
		}
		named += inRow
	}
	if named < 200 {
		t.Errorf("the table names %d tests: was it read?", named)
	}
	for n := 1; n <= 35; n++ {
		if !rows[n] {
			t.Errorf("no row %d", n)
		}
	}
}

// TestBreakerDocumentSaysTheDefaults: the first breaker of the page has the values that one
// has which says nothing. (That all of the page are valid, TestDocumentBlocks holds.)
func TestBreakerDocumentSaysTheDefaults(t *testing.T) {
	t.Parallel()
	shown := blocksOf(t, "docs/breakers.md")[0].text
	c, err := config.Parse("gateway.yaml", []byte(wholeConfig(shown)))
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Backends["orders"].Breaker; b == nil || !reflect.DeepEqual(sameAsDefaults(b), &config.Breaker{}) {
		t.Errorf("it is %+v", b)
	}
}

// sameAsDefaults is a breaker without what it says of the defaults again.
func sameAsDefaults(b *config.Breaker) *config.Breaker {
	out, none := *b, &config.Breaker{}
	if b.Rate() == none.Rate() {
		out.ErrorRate = nil
	}
	if b.Over() == none.Over() {
		out.Window = 0
	}
	if b.Least() == none.Least() {
		out.MinRequests = 0
	}
	if b.FirstOpen() == none.FirstOpen() {
		out.OpenFor = 0
	}
	return &out
}
