package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportOpenAPI: what is imported is checked, told of, and served: routes ask
// for what the document asks for.
func TestImportOpenAPI(t *testing.T) {
	t.Parallel()
	const document = "../internal/importer/testdata/shop.yaml"
	folder := t.TempDir()
	out := filepath.Join(folder, "gateway.yaml")
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var o, e strings.Builder
		cmd := exec.Command(filepath.Join(binaries, "gatewright"), args...)
		cmd.Stdout, cmd.Stderr = &o, &e
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != want {
			t.Errorf("gatewright %v: %v, want exit code %d\n%s", args, err, want, e.String())
		}
		return o.String(), e.String()
	}
	app := backend(t, "shop")
	_, told := run(0, "import", "openapi", document, "--backend", "shop=http://"+app.Addr(), "-o", out)
	for _, want := range []string{"POST /orders: its callbacks are no routes", "PUT /legacy is no route", "5 routes, 5 operations left out"} {
		if !strings.Contains(told, want) {
			t.Errorf("not told: %s\n%s", want, told)
		}
	}
	run(0, "check", out)
	if shown, _ := run(0, "import", "openapi", document); !strings.Contains(shown, "say --backend NAME=URL") {
		t.Errorf("without a backend:\n%s", shown)
	}
	bad := filepath.Join(folder, "bad.yaml")
	if err := os.WriteFile(bad, []byte("openapi: 3.1.0\npaths: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(1, "import", "openapi", bad)
	run(1, "import", "openapi", filepath.Join(folder, "none.yaml"))
	run(2, "import", "openapi", document, "--backend", "x")
	run(2, "import", "openapi")
	run(2, "import", "swagger", document)

	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, setup{config: strings.Replace(string(content), `"0.0.0.0:8080"`, `"{{listen "public"}}"`, 1)})
	host := header{"Host", "api.example.com"}
	get(t, g.url("public", "/v1/orders"), host).denied(t, 401, "credential-missing")
	key := header{"X-Partner-Key", g.createKey().Key}
	if e := get(t, g.url("public", "/v1/orders"), host, key).ok(t).echo(t); e.Path != "/v1/orders" || e.Backend != "shop" {
		t.Errorf("%+v", e)
	}
	do(t, "DELETE", g.url("public", "/v1/orders/7"), host, key).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/v1/orders/7"), host).ok(t)
	get(t, g.url("public", "/old/legacy"), host).denied(t, 404, "route-not-found")
}
