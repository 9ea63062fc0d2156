package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestMigrationDocuments: what the pages on other gateways show in their language is
// in it where this machine can tell, and a config of ours comes after it (which
// TestDocumentBlocks has judged).
func TestMigrationDocuments(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/migrate/*.md")
	if err != nil || len(pages) != 3 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	block := regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		ours := 0
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			switch kind, shown := m[1], m[2]; {
			case strings.HasPrefix(shown, "# gateway.yaml"):
				ours++
			case strings.HasPrefix(shown, "# api.yaml"):
				imports(t, shown)
			case kind == "nginx":
				nginxTakes(t, shown)
			}
		}
		if ours != 1 {
			t.Errorf("%s shows %d configs", page, ours)
		}
	}
}

// imports holds that a document is imported as the page says: with its scopes and issuer.
func imports(t *testing.T, document string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(binaries, "gatewright"), "import", "openapi", file,
		"--backend", "orders=http://orders.internal:8000", "--issuer", "https://id.example.com/", "--audience", "api").Output()
	if err != nil {
		t.Fatal(err)
	}
	wants(`scopes: ["orders.read"]`, `path: "/orders/{id}"`, `issuer: "https://id.example.com/"`)(t, string(out))
}

// nginxTakes holds that what is shown of an http block is one.
func nginxTakes(t *testing.T, shown string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	shown = strings.ReplaceAll(shown, "listen 8080", "listen "+testenv.Addr(t)) // it is bound for a moment
	whole := "pid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\n" + shown + "}\n"
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testenv.NginxProgram(t), "-t", "-q", "-c", file, "-p", dir).CombinedOutput(); err != nil && !strings.Contains(string(out), "syntax is ok") {
		t.Errorf("%v: %s", err, out)
	}
}
