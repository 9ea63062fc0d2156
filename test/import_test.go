package test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
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
		return command(t, want, args...)
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
	run(2, "import", "openapi", document, "--tls-cert", "x")
	run(2, "import", "openapi", document, "--client-ca", "x")
	run(2, "import", "openapi", document, "--validate", "response")
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

// command runs gatewright, and holds it to an exit code.
func command(t testing.TB, want int, args ...string) (stdout, stderr string) {
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

const secureDocument = `{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://edge.example.com/api"}], "paths": {
	"/a/{n}": {"parameters": [{"name": "n", "in": "path", "required": true, "schema": {"type": "integer"}}], "get": {"operationId": "a", "security": [{"mtls": []}], "responses": {"200": {"description": "ok"}}}},
	"/b": {"get": {"operationId": "b", "security": [{"login": []}], "responses": {"200": {"description": "ok"}}}}},
	"components": {"securitySchemes": {"mtls": {"type": "mutualTLS"}, "login": {"type": "http", "scheme": "basic"}}}}`

// TestImportOpenAPISecure: a backend by https, whose certificate is verified by its
// name; certificates of clients as the document's mutualTLS; requests held to the
// document from a folder of its own; and what cannot be asked for is closed.
func TestImportOpenAPISecure(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.server("edge", "edge.example.com")
	clients := testenv.NewCA(t)
	p.write("clients.pem", clients.PEM)
	p.write("roots.pem", p.ca.PEM)
	p.write("api.json", []byte(secureDocument))
	good := startTLSBackend(t, p.ca, testenv.Leaf{DNS: []string{"localhost"}}, nil)
	out := filepath.Join(t.TempDir(), "gateway.yaml")
	_, told := command(t, 0, "import", "openapi", p.path("api.json"), "-o", out, "--validate", "enforce",
		"--backend", "app=https://localhost:"+good.port(t)+"/v7", "--tls-cert", p.path("edge.crt"), "--tls-key", p.path("edge.key"), "--client-ca", p.path("clients.pem"))
	if !strings.Contains(told, "GET /b is no route") {
		t.Errorf("not told of what cannot be asked for:\n%s", told)
	}
	content := string(readFile(t, out))
	if filepath.IsAbs(p.folder) && !strings.Contains(content, p.path("edge.crt")) {
		t.Errorf("absolute paths stay:\n%s", content)
	}
	g := start(t, setup{config: strings.Replace(content, `"0.0.0.0:8443"`, `"{{listen "public"}}"`, 1), env: []string{"SSL_CERT_FILE=" + p.path("roots.pem")}})
	ask := func(path string, shown ...tls.Certificate) reply {
		t.Helper()
		return mustAsk(t, p.client("edge.example.com", false, shown...), g.secureURL("public", path), header{"Host", "edge.example.com"})
	}
	ask("/api/a/1").denied(t, 401, "credential-missing")
	mine := clients.Pair(testenv.Leaf{Subject: pkix.Name{CommonName: "shop"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if e := ask("/api/a/1", mine).ok(t).echo(t); e.Path != "/v7/a/1" {
		t.Errorf("the backend saw %+v", e)
	}
	ask("/api/a/x", mine).denied(t, 400, "request-invalid")
	ask("/api/b", mine).denied(t, 404, "route-not-found")
	if good.askedFor("localhost") == 0 {
		t.Error("the backend was not asked for by its name")
	}
	// One that shows another name is not the backend.
	good.show(p.ca, testenv.Leaf{DNS: []string{"other.example.com"}})
	good.CloseClientConnections()
	eventually(t, "another name is refused", func() error {
		if r := ask("/api/a/1", mine); r.Status != 503 {
			return errStatus(r)
		}
		return nil
	})
}
