package check

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stages are those of the Dockerfile, as BuildKit reads them.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile("../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDockerfile: BuildKit takes it, and each image keeps to the rules.
func TestDockerfile(t *testing.T) {
	named := map[string]bool{}
	for _, s := range stages(t) {
		if strings.HasPrefix(s.Name, "build") {
			checkBuild(t, s, s.BaseName == "build")
		} else if s.Name != "" { // or it is what stands for the first of them
			checkImage(t, s, named[s.BaseName])
		}
		named[s.Name] = true
	}
	for _, target := range []string{"gatewright", "run", "demo", "firststart", "etcd", "collector", "jaeger"} {
		if !named[target] {
			t.Errorf("there is no target %s", target)
		}
	}
}

// checkBuild: compiled here for there, without anything of there.
func checkBuild(t *testing.T, s instructions.Stage, goesOn bool) {
	t.Helper()
	if !goesOn && s.Platform != "$BUILDPLATFORM" {
		t.Errorf("the build runs on %q: emulated", s.Platform)
	}
	var all strings.Builder
	for _, c := range s.Commands {
		if run, ok := c.(*instructions.RunCommand); ok {
			all.WriteString(strings.Join(run.CmdLine, " "))
		}
	}
	for _, part := range []string{"CGO_ENABLED=0", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH", "-trimpath"} {
		if !strings.Contains(all.String(), part) {
			t.Errorf("the build does not say %s", part)
		}
	}
}

// checkImage: one version of what is below, a user that is not root, and nothing that
// runs while the image is made, since there may be no shell.
func checkImage(t *testing.T, s instructions.Stage, ours bool) {
	t.Helper()
	if !ours && s.BaseName != "scratch" && !regexp.MustCompile(`:.*v?\d+\.\d+.*$`).MatchString(s.BaseName) {
		t.Errorf("%s is made of %s, of no version", s.Name, s.BaseName)
	}
	user := ""
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.RunCommand:
			t.Errorf("%s runs %q while it is made", s.Name, c.CmdLine)
		case *instructions.UserCommand:
			user = c.User
		}
	}
	// Two images of others get a program more, and keep their users.
	if others := s.Name == "collector" || s.Name == "jaeger"; !others && user != "65532:65532" {
		t.Errorf("%s runs as %q", s.Name, user)
	}
}
