package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestTLSDocumentIsValid: what the page on TLS shows is a config, with what it names.
func TestTLSDocumentIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	const (
		listeners = "listeners: [{name: secure, address: 0.0.0.0:8443, tls: {certificates: [{cert: certs/edge.crt, key: certs/edge.key}], clientCA: certs/partners-ca.crt}}]\n"
		backends  = "backends: {app: {endpoints: [10.0.0.6:80]}}\n"
		auth      = "auth:\n  jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {url: \"https://id.example.com/jwks.json\"}}}\n"
		routes    = "routes: [{name: r, match: {path: /}, auth: public, respond: {status: 200}}]\n"
	)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("docs/tls.md shows %d blocks", len(blocks))
	}
	for _, block := range blocks {
		content := strings.ReplaceAll(block[1], "certs/gateway.", "certs/client.") // of the certificates of the tests, the one for clients
		for section, usual := range map[string]string{"listeners:": listeners, "backends:": backends, "auth:": auth, "routes:": routes} {
			switch at := strings.Index("\n"+content, "\n"+section); {
			case at < 0 && section != "auth:":
				content += usual
			case at >= 0 && section == "auth:":
				content = strings.Replace(content, "auth:\n", auth, 1)
			}
		}
		if _, err := config.ParseIn("../config/testdata", "gateway.yaml", []byte(content)); err != nil {
			t.Errorf("%v\n%s", err, content)
		}
	}
}
