package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seesNoSecret checks that a secret stands in nothing that the gateway writes:
// logs, metrics, database.
func (g *gateway) seesNoSecret(secret string) {
	g.t.Helper()
	places := map[string]string{
		"the access log": g.stdout.String(),
		"standard error": g.stderr.String(),
		"the metrics":    g.metrics(),
	}
	files, err := filepath.Glob(filepath.Join(g.dir, "keys.db*"))
	if err != nil || len(files) == 0 {
		g.t.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil && !os.IsNotExist(err) {
			g.t.Fatal(err)
		}
		places[filepath.Base(f)] = string(data)
	}
	for place, text := range places {
		if strings.Contains(text, secret) {
			g.t.Errorf("a secret is in %s", place)
		}
	}
}

// TestSecretsAreNowhere shows canaries in every place where clients put
// secrets, and looks for them in all that is written.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	key := g.createKey("--permission", "data:read")
	const canary = "c4n4ry"
	for _, url := range []string{"/data/1?token=" + canary, "/nowhere?token=" + canary, "/old/2?api_key=" + canary} {
		get(t, g.url("public", url), key.header(),
			header{"Authorization", "Bearer " + canary},
			header{"Cookie", "session=" + canary},
			header{"X-Secret", canary})
	}
	get(t, g.url("public", "/data/1"), header{"X-API-Key", canary}).denied(t, 401, "api-key-invalid")
	g.logged("/old/2")
	g.logged("/nowhere")
	g.seesNoSecret(canary)
	g.seesNoSecret(key.Key)
}
