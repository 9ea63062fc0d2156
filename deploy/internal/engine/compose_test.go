package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// upWithin is how long `docker compose up` may take to have all healthy: images are
// there, and machines are slow.
const upWithin = 4 * time.Minute

// stack is a set of docker-compose.yaml, as `docker compose` runs it.
type stack struct {
	t       *testing.T
	options []string // of `docker compose`
	// dir has the files that the set needs, so that one of them can be changed.
	dir string
	up  *exec.Cmd
	out bytes.Buffer
}

// startStack does as docs/quickstart.md says: `docker compose up`, in a terminal that
// stays. It returns when all is healthy and all tasks are done.
func startStack(t *testing.T, options ...string) *stack {
	t.Helper()
	s := &stack{t: t, options: options, dir: projectCopy(t)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("docker compose up:\n%s", tail(s.out.String()))
		}
		if out, err := s.docker("down", "-v", "--remove-orphans").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	s.start()
	return s
}

// docker is a command of `docker compose` about the set.
func (s *stack) docker(args ...string) *exec.Cmd {
	cmd := docker(slices.Concat([]string{"compose"}, s.options, args)...)
	cmd.Dir = s.dir
	return cmd
}

// run runs one and returns what it says.
func (s *stack) run(args ...string) string {
	s.t.Helper()
	return output(s.t, s.docker(args...))
}

// projectCopy is a folder with docker-compose.yaml and all that it mounts.
func projectCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"docker-compose.yaml", "deploy/compose", "deploy/prometheus", "deploy/grafana"} {
		to := filepath.Join(dir, filepath.Dir(name))
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-R", filepath.Join(root, name), to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	// Folders of tests are their owner's; what is mounted is read by other users.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *stack) start() {
	s.t.Helper()
	s.up = s.docker("up")
	s.up.Stdout, s.up.Stderr = &s.out, &s.out
	if err := s.up.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.up.Wait() }()
	eventually(s.t, upWithin, "all services are healthy", func() error {
		select {
		case err := <-ended:
			s.t.Fatalf("docker compose up has ended: %v", err)
		default:
		}
		return s.healthy()
	})
}

// down is `docker compose down`, after which the terminal is free again.
func (s *stack) down(args ...string) {
	s.t.Helper()
	s.run(append([]string{"down"}, args...)...)
}

// container is what the engine says of one.
type container struct {
	ID    string `json:"Id"`
	State struct {
		Status   string
		Pid      int
		ExitCode int
		Health   *struct{ Status string }
	}
	RestartCount int
	Config       struct{ Labels map[string]string }
	HostConfig   struct {
		Memory    int64
		NanoCpus  int64
		PidsLimit *int64
	}
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

// containers are those of the stack, by service.
func (s *stack) containers() (map[string]container, error) {
	ids, err := s.docker("ps", "--all", "--quiet").Output()
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(ids)) == 0 {
		return nil, nil
	}
	text, err := docker(append([]string{"inspect"}, strings.Fields(string(ids))...)...).Output()
	if err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	found := map[string]container{}
	for _, c := range all {
		found[c.service()] = c
	}
	return found, nil
}

// healthy tells what is wrong where not each service of the set is healthy, or has done
// its task.
func (s *stack) healthy() error {
	named, err := s.docker("config", "--services").Output()
	if err != nil {
		return err
	}
	found, err := s.containers()
	if err != nil {
		return err
	}
	for _, service := range strings.Fields(string(named)) {
		c, there := found[service]
		switch {
		case !there:
			return fmt.Errorf("%s has no container", service)
		case isTask(service) && (c.State.Status != "exited" || c.State.ExitCode != 0):
			return fmt.Errorf("%s is %s, with %d", service, c.State.Status, c.State.ExitCode)
		case !isTask(service) && (c.State.Health == nil || c.State.Health.Status != "healthy"):
			return fmt.Errorf("%s is %s: %+v", service, c.State.Status, c.State.Health)
		}
	}
	return nil
}

func isTask(service string) bool {
	return slices.Contains([]string{"firststart", "bootstrap", "apply"}, service)
}

func (s *stack) mustContainers() map[string]container {
	s.t.Helper()
	found, err := s.containers()
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// paste runs a block of lines of a document as they stand there.
func (s *stack) paste(block string) string {
	s.t.Helper()
	cmd := exec.Command("bash", "-euc", block)
	cmd.Dir = s.dir
	cmd.Env = append(clientEnvironment(), "PATH=/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Errorf("%v:\n%s\n%s", err, block, out)
	}
	return string(out)
}

// exec runs a command in a service, as the documents do.
func (s *stack) exec(service string, args ...string) string {
	s.t.Helper()
	return s.run(append([]string{"exec", "-T", service}, args...)...)
}

// crash ends a service's process as a fault would, and waits until the engine has
// started it again.
func (s *stack) crash(service string) {
	s.t.Helper()
	before := s.mustContainers()[service]
	if err := syscall.Kill(before.State.Pid, syscall.SIGKILL); err != nil {
		s.t.Fatalf("ending %s: %v", service, err)
	}
	eventually(s.t, upWithin, service+" is started again and healthy", func() error {
		found, err := s.containers()
		if err != nil {
			return err
		}
		if found[service].RestartCount <= before.RestartCount {
			return fmt.Errorf("it has been started %d times again", found[service].RestartCount)
		}
		return s.healthy()
	})
}

// stopped ends all services as `docker compose stop` does, and checks that each has
// ended by itself, with what it had to do done.
func (s *stack) stopped() {
	s.t.Helper()
	s.run("stop")
	for service, c := range s.mustContainers() {
		if c.State.Status != "exited" || c.State.ExitCode != 0 {
			s.t.Errorf("%s is %s after a stop, with exit code %d", service, c.State.Status, c.State.ExitCode)
		}
	}
}

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ask asks for a URL, with a header where name is one.
func ask(url, name, value string) (status int, body string, err error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if name != "" {
		r.Header.Set(name, value)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // servers come and go
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}
