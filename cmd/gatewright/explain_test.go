package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestExplainExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, faulty := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "faulty.yaml")
	for path, text := range map[string]string{file: routed, faulty: "routes: 1"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitOK, []string{file, "--url", "http://a/open"}},
		{exitOK, []string{file, "--url", "http://a/closed", "-o", "json"}}, // denied, by a route
		{exitFault, []string{file, "--url", "http://a/none"}},
		{exitFault, []string{file, "--url", "http://a/open%2f"}},
		{exitFault, []string{faulty, "--url", "http://a/open"}},
		{exitUsage, []string{file}},
		{exitUsage, []string{file, "--url", "/open"}},
		{exitUsage, []string{file, "--url", "http://a/open", "--header", "secret"}},
		{exitUsage, []string{file, "--url", "http://a/open", "--at", "noon"}},
		{exitUsage, []string{file, "--url", "http://a/open", "--jwks", "main=keys.json"}},
		{exitUsage, []string{"--url", "http://a/open"}},
	} {
		if got := execute(t.Context(), append([]string{"explain"}, c.args...)); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.args, got, c.want)
		}
	}
}
