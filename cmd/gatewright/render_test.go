package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const renderedGateway = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["127.0.0.1:1"]}}
auth:
  jwt:
    here: {issuer: "http://here", audiences: [a], jwks: {inline: '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'}, algorithms: [EdDSA]}
    afar: {issuer: "http://afar", audiences: [a], jwks: {url: "https://afar.example/keys"}}
routes:
- {name: here, match: {path: /here}, auth: {anyOf: [{jwt: here}]}, to: [{backend: app}]}
- {name: afar, match: {path: /afar}, auth: {anyOf: [{jwt: afar}]}, to: [{backend: app}]}
`

// TestRenderShowsTheKeysAtHand: policies inside Envoy are shown with the keys that can be
// read, and it is said whose cannot. Nobody is asked over the network.
func TestRenderShowsTheKeysAtHand(t *testing.T) {
	t.Parallel()
	rendered := func(text string) string {
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := newRender()
		cmd.SetOut(&out)
		cmd.SetArgs([]string{file})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := rendered(renderedGateway)
	const note = "# Without keys of afar, which a running gateway fetches: in what follows all their tokens are asked about.\n"
	if !strings.HasPrefix(text, note) || strings.Count(text, "\n#") > 0 {
		t.Errorf("it begins with %q", text[:min(len(text), 200)])
	}
	if strings.Count(text, "issuer: http://here") != 1 || strings.Contains(text, "issuer: http://afar") || !strings.Contains(text, "shadow_rules") {
		t.Errorf("the filters are not those of the keys at hand:\n%s", text)
	}
	service := rendered(strings.Replace(renderedGateway, `"127.0.0.1:8080"`, `"127.0.0.1:8080", placement: service`, 1))
	if strings.HasPrefix(service, "#") {
		t.Errorf("keys are missed that nobody needs: %q", service[:min(len(service), 200)])
	}
}
