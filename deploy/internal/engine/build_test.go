package engine

import (
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// buildImages builds what `docker compose up` of both sets needs, which takes minutes for
// the first time and moments after that.
func buildImages(t *testing.T) {
	t.Helper()
	run(t, "compose", "--env-file", "deploy/compose/full.env", "build")
}

// image is what the engine says of one.
type image struct {
	Size         int64
	Architecture string
	Config       struct {
		User       string
		Entrypoint []string
	}
}

func inspectImage(t *testing.T, name string) image {
	t.Helper()
	var all []image
	if err := json.Unmarshal([]byte(run(t, "image", "inspect", name)), &all); err != nil || len(all) != 1 {
		t.Fatalf("%s: %v", name, err)
	}
	return all[0]
}

// buildLine are the commands at the top of the Dockerfile.
var buildLine = regexp.MustCompile(`(?m)^#   docker (build(?:x build)? .*?)\s*(?:  .*)?$`)

// TestDockerfile builds what the first lines of the Dockerfile tell, and looks at what
// comes of it.
func TestDockerfile(t *testing.T) {
	startEngine(t)
	for _, line := range buildLine.FindAllStringSubmatch(document(t, "Dockerfile"), -1) {
		t.Log(line[1])
	}
	build := func(args ...string) { run(t, append([]string{"buildx", "build", "--load"}, args...)...) }
	build("-t", "gatewright", ".")
	build("-t", "gatewright:run", "--target", "run", ".")
	buildImages(t)

	for name, most := range map[string]int64{"gatewright": 80 << 20, "gatewright-demo": 40 << 20, "gatewright-firststart": 40 << 20, "gatewright-etcd": 60 << 20} {
		i := inspectImage(t, name)
		t.Logf("%s: %d MB, user %s, %q", name, i.Size>>20, i.Config.User, i.Config.Entrypoint)
		if i.Config.User != "65532:65532" {
			t.Errorf("%s runs as %q", name, i.Config.User)
		}
		if i.Size > most {
			t.Errorf("%s has %d MB", name, i.Size>>20)
		}
		// Nothing is in it that an intruder could use.
		if out, err := docker("run", "--rm", "--entrypoint", "sh", name, "-c", "true").CombinedOutput(); err == nil || !strings.Contains(string(out), "not found") {
			t.Errorf("%s has a shell: %v: %s", name, err, out)
		}
	}
	if version := run(t, "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "gatewright", "version"); !strings.Contains(version, "devel") {
		t.Errorf("the version is %s", version)
	}
	t.Run("arm64", func(t *testing.T) { checkARM(t, build) })
}

// checkARM: the image for the other architecture is compiled on this one. Whether it runs
// is for who has such a machine.
func checkARM(t *testing.T, build func(args ...string)) {
	dir := t.TempDir()
	run(t, "buildx", "build", "--platform", "linux/arm64", "--output", "type=local,dest="+dir, ".")
	binary, err := elf.Open(filepath.Join(dir, "usr/local/bin/gatewright"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Machine != elf.EM_AARCH64 || binary.Section(".interp") != nil {
		t.Errorf("the program is of %v, and needs a linker: %t", binary.Machine, binary.Section(".interp") != nil)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		t.Errorf("the image has nothing: %v", err)
	}
}
