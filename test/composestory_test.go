package test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/gatewright/gatewright/internal/testenv"
)

// stack are the services of docker-compose.yaml as processes of this machine. Each has
// a folder of its own in the place of its root, in which volumes are links to shared
// folders and mounted files are copies; addresses are free ones.
type stack struct {
	t       *testing.T
	project *types.Project
	dir     string
	// addrs are where services listen, by service:port.
	addrs   map[string]string
	outputs map[string]*testenv.Output
}

// notHere are the services that this machine has no program for.
var notHere = []string{"grafana", "jaeger"}

func newStack(t *testing.T, p *types.Project) *stack {
	s := &stack{t: t, project: p, dir: testenv.ShortDir(t), addrs: map[string]string{}, outputs: map[string]*testenv.Output{}}
	for name, service := range p.Services {
		volumes := slices.SortedFunc(slices.Values(service.Volumes), func(a, b types.ServiceVolumeConfig) int {
			return len(a.Target) - len(b.Target) // what is mounted within another comes after that
		})
		for _, v := range volumes {
			s.mount(name, v)
		}
		for _, tmp := range service.Tmpfs {
			path, _, _ := strings.Cut(tmp, ":")
			s.folder(s.at(name, path))
		}
	}
	t.Cleanup(func() {
		for name, out := range s.outputs {
			if text := out.String(); t.Failed() {
				t.Logf("%s:\n%s", name, text[max(0, len(text)-2000):])
			}
		}
	})
	return s
}

// at is where a path of a service is on this machine.
func (s *stack) at(service, path string) string { return filepath.Join(s.dir, service) + path }

