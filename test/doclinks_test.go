package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentLinks: what a document refers to in this repository is there, with the
// heading that it names.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	files := documents(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	seen := 0
	for _, file := range files {
		text := read(t, file)
		for _, m := range link.FindAllStringSubmatch(withoutBlocks(text), -1) {
			if regexp.MustCompile(`^[a-z]+:`).MatchString(m[1]) {
				continue // of the world
			}
			seen++
			path, heading, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s refers to %s, which is not there", file, m[1])
				continue
			}
			if heading != "" && strings.HasSuffix(target, ".md") && !headings(read(t, target))[heading] {
				t.Errorf("%s refers to %s: there is no such heading", file, m[1])
			}
		}
	}
	if seen < 200 {
		t.Errorf("only %d links are seen", seen)
	}
}

// documents are the pages of this repository.
func documents(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md", "../*/README.md", "../bench/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutBlocks is a page without what it shows of other languages.
func withoutBlocks(page string) string {
	return regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAllString(page, "")
}

// headings are those of a page, as they are referred to.
func headings(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, ""), -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N}\- _]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return out
}

// TestOperationsNameWhatThereIs: alerts, metrics and tests that the page on operations
// names exist.
func TestOperationsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	page := read(t, "../docs/operations.md")
	alerts, metrics := read(t, "../deploy/prometheus/alerts.yml"), read(t, "../docs/metrics.md")
	named := 0
	for _, m := range regexp.MustCompile("`(Gatewright[A-Za-z]+|gatewright_[a-z_]+|Test[A-Za-z]+)").FindAllStringSubmatch(page, -1) {
		named++
		there := false
		switch name := m[1]; {
		case strings.HasPrefix(name, "Gatewright"):
			there = strings.Contains(alerts, "alert: "+name+"\n")
		case strings.HasPrefix(name, "gatewright_"):
			there = strings.Contains(metrics, "| `"+name+"`")
		default:
			found, err := filepath.Glob("*_test.go")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range found {
				there = there || strings.Contains(read(t, file), "func "+name+"(")
			}
		}
		if !there {
			t.Errorf("docs/operations.md names %s, and there is none", m[1])
		}
	}
	if named < 10 {
		t.Errorf("it names %d", named)
	}
}
