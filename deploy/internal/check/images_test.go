package check

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/opts"
	appsv1 "k8s.io/api/apps/v1"
)

// made are the images that the documents say how to make, and of which target of the
// Dockerfile each is.
type made map[string]string

func madeImages(t *testing.T) made {
	t.Helper()
	out := made{}
	for _, c := range documented(t) {
		if c.program != "docker" || !slices.Contains(c.args, "build") {
			continue
		}
		leaf, _, err := readDocker(t, c.args)
		if err != nil || !isBuild(leaf) {
			continue // TestDockerCommands tells what no build takes
		}
		target, err := leaf.Flags().GetString("target")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range leaf.Flags().Lookup("tag").Value.(*opts.ListOpts).GetSlice() {
			if before, ok := out[name]; ok && before != target {
				t.Errorf("%s: %s is of target %q elsewhere", c, name, before)
			}
			out[name] = target
		}
	}
	return out
}

// TestImagesAreMade: what is installed runs images that the documents say how to make,
// and push, by those names, with an Envoy where one is run.
func TestImagesAreMade(t *testing.T) {
	images := madeImages(t)
	at := exampleRegistry + "/gatewright:" + exampleVersion
	if want := (made{"gatewright:devel": "", "gatewright:devel-run": "run", at: "", at + "-run": "run"}); !maps.Equal(images, want) {
		t.Fatalf("the documents make %v, want %v", images, want)
	}
	for name, in := range rendered(t) {
		images.check(t, name, in.deployment)
	}
	s := newShell(t, "")
	for _, line := range clusterCommands(t) {
		for _, o := range decoded(t, s.run(t, line, "")) {
			if d, ok := o.(*appsv1.Deployment); ok {
				images.check(t, line, d)
				if got := d.Spec.Template.Spec.Containers[0].Image; got != at+"-run" {
					t.Errorf("%s: the image is %s, which nobody has pushed there", line, got)
				}
			}
		}
	}
}

// check: a deployment runs an image that is made, by a command that is in it.
func (images made) check(t *testing.T, at string, d *appsv1.Deployment) {
	t.Helper()
	c := d.Spec.Template.Spec.Containers[0]
	target, ok := images[c.Image]
	if !ok {
		t.Errorf("%s: no document makes %s", at, c.Image)
	}
	if want := map[string]string{"run": "run", "serve": ""}[c.Args[0]]; target != want {
		t.Errorf("%s: %s is of target %q, and is to %s", at, c.Image, target, c.Args[0])
	}
}

// TestComposeImagesAreMade: docker-compose.yaml has the names of the Dockerfile for what
// both make.
func TestComposeImagesAreMade(t *testing.T) {
	project, err := composed(t, []string{"deploy/compose/full.env"})
	if err != nil {
		t.Fatal(err)
	}
	images, seen := madeImages(t), 0
	for name, s := range project.Services {
		if s.Build == nil || !strings.HasPrefix(s.Image, "gatewright:") {
			continue
		}
		seen++
		if target, ok := images[s.Image]; !ok || stageOf(target) != s.Build.Target {
			t.Errorf("%s: %s is of target %q, and the Dockerfile's of %q (%t)", name, s.Image, s.Build.Target, target, ok)
		}
	}
	if seen < 4 {
		t.Errorf("%d services are of images of the gateway", seen)
	}
}

// stageOf is the name of a target: without one it is the Dockerfile's last stage, which
// is the image without an Envoy.
func stageOf(target string) string {
	if target == "" {
		return "gatewright"
	}
	return target
}

// TestPushLines: who comes by the page on Kubernetes pushes by the same lines as who reads
// the Dockerfile. `make engine` runs them.
func TestPushLines(t *testing.T) {
	lines := func(path string) []string {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`docker buildx (?:create|build) .*`).FindAllString(string(text), -1)
	}
	page, file := lines("docs/kubernetes.md"), lines("Dockerfile")
	if len(file) != 3 || !slices.Equal(page, file) {
		t.Errorf("docs/kubernetes.md says %q, and the Dockerfile %q", page, file)
	}
}
