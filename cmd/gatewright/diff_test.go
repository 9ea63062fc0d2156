package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiffExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, same := file("old.yaml", routed), file("same.yaml", "# another file\n"+routed)
	next, faulty := file("next.yaml", strings.ReplaceAll(routed, "/open", "/opened")), file("faulty.yaml", "routes: 1")
	for _, c := range []struct {
		want int
		args []string
	}{
		{0, []string{old, same}},
		{0, []string{old, same, "-o", "json"}},
		{1, []string{old, next}},
		{1, []string{old, next, "--all", "-o", "json"}},
		{2, []string{old, faulty}},
		{2, []string{faulty, old}},
		{2, []string{old, filepath.Join(dir, "none.yaml")}},
		{2, []string{old}},
		{2, []string{old, next, "-o", "xml"}},
	} {
		if got := execute(t.Context(), append([]string{"diff"}, c.args...)); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.args, got, c.want)
		}
	}
}
