package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// What the documents' configs leave out, or name and do not show, by section.
var usual = map[string]string{
	"listeners": `
  - {name: usual, address: 127.0.0.1:18080}
`,
	"backends": `
  app: {endpoints: [10.0.0.6:80]}
  orders: {endpoints: [10.0.0.5:80]}
  calls: {endpoints: [10.0.0.5:90], protocol: grpc}
  users-v1: {endpoints: [10.0.0.7:80]}
  users-v2: {endpoints: [10.0.0.8:80]}
  collector: {endpoints: [10.0.0.9:4317], protocol: grpc}
`,
	"auth": `
  jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {url: "https://id.example.com/jwks.json"}}}
  apiKey: {partners: {}, devices: {from: {header: X-Device-Key}}}
`,
	"routes": `
  - {name: usual, match: {path: /usual}, auth: public, respond: {status: 200}}
`,
}

// wholeConfig is a config of which a document shows a part: with the usual sections that it does
// not have.
func wholeConfig(shown string) string {
	for section, content := range usual {
		if !regexp.MustCompile(`(?m)^` + section + `:`).MatchString(shown) {
			shown = strings.TrimRight(shown, "\n") + "\n" + section + ":" + content
		}
	}
	return shown
}

// indented is a text further to the right.
func indented(by int, text string) string {
	pad := strings.Repeat(" ", by)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad) + "\n"
}

// The places that a part of a config may be shown of.
func ofWhole(text string) string { return text }

func ofBackend(text string) string {
	return "backends:\n  b:\n    endpoints: [10.0.0.5:80]\n" + indented(4, text)
}

func ofRoutes(text string) string { return "routes:\n" + text }

func ofRoute(text string) string {
	return "routes:\n- name: r\n  match: {path: /r/**}\n  auth: public\n  to: [{backend: app}]\n" + indented(2, text)
}

// ofClosedRoute is ofRoute for what says who may call.
func ofClosedRoute(text string) string {
	return "routes:\n- name: r\n  match: {path: /r/**}\n  to: [{backend: app}]\n" + indented(2, text)
}

// ofTracedRoute is ofRoute of a config with traces.
func ofTracedRoute(text string) string {
	return ofRoute(text) + "tracing: {otlp: {backend: collector}}\n"
}

func ofLimit(text string) string {
	return "limits:\n  l:\n    key: [clientIP]\n    tokenBucket: {capacity: 100, refill: 10/s}\n" + indented(4, text)
}

// part has `gatewright check` judge what a document shows as a part of a config. (replaced
// are names in it, each followed by one that is there: of a file, or of a backend of
// another protocol.)
func part(place func(string) string, replaced ...string) use {
	return here(loads, func(t *testing.T, b block) {
		checked(t, wholeConfig(place(strings.NewReplacer(replaced...).Replace(b.text))))
	})
}

// eachLine is part of a block that shows one part a line.
func eachLine(place func(string) string) use {
	return here(loads, func(t *testing.T, b block) {
		for line := range strings.Lines(b.text) {
			checked(t, wholeConfig(place(line)))
		}
	})
}

// and is part of a section with more in it, in front of what is shown.
func and(section, more string, replaced ...string) use {
	return part(func(text string) string {
		before, after, found := strings.Cut("\n"+text, "\n"+section+":\n")
		if !found {
			return text + section + ":\n" + more
		}
		return before + "\n" + section + ":\n" + more + after
	}, replaced...)
}

// checked writes a config beside the files that configs of tests name, and has it judged.
func checked(t *testing.T, content string) {
	t.Helper()
	dir := filesOfConfigs(t)
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binaries, "gatewright"), "check", "gateway.yaml")
	cmd.Dir, cmd.Env = dir, append(cleanEnvironment(), secretsOfDocuments...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, content)
	}
}

// secretsOfDocuments are the variables that configs of the documents name.
var secretsOfDocuments = []string{
	"HOOK_AUTHORIZATION=Bearer sesame", "INTROSPECT_SECRET=sesame",
	"TOKEN_SECRET=0123456789abcdef0123456789abcdef", "OLD_TOKEN_SECRET=fedcba9876543210fedcba9876543210",
}

// filesOfConfigs is a folder with certificates, API documents, descriptors, and the
// endpoints that docs/discovery.md shows.
func filesOfConfigs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(testenv.Root(t), "config", "testdata"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "endpoints"), 0o700); err != nil {
		t.Fatal(err)
	}
	shown := blocksOf(t, "docs/discovery.md")[2].text
	if err := os.WriteFile(filepath.Join(dir, "endpoints", "users.yaml"), []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
