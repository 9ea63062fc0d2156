package engine

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pushedVersion is what $VERSION is in the lines of the Dockerfile.
const pushedVersion = "1.2.3"

// machines are those that the Dockerfile says images are for.
var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// TestPush runs the lines of the Dockerfile by which both platforms are built and pushed,
// as they stand there, and looks at what the registry has then: an index of both, of
// which the engine runs what this machine can.
func TestPush(t *testing.T) {
	startEngine(t)
	startRegistry(t)
	// A builder has its own store, and what the Dockerfile begins with from a registry.
	for image, path := range map[string]string{goImage: "library/" + goImage, readerImage: readerImage, envoyImage: envoyImage} {
		publish(t, image, path)
	}
	lines := regexp.MustCompile(`(?m)^#   (docker buildx .*)$`).FindAllStringSubmatch(document(t, "Dockerfile"), -1)
	if len(lines) != 3 {
		t.Fatalf("the Dockerfile begins with %d lines to push by", len(lines))
	}
	dir := newClient(t)
	paste := func(line string) {
		t.Helper()
		cmd := exec.Command("bash", "-euc", line)
		cmd.Dir = root
		cmd.Env = append(clientEnvironment(), "DOCKER_CONFIG="+dir, "PATH=/usr/bin:/bin", "REGISTRY="+registryAddress, "VERSION="+pushedVersion)
		output(t, cmd)
	}
	t.Cleanup(func() { paste("docker buildx rm") })
	for _, line := range lines {
		paste(line[1])
	}

	checkPushed(t, "gatewright:"+pushedVersion, "serve")
	checkPushed(t, "gatewright:"+pushedVersion+"-run", "run")
	for _, tag := range []string{pushedVersion, pushedVersion + "-run"} {
		said := run(t, "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", registryOnLoopback+"/gatewright:"+tag, "version")
		if !strings.HasPrefix(said, "gatewright "+pushedVersion+" ") {
			t.Errorf("what was pushed as %s says %s", tag, said)
		}
	}
}

// checkPushed: an index has an image for each platform, and nothing else but what
// BuildKit says of where they come from.
func checkPushed(t *testing.T, image, command string) {
	t.Helper()
	reference, err := name.ParseReference(registryOnLoopback + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(reference)
	if err != nil {
		t.Fatalf("%s: %v", image, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	platforms := map[string]v1.Hash{}
	for _, m := range manifest.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			platforms[m.Platform.String()] = m.Digest
		}
	}
	if got, want := slices.Sorted(maps.Keys(platforms)), slices.Sorted(maps.Keys(machines)); !slices.Equal(got, want) {
		t.Fatalf("%s is for %q, want %q", image, got, want)
	}
	for platform, digest := range platforms {
		t.Run(image+" "+platform, func(t *testing.T) {
			one, err := index.Image(digest)
			if err != nil {
				t.Fatal(err)
			}
			checkImageConfig(t, one, platform, command)
			checkProgram(t, one, machines[platform])
		})
	}
}

// checkImageConfig: how the image is run, and what it says of itself.
func checkImageConfig(t *testing.T, image v1.Image, platform, command string) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := file.OS + "/" + file.Architecture; got != platform {
		t.Errorf("it says that it is for %s", got)
	}
	c := file.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"gatewright"}) || !slices.Equal(c.Cmd, []string{command}) || c.WorkingDir != "/etc/gatewright" {
		t.Errorf("it runs %q %q as %q in %s", c.Entrypoint, c.Cmd, c.User, c.WorkingDir)
	}
	if c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "gatewright", "health"}) {
		t.Errorf("its health is asked by %+v", c.Healthcheck)
	}
	for label, want := range map[string]string{"title": "Gatewright", "version": pushedVersion, "licenses": "Apache-2.0", "source": "https://github.com/gatewright/gatewright"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("its label %s is %q, want %q", label, got, want)
		}
	}
	if c.Labels["org.opencontainers.image.description"] == "" {
		t.Error("it does not say what it is")
	}
}

// checkProgram: the program of an image is one of its machine, which needs no linker.
// Whether that of the other machine runs is for who has such a one.
func checkProgram(t *testing.T, image v1.Image, machine elf.Machine) {
	t.Helper()
	binary, err := elf.NewFile(bytes.NewReader(fileOf(t, image, "usr/local/bin/gatewright")))
	if err != nil {
		t.Fatal(err)
	}
	if binary.Machine != machine || binary.Section(".interp") != nil {
		t.Errorf("the program is of %v, and needs a linker: %t", binary.Machine, binary.Section(".interp") != nil)
	}
}

// fileOf is a file of an image.
func fileOf(t *testing.T, image v1.Image, path string) []byte {
	t.Helper()
	all := mutate.Extract(image)
	defer all.Close()
	for files := tar.NewReader(all); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("the image has no %s", path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimPrefix(h.Name, "/") != path {
			continue
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
}
