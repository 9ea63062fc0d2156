package engine

import (
	"encoding/json"
	"errors"
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
	Size   int64
	Config struct {
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

// buildLine are the commands at the top of the Dockerfile, but those that push.
var buildLine = regexp.MustCompile(`(?m)^#   docker build (.*?)(?:  .*)?$`)

// TestDockerfile builds what the first lines of the Dockerfile tell, and looks at what
// comes of it.
func TestDockerfile(t *testing.T) {
	startEngine(t)
	lines := buildLine.FindAllStringSubmatch(document(t, "Dockerfile"), -1)
	if len(lines) != 2 {
		t.Fatalf("the Dockerfile begins with %d lines to build by", len(lines))
	}
	for _, line := range lines {
		// What `docker build` is since Docker 23; this machine's may be older.
		run(t, append([]string{"buildx", "build", "--load"}, strings.Fields(line[1])...)...)
	}
	buildImages(t)

	for name, most := range map[string]int64{"gatewright:devel": 80 << 20, "gatewright-demo": 40 << 20, "gatewright-firststart": 40 << 20, "gatewright-etcd": 60 << 20} {
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
	if version := run(t, "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "gatewright:devel", "version"); !strings.Contains(version, "devel") {
		t.Errorf("the version is %s", version)
	}
}

// TestRunImage: the image that is the whole gateway serves a config that is mounted, with
// what it keeps in a volume and a root that cannot be written to.
func TestRunImage(t *testing.T) {
	startEngine(t)
	buildImages(t)
	dir := t.TempDir()
	const config = `listeners: [{name: public, address: "0.0.0.0:8080"}]
routes: [{name: hello, match: {path: /hello}, auth: public, respond: {status: 200, body: hello}}]
`
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // another user reads it
		t.Fatal(err)
	}
	id := strings.TrimSpace(run(t, "run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp",
		"--volume", "/var/lib/gatewright", "--volume", dir+":/etc/gatewright:ro", "--publish", "127.0.0.1:8081:8080", "gatewright:devel-run"))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := docker("logs", id).CombinedOutput() // what can be had
			t.Logf("%s", tail(string(out)))
		}
		run(t, "rm", "--force", "--volumes", id)
	})
	eventually(t, upWithin, "the gateway is healthy", func() error {
		if health := strings.TrimSpace(run(t, "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", id)); health != "running healthy" {
			return errors.New(health)
		}
		return nil
	})
	if status, body, err := ask("http://127.0.0.1:8081/hello", "", ""); err != nil || status != 200 || body != "hello" {
		t.Errorf("it answers %d %q: %v", status, body, err)
	}
	run(t, "stop", "--time", "30", id)
	if code := strings.TrimSpace(run(t, "inspect", "--format", "{{.State.ExitCode}}", id)); code != "0" {
		t.Errorf("it ends with %s", code)
	}
}
