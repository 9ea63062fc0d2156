package engine

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	root     = "../../.."
	endpoint = "unix:///run/docker.sock" // within our mount namespace, as all below /run
	client   = "/run/client"             // what Docker's client finds its plugins in
	// modules is where the builds fetch Go's modules from: the address of this side of
	// the engine's first network, which is behind no other one.
	modules = "172.17.0.1:8099"
)

// programs is the folder of what `make engine` compiles.
func programs() string { return os.Getenv(programsVariable) }

// docker is a command of Docker's client.
func docker(args ...string) *exec.Cmd { return dockerContext(context.Background(), args...) }

func dockerContext(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/docker", args...)
	cmd.Dir = root
	cmd.Env = clientEnvironment()
	return cmd
}

// clientEnvironment has Docker's client find the engine, and its plugins.
func clientEnvironment() []string {
	return append(os.Environ(), "DOCKER_HOST="+endpoint, "DOCKER_CONFIG="+client, "DOCKER_BUILDKIT=1")
}

// run runs a command of Docker's client and returns what it says on standard output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, docker(args...))
}

// output runs a command and returns what it says on standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String()
}

func tail(text string) string { return text[max(0, len(text)-6000):] }

// started is the engine of this test process: several tests share one, and its images.
var started sync.Once

// startEngine starts the engine, gives it the images that stand in for others, and
// returns when it answers. It ends with this process.
func startEngine(t *testing.T) {
	t.Helper()
	started.Do(func() {
		startDaemon(t)
		serveModules(t)
		for _, i := range standIns(t) {
			// Where the engine's data is kept, all that is built begins with this one.
			if kept := i.name == goImage && docker("image", "inspect", i.name).Run() == nil; !kept {
				i.load(t)
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func startDaemon(t *testing.T) {
	t.Helper()
	data := os.Getenv(insideVariable)
	plugins := filepath.Join(client, "cli-plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	for plugin, program := range map[string]string{"docker-compose": "cmd", "docker-buildx": "buildx"} {
		if err := os.Symlink(filepath.Join(programs(), program), filepath.Join(plugins, plugin)); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(data, "dockerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dockerd", "--host", endpoint, "--data-root", filepath.Join(data, "data"),
		"--exec-root", "/run/engine", "--pidfile", "/run/engine.pid", "--bip", "172.17.0.1/16", "--cgroup-parent", filepath.Base(data))
	daemon.Env = append(os.Environ(), "PATH="+replacements(t)+":/usr/sbin:/usr/bin:/sbin:/bin")
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the engine answers", func() error {
		if out, err := docker("version").CombinedOutput(); err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%w: %s\n%s", err, out, tail(string(text)))
		}
		return nil
	})
	t.Logf("Docker %s, %s", strings.TrimSpace(run(t, "version", "--format", "client {{.Client.Version}}, engine {{.Server.Version}}")), strings.TrimSpace(run(t, "compose", "version")))
}

// replacements is a folder with programs that the engine is to find in the place of
// others: an iptables that sets the kernel's own tables, since not every kernel has the
// modules by which the newer one does the same, and the runtime (runAsRuntime).
func replacements(t *testing.T) string {
	t.Helper()
	const dir = "/run/replacements"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"iptables": "/usr/sbin/iptables-legacy", "ip6tables": "/usr/sbin/ip6tables-legacy", runtimeName: self} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serveModules serves the modules that this machine has already, as a module proxy does:
// the engine's networks lead nowhere.
func serveModules(t *testing.T) {
	t.Helper()
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Addr: modules, Handler: http.FileServer(http.Dir(filepath.Join(strings.TrimSpace(string(cache)), "cache", "download")))}
	go func() { _ = server.ListenAndServe() }() // a build that finds nothing there says so
}

// eventually waits until check finds nothing wrong.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	from := time.Now()
	for deadline := from.Add(within); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = check(); err == nil {
			t.Logf("%.1f s until %s", time.Since(from).Seconds(), what)
			return
		}
	}
	t.Fatalf("not so within %v: %s: %v", within, what, err)
}
