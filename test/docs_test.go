package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestSecurityTableNamesRealTests: a threat is answered by a test that exists.
func TestSecurityTableNamesRealTests(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	var files []string
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			exists[string(m[1])] = true
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(table, -1)
	if len(named) < 50 {
		t.Errorf("the table names %d tests: was it read?", len(named))
	}
	for _, m := range named {
		if !exists[string(m[1])] {
			t.Errorf("docs/security.md names %s, which does not exist", m[1])
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
