package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKongDocument: the file of Kong's that the page shows says what ours beside it does, and
// is one to Kong itself, where Kong's own code is given: no registry that this project builds
// from has it.
func TestKongDocument(t *testing.T) {
	t.Parallel()
	shown := blocksOf(t, "docs/migrate/kong.md")[0]
	t.Run("it says what ours does", func(t *testing.T) { t.Parallel(); kongFile(t, shown) })
	t.Run("Kong's own parser", func(t *testing.T) {
		t.Parallel()
		program := os.Getenv("KONG_PARSER")
		if program == "" {
			t.Skip("KONG_PARSER names no program: it is called with a file and does what `kong config parse FILE` does, as Kong's code built by hand can")
		}
		if out, err := kongParses(t, program, shown.text); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		// What it takes says something only because it refuses such as these, each for what is wrong.
		for name, bad := range map[string]struct{ is, becomes, refused string }{
			"a field that its plugin has not":    {"hide_credentials:", "hide_credential:", "'hide_credential': unknown field"},
			"a text for a number":                {"minute: 60", "minute: sixty", "'minute': expected a number"},
			"a plugin that there is not":         {"name: key-auth", "name: key-auths", "plugin 'key-auths' not enabled"},
			"a field that a route has not":       {"strip_path:", "strip_paths:", "'strip_paths': unknown field"},
			"a counter in Redis, and not where":  {", redis: {host: redis.internal}", "", "'host': required field missing"},
			"a path that is no expression":       {"[/v1/orders]", `["~/v1/(orders"]`, "invalid regex: '/v1/(orders'"},
			"more repetitions than there may be": {"retries: 2", "retries: 32768", "'retries': value should be between 0 and 32767"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if strings.Count(shown.text, bad.is) != 1 {
					t.Fatalf("%q is not once in %s", bad.is, shown.text)
				}
				out, err := kongParses(t, program, strings.Replace(shown.text, bad.is, bad.becomes, 1))
				if exit := new(exec.ExitError); !errors.As(err, &exit) || !exit.Exited() || !strings.Contains(out, bad.refused) {
					t.Errorf("%v: %s, want it refused with %q", err, out, bad.refused)
				}
			})
		}
	})
}

// kongParses has Kong's parser read a file, and is all that it says.
func kongParses(t *testing.T, program, content string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, file).CombinedOutput()
	return string(out), err
}
