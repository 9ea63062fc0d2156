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

// TestRouteDocumentsAreValid: what the pages on routes show is a config, once it
// has the backends and providers that it names.
func TestRouteDocumentsAreValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 4 {
		t.Fatalf("docs/routes.md shows %d blocks", len(blocks))
	}
	const around = `
listeners: [{name: public, address: 0.0.0.0:8080}]
backends: {orders: {endpoints: [10.0.0.5:80], protocol: grpc}, app: {endpoints: [10.0.0.6:80]}}
auth: {jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {url: "https://id.example.com/jwks.json"}}}, apiKey: {partners: {}, devices: {from: {header: X-Device-Key}}}}
routes:
- {name: r, match: {path: /}, auth: public, to: [{backend: app}]}
`
	inRoute := func(i int) string { return "  " + strings.ReplaceAll(string(blocks[i][1]), "\n", "\n  ") }
	content := around + string(blocks[0][1]) +
		"- name: ruled\n  match: {path: /ruled}\n  to: [{backend: app}]\n" + inRoute(1) + "\n" +
		"- name: together\n  match: {path: /together}\n  to: [{backend: app}]\n" + inRoute(2) + "\n" +
		"- name: page\n  match: {path: /page}\n  auth: public\n  to: [{backend: app}]\n" + inRoute(3)
	if _, err := config.Parse("gateway.yaml", []byte(content)); err != nil {
		t.Errorf("%v\n%s", err, content)
	}
}

// TestTranscodingDocumentIsValid: what the page on gRPC shows is a config, once it
// has a listener.
func TestTranscodingDocumentIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/grpc.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/grpc.md shows %d blocks", len(blocks))
	}
	content := "listeners: [{name: public, address: 0.0.0.0:8080}]\n" + string(blocks[0][1])
	if _, err := config.ParseIn("../config/testdata", "gateway.yaml", []byte(content)); err != nil {
		t.Errorf("%v\n%s", err, content)
	}
}

// TestBackendDocumentsAreValid: each block that the pages on backends show is a part of
// a config.
func TestBackendDocumentsAreValid(t *testing.T) {
	t.Parallel()
	const around = `
listeners: [{name: public, address: 0.0.0.0:8080}]
routes:
- {name: r, match: {path: /}, auth: public, respond: {status: 200}}
`
	for page, least := range map[string]int{"../docs/backends.md": 5, "../docs/discovery.md": 1} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) < least {
			t.Errorf("%s shows %d blocks", page, len(blocks))
		}
		for _, block := range blocks {
			shown := string(block[1])
			if strings.HasPrefix(shown, "endpoints:") { // a file of them
				if _, err := config.ParseEndpoints("endpoints.yaml", block[1], &config.Config{}); err != nil {
					t.Errorf("%s: %v", page, err)
				}
				continue
			}
			if !strings.HasPrefix(shown, "backends:") {
				shown = "backends:\n  b:\n    endpoints: [10.0.0.5:80]\n    " + strings.ReplaceAll(shown, "\n", "\n    ")
			}
			if _, err := config.Parse("gateway.yaml", []byte(around+shown)); err != nil {
				t.Errorf("%s: %v\n%s", page, err, shown)
			}
		}
	}
}

// TestOpenAPIDocumentIsValid: what the page on OpenAPI shows is a config, once it
// has what it names.
func TestOpenAPIDocumentIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/openapi.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/openapi.md shows %d blocks", len(blocks))
	}
	content := "listeners: [{name: public, address: 0.0.0.0:8080}]\nbackends: {orders: {endpoints: [10.0.0.5:80]}}\n" +
		"auth: {jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {discover: true}}}}\n" + strings.Replace(string(blocks[0][1]), "orders.yaml", "api.yaml", 1)
	if _, err := config.ParseIn("../config/testdata", "gateway.yaml", []byte(content)); err != nil {
		t.Errorf("%v\n%s", err, content)
	}
}

// TestBreakerDocumentIsValid: each breaker that the page shows is one, alone.
func TestBreakerDocumentIsValid(t *testing.T) {
	t.Setenv("HOOK_AUTHORIZATION", "Bearer sesame")
	text, err := os.ReadFile("../docs/breakers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 5 {
		t.Fatalf("docs/breakers.md shows %d blocks", len(blocks))
	}
	for i, block := range blocks {
		shown := string(block[1])
		if strings.HasPrefix(shown, "breaker:") {
			shown = "backends:\n  orders:\n    endpoints: [10.0.0.5:80]\n    " + strings.ReplaceAll(shown, "\n", "\n    ") + "\n"
		}
		content := "listeners: [{name: public, address: 0.0.0.0:8080}]\n" + shown +
			"\nroutes: [{name: r, match: {path: /}, auth: public, to: [{backend: orders}]}]\n"
		c, err := config.Parse("gateway.yaml", []byte(content))
		if err != nil {
			t.Errorf("block %d: %v\n%s", i+1, err, content)
			continue
		}
		if b := c.Backends["orders"].Breaker; b == nil || i == 0 && !reflect.DeepEqual(sameAsDefaults(b), &config.Breaker{}) {
			t.Errorf("block %d: %+v", i+1, b)
		}
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

// TestTracingDocumentsAreValid: each block that the pages on traces, metrics and the access log
// show is a part of a config.
func TestTracingDocumentsAreValid(t *testing.T) {
	t.Parallel()
	for page, least := range map[string]int{"../docs/tracing.md": 3, "../docs/access-log.md": 1, "../docs/metrics.md": 1} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) < least {
			t.Errorf("%s shows %d blocks", page, len(blocks))
		}
		for _, block := range blocks {
			shown, route := string(block[1]), "{name: r, match: {path: /}, auth: public, respond: {status: 200}}"
			if strings.HasPrefix(shown, "tracing: {percent") { // of a route
				route = "{name: r, match: {path: /}, auth: public, respond: {status: 200}, " + strings.TrimSpace(shown) + "}"
				shown = "tracing: {otlp: {backend: collector}}\n"
			}
			if !strings.Contains(shown, "backends:") {
				shown += "backends: {collector: {endpoints: [10.0.0.5:4317], protocol: grpc}}\n"
			}
			content := "listeners: [{name: public, address: 0.0.0.0:8080}]\n" + shown + "routes:\n- " + route + "\n"
			if _, err := config.Parse("gateway.yaml", []byte(content)); err != nil {
				t.Errorf("%s: %v\n%s", page, err, content)
			}
		}
	}
}
