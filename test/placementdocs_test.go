package test

import (
	"os"
	"regexp"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestPlacementDocumentIsValid: what the page on placement shows is a config, once it has
// the backend and the provider that it names.
func TestPlacementDocumentIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/placement.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/placement.md shows %d blocks", len(blocks))
	}
	content := string(blocks[0][1]) + `
backends: {orders: {endpoints: [10.0.0.5:80]}}
auth: {jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {url: "https://id.example.com/jwks.json"}}}}
`
	if _, err := config.Parse("gateway.yaml", []byte(content)); err != nil {
		t.Errorf("%v\n%s", err, content)
	}
}