func (s *stack) folder(path string) {
	s.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// mount puts a volume, or a copy of a file or folder, in its place.
func (s *stack) mount(service string, v types.ServiceVolumeConfig) {
	s.t.Helper()
	target := s.at(service, v.Target)
	s.folder(filepath.Dir(target))
	if v.Type == types.VolumeTypeVolume {
		shared := filepath.Join(s.dir, "volumes", v.Source)
		s.folder(shared)
		if err := os.Symlink(shared, target); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	err := filepath.WalkDir(v.Source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := target + strings.TrimPrefix(path, v.Source)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// The listeners of the gateway's config are Envoy's.
		in := service
		if service == "gatewright" || service == "apply" {
			in = "envoy"
		}
		moved := s.addresses(in, s.paths(service, string(content)))
		moved = strings.ReplaceAll(moved, "scrape_interval: 15s", "scrape_interval: 1s") // nobody waits that long here
		return os.WriteFile(to, []byte(moved), 0o600)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// addr is where a port of a service is on this machine.
func (s *stack) addr(service, port string) string {
	key := service + ":" + port
	if s.addrs[key] == "" {
		s.addrs[key] = testenv.Addr(s.t)
	}
	return s.addrs[key]
}

// addresses moves those in a text of a service: its own, and those of the others.
func (s *stack) addresses(service, text string) string {
	names := slices.Sorted(maps.Keys(s.project.Services))
	named := regexp.MustCompile(`(^|[^A-Za-z0-9_.-])(` + strings.Join(names, "|") + `|0\.0\.0\.0|127\.0\.0\.1|localhost):(\d{2,5})\b`)
	return named.ReplaceAllStringFunc(text, func(found string) string {
		m := named.FindStringSubmatch(found)
		of := m[2]
		if !slices.Contains(names, of) {
			of = service
		}
		return m[1] + s.addr(of, m[3])
	})
}

// paths moves those of a service's volumes in a text.
func (s *stack) paths(service, text string) string {
	var targets []string
	for _, v := range s.project.Services[service].Volumes {
		targets = append(targets, v.Target)
		if parent := filepath.Dir(v.Target); text == parent { // of several, as of all secrets
			return s.at(service, parent)
		}
	}
	slices.SortFunc(targets, func(a, b string) int { return len(b) - len(a) })
	for _, target := range targets {
		text = regexp.MustCompile(`(^|[\s=:"'])`+regexp.QuoteMeta(target)+`($|[/\s"'&?])`).
			ReplaceAllString(text, "${1}"+s.at(service, target)+"${2}")
	}
	return text
}

func (s *stack) moved(service, text string) string {
	return s.addresses(service, s.paths(service, text))
}

// environment is all that a process of a service has of it, and where this machine has
// its programs.
func (s *stack) environment(service string) []string {
	env := []string{
		"PATH=" + strings.Join([]string{binaries, filepath.Dir(testenv.Envoy(s.t)), testenv.PostgresPrograms(s.t), "/usr/local/bin:/usr/bin:/bin:/usr/sbin"}, ":"),
		// Not of the file: a machine as busy as this one may take longer.
		"GATEWRIGHT_REDIS_TIMEOUT=2s", "GATEWRIGHT_DRAIN_DELAY=0s",
	}
	for name, value := range s.project.Services[service].Environment {
		if value != nil {
			env = append(env, name+"="+s.moved(service, *value))
		}
	}
	return env
}

// command is a process of a service.
func (s *stack) command(service string, args []string) *exec.Cmd {
	s.t.Helper()
	moved := make([]string, len(args))
	for i, a := range args {
		moved[i] = s.moved(service, a)
	}
	env := s.environment(service)
	path := strings.TrimPrefix(env[0], "PATH=")
	cmd := testenv.NoOrphan(exec.Command(lookedUp(path, moved[0]), moved[1:]...))
	cmd.Env, cmd.Dir = env, s.dir
	return cmd
}

// lookedUp is a program on a path other than our own.
func lookedUp(path, program string) string {
	for dir := range strings.SplitSeq(path, ":") {
		if at := filepath.Join(dir, program); isProgram(at) {
			return at
		}
	}
	return program // not found is said by who starts it
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// whole is what a service's container runs: the entry point of its image, unless the
// service has another one, and its command.
func (s *stack) whole(service string) []string {
	config := s.project.Services[service]
	entry := []string(config.Entrypoint)
	switch {
	case len(entry) > 0:
	case service == "otel-collector": // another's image, of which the Dockerfile has no entry point
		entry = []string{testenv.OTelCollector(s.t)}
	case config.Build != nil:
		entry = entryPoint(s.t, config.Build.Target)
	case strings.HasPrefix(config.Image, "prom/prometheus:"):
		entry = []string{"prometheus"}
	}
	return append(slices.Clone(entry), config.Command...)
}

// entryPoint is that of a target of the Dockerfile.
func entryPoint(t *testing.T, target string) []string {
	t.Helper()
	file, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)\nFROM \S+ AS ` + target + `\n(?:[^\n]+\n)*?ENTRYPOINT \["(\w+)"\]`).FindSubmatch(file)
	if m == nil {
		t.Fatalf("the Dockerfile has no target %s, or no entry point for it", target)
	}
	return []string{string(m[1])}
}

// task runs a service that ends.
func (s *stack) task(service string) {
	s.t.Helper()
	if out, err := s.command(service, s.whole(service)).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", service, err, out)
	}
}

// start runs a service that stays, and returns when its health check says so.
func (s *stack) start(service string) {
	s.t.Helper()
	switch service {
	case "postgres":
		s.startPostgres()
	default:
		s.process(service, s.whole(service))
	}
	s.waitHealthy(service)
}

func (s *stack) process(service string, args []string) {
	s.t.Helper()
	cmd := s.command(service, args)
	out := &testenv.Output{}
	s.outputs[service] = out
	cmd.Stdout, cmd.Stderr = out, out
	if service == "redis" { // its port stands alone, in no address
		for i, a := range cmd.Args {
			switch a {
			case "0.0.0.0":
				cmd.Args[i] = "127.0.0.1"
			case "6379":
				cmd.Args[i] = portOfAddr(s.addr("redis", "6379"))
			}
		}
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", service, err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
}

func portOfAddr(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// startPostgres does as the image's entry point does: it makes the database first.
func (s *stack) startPostgres() {
	s.t.Helper()
	config := s.project.Services["postgres"]
	setting := func(name string) string {
		s.t.Helper()
		value := config.Environment[name]
		if value == nil {
			s.t.Fatalf("postgres has no %s", name)
		}
		return s.moved("postgres", *value)
	}
	if setting("POSTGRES_DB") != setting("POSTGRES_USER") || config.Command[0] != "postgres" {
		s.t.Fatalf("this is not as the test has it: %v, %v", config.Environment, config.Command)
	}
	testenv.PostgresServer{
		User: setting("POSTGRES_USER"), PasswordFile: setting("POSTGRES_PASSWORD_FILE"), Addr: s.addr("postgres", "5432"),
		InitArgs: strings.Fields(setting("POSTGRES_INITDB_ARGS")), Args: config.Command[1:],
	}.Start(s.t)
}

// waitHealthy waits as `docker compose` does for who depends on a service.
func (s *stack) waitHealthy(service string) {
	s.t.Helper()
	test := s.project.Services[service].HealthCheck.Test
	args := []string(test[1:])
	if test[0] == "CMD-SHELL" {
		args = []string{"sh", "-c", test[1]}
	}
	switch service {
	case "postgres":
		if _, err := exec.LookPath(args[0]); err != nil {
			return // as pg_isready is; it has answered already
		}
	case "prometheus", "grafana": // wget is their images'
		args = []string{"firststart", "health", args[len(args)-1]}
	case "redis":
		args[2] = strings.ReplaceAll(args[2], "redis-cli", "redis-cli -p "+portOfAddr(s.addr("redis", "6379")))
	}
	eventually(s.t, service+" is healthy", func() error {
		cmd := s.command(service, args)
		if service == "postgres" {
			cmd.Env = append(cmd.Env, "PGPORT="+portOfAddr(s.addr("postgres", "5432")))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			time.Sleep(100 * time.Millisecond) // a process each time: their start is what takes long here
			return fmt.Errorf("%q: %w: %s", cmd.Args, err, out)
		}
		return nil
	})
}

// up starts all that there are programs for, in the order that the file says.
func (s *stack) up() {
	s.t.Helper()
	started := map[string]bool{}
	var start func(name string)
	start = func(name string) {
		config, there := s.project.Services[name] // what is not required may be of the other set
		if !there || started[name] || slices.Contains(notHere, name) {
			return
		}
		started[name] = true
		for _, on := range slices.Sorted(maps.Keys(config.DependsOn)) {
			start(on)
		}
		switch {
		case config.Restart == "no":
			s.task(name)
		default:
			if name == "envoy" {
				s.moveAdmin()
			}
			s.start(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.project.Services)) {
		start(name)
	}
	eventually(s.t, "the keys of the issuer are there", func() error {
		out, err := s.command("gatewright", []string{"gatewright", "status"}).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "in use") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
}

// moveAdmin moves the admin port in the bootstrap that the service bootstrap has made.
func (s *stack) moveAdmin() {
	s.t.Helper()
	file := s.at("envoy", "/run/gatewright/envoy.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	const said = "port_value: 9901"
	if strings.Count(string(content), said) != 1 {
		s.t.Fatalf("the bootstrap does not say %s once:\n%s", said, content)
	}
	moved := strings.Replace(string(content), said, "port_value: "+portOfAddr(s.addr("envoy", "9901")), 1)
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// docker makes a program of that name, which runs commands in the services that the
// documents run there.
func (s *stack) docker() string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "docker")
	s.folder(dir)
	var program strings.Builder
	program.WriteString("#!/bin/bash\nset -euo pipefail\nshift\n[ \"$1\" != --env-file ] || shift 2\nwhat=$1; shift\nwhile [[ $1 = -* ]]; do shift; done\nservice=$1; shift\ncase $what-$service in\n")
	for name := range s.project.Services {
		var env strings.Builder
		for _, pair := range s.environment(name) {
			fmt.Fprintf(&env, " %s", quoted(pair))
		}
		fmt.Fprintf(&program, "exec-%s) exec env -i%s \"$@\" ;;\n", name, env.String())
		if s.project.Services[name].Restart == "no" {
			var args strings.Builder
			for _, a := range s.whole(name) {
				fmt.Fprintf(&args, " %s", quoted(s.moved(name, a)))
			}
			fmt.Fprintf(&program, "run-%s) exec env -i%s%s ;;\n", name, env.String(), args.String())
		}
	}
	program.WriteString("*) echo \"no such command\" >&2; exit 1 ;;\nesac\n")
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(program.String()), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// paste runs a block of a document in a shell. The ports that the file publishes are
// those of the services.
func (s *stack) paste(block string) string {
	s.t.Helper()
	published := map[string]string{}
	for name, config := range s.project.Services {
		for _, p := range config.Ports {
			published["127.0.0.1:"+p.Published] = s.addr(name, fmt.Sprint(p.Target))
		}
	}
	script := regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(block, func(addr string) string {
		if published[addr] == "" {
			s.t.Fatalf("the document asks %s, which nobody publishes", addr)
		}
		return published[addr]
	})
	cmd := exec.Command("bash", "-euc", script)
	cmd.Env = append(os.Environ(), "PATH="+s.docker()+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Errorf("%v:\n%s\n%s", err, script, out)
	}
	return string(out)
}

// TestCompose runs what docker-compose.yaml says as processes, in both sets, and pastes
// what docs/quickstart.md tells people to paste.
func TestCompose(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/quickstart.md shows %d blocks", len(blocks))
	}
	t.Run("small", func(t *testing.T) {
		t.Parallel()
		s := newStack(t, composeProject(t))
		s.up()
		tourOfCompose(t, s.paste(blocks[0][1]))
	})
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("etcd"); err != nil {
			// Not everywhere where the other programs are is this one.
			t.Skip("no etcd found: apt-get install etcd-server, or run `make test`")
		}
		if _, err := exec.LookPath("prometheus"); err != nil && os.Getenv("TESTENV_REQUIRE") == "" {
			t.Skip("no prometheus found: apt-get install prometheus, or run `make test`")
		}
		s := newStack(t, composeProject(t, fullSet))
		jaeger := testenv.StartCollectorAt(t, s.addr("jaeger", "4317")) // in the place of the real one
		s.up()
		seen := s.asked()
		tourOfCompose(t, s.paste(blocks[0][1]))
		s.isOne(seen, jaeger)
		eventually(t, "Prometheus has seen the gateway", func() error {
			if out := s.paste(blocks[1][1][strings.Index(blocks[1][1], "curl"):]); !strings.Contains(out, `"instance":"`+s.addr("gatewright", "9002")+`","job":"gatewright"},"value":[`) || !strings.Contains(out, `,"1"]`) {
				return fmt.Errorf("it says %s", out)
			}
			return nil
		})
		wants("compose", "docker compose up")(t, s.paste(blocks[1][1]))
	})
}

// tourOfCompose is what the first block of lines comes to.
func tourOfCompose(t *testing.T, out string) {
	t.Helper()
	wants("401 Unauthorized", `"reason":"credential-missing"`, "200 OK", `"X-User-Id":["alice"]`, `"X-User-Role":["buyer"]`, `"X-Trace-Id":["`,
		`"Traceparent":["00-`, `"X-Tenant-Id":["acme"]`, "200\n200\n200\n", "429 Too Many Requests", "retry-after: ", `"reason":"rate-limited"`,
		"envoy")(t, out)
	canaryCounted(t, out)
}
