package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeProject is docker-compose.yaml as `docker compose` reads it, with the services
// of one set: the small one, or that of an env file.
func composeProject(t testing.TB, envFiles ...string) *types.Project {
	t.Helper()
	with := []cli.ProjectOptionsFn{cli.WithWorkingDirectory("..")}
	if len(envFiles) > 0 {
		with = append(with, cli.WithEnvFiles(envFiles...), cli.WithDotEnv)
	}
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yaml"}, append(with, cli.WithDefaultProfiles())...)
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

const fullSet = "../deploy/compose/full.env"

// TestComposeSets: the small set is what `docker compose up` starts, and the full one
// has everything.
func TestComposeSets(t *testing.T) {
	t.Parallel()
	small := []string{"bootstrap", "envoy", "firststart", "gatewright", "idp", "redis", "users-v1", "users-v2"}
	if got := composeProject(t).ServiceNames(); !slices.Equal(got, small) {
		t.Errorf("the small set is %q, want %q", got, small)
	}
	full := slices.Sorted(slices.Values(append(small, "apply", "etcd", "grafana", "jaeger", "otel-collector", "postgres", "prometheus")))
	if got := composeProject(t, fullSet).ServiceNames(); !slices.Equal(got, full) {
		t.Errorf("the full set is %q, want %q", got, full)
	}
}

// TestComposePolicies: what every service has to keep to.
func TestComposePolicies(t *testing.T) {
	t.Parallel()
	project := composeProject(t, fullSet)
	for name, s := range project.Services {
		rule := func(kept bool, rule string) {
			t.Helper()
			if !kept {
				t.Errorf("%s: %s", name, rule)
			}
		}
		uid, _, _ := strings.Cut(s.User, ":")
		rule(regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(uid), "runs as root, or as whom the image says")
		rule(s.ReadOnly, "can write to its root")
		rule(slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0 && !s.Privileged, "has capabilities")
		rule(slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}), "can get new privileges")
		rule(s.Pid == "" && s.Ipc == "" && s.NetworkMode != "host" && len(s.Devices) == 0, "shares what is the machine's")
		rule(s.NetworkMode == "none" || len(s.Networks) > 0 && s.Networks["default"] == nil, "is in a network that is not named")
		rule(s.Logging != nil && s.Logging.Driver == "local" && s.Logging.Options["max-size"] != "", "logs without a bound")

		limits := s.Deploy
		rule(limits != nil && limits.Resources.Limits != nil && limits.Resources.Limits.NanoCPUs > 0 &&
			limits.Resources.Limits.MemoryBytes > 0 && limits.Resources.Limits.Pids > 0, "has no limits of CPU, memory and processes")

		task := s.Restart == "no"
		rule(task || s.Restart == "unless-stopped", "is not started again")
		rule(task || s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 1 && s.HealthCheck.Timeout != nil, "has no health check")
		for _, p := range s.Ports {
			rule(p.HostIP == "127.0.0.1", "publishes port "+p.Published+" to other machines")
		}
		rule(s.Build != nil || regexp.MustCompile(`:v?\d+\.\d+`).MatchString(s.Image), "has an image "+s.Image+" of no version")
		for variable, value := range s.Environment {
			secret := regexp.MustCompile(`PASSWORD|SECRET|TOKEN`).MatchString(variable)
			rule(!secret || strings.HasSuffix(variable, "_FILE") && value != nil && strings.HasPrefix(*value, "/run/secrets/"), variable+" is not in a file")
			rule(value == nil || !regexp.MustCompile(`://[^/@]*:[^/@]*@`).MatchString(*value), variable+" has a password")
		}
		for _, v := range s.Volumes {
			if name != "firststart" && strings.HasPrefix(v.Source, "secrets-") {
				owner := strings.TrimPrefix(v.Source, "secrets-")
				rule(owner == name || name == "apply" && owner == "gatewright", "reads the secrets of "+owner)
				rule(v.ReadOnly && v.Volume != nil && v.Volume.NoCopy, "may write secrets")
				rule(waitsFor(project, name, "firststart"), "does not wait for its secrets")
				reads := uid == "65532" || slices.Contains(s.GroupAdd, "65532")
				rule(reads, "is not in the group that may read its secrets")
			}
			rule(v.Type != types.VolumeTypeBind || v.ReadOnly, "may write to "+v.Source)
		}
	}
	if !project.Networks["state"].Internal {
		t.Error("the network of the stores is open")
	}
	for _, store := range []string{"redis", "postgres", "etcd"} {
		s := project.Services[store]
		if len(s.Networks) != 1 || len(s.Ports) > 0 || !slices.Contains(s.NetworksByPriority(), "state") {
			t.Errorf("%s can be reached by others", store)
		}
	}
}

// waitsFor tells whether a service starts after another has done its work, itself or by
// those that it waits for.
func waitsFor(p *types.Project, name, task string) bool {
	for on, how := range p.Services[name].DependsOn {
		if on == task && how.Condition == types.ServiceConditionCompletedSuccessfully || on != task && waitsFor(p, on, task) {
			return true
		}
	}
	return false
}

// TestComposeConfigs: the full set has the config of the small one, and traces.
func TestComposeConfigs(t *testing.T) {
	t.Parallel()
	rules := func(file string) string {
		text, err := os.ReadFile("../deploy/compose/" + file)
		if err != nil {
			t.Fatal(err)
		}
		_, rules, found := strings.Cut(string(text), "\n\nlisteners:")
		if !found {
			t.Fatalf("%s has no listeners behind its first lines", file)
		}
		return rules
	}
	full := rules("full.yaml")
	for _, more := range []string{`# All requests are recorded, and the metrics name some of them, and by whom they are:
# this is a place to look around in.
tracing:
  otlp: {backend: collector}
  service: gatewright
  percent: 100
  exemplars: user

`, `  collector:
    endpoints: ["otel-collector:4317"]
    protocol: grpc
`} {
		if strings.Count(full, more) != 1 {
			t.Errorf("full.yaml does not have once:\n%s", more)
		}
		full = strings.Replace(full, more, "", 1)
	}
	if full != rules("gateway.yaml") {
		t.Error("gateway.yaml and full.yaml differ in more than traces")
	}
}

// TestComposeFiles: what is mounted is there.
func TestComposeFiles(t *testing.T) {
	t.Parallel()
	for name, s := range composeProject(t, fullSet).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if found, err := filepath.Glob(v.Source); err != nil || len(found) != 1 {
				t.Errorf("%s mounts %s, which is not there", name, v.Source)
			}
		}
	}
}

// TestDockerIgnore: what is compiled, and what that embeds, comes to the builder.
func TestDockerIgnore(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`,
		"./cmd/gatewright", "./examples/demo", "./deploy/compose/firststart")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	taken := regexp.MustCompile(`(\.go|\.lua|\.sql|^config/schema\.json)$`)
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, ours := strings.CutPrefix(strings.TrimSpace(line), root+"/")
		if !ours || path == "" {
			continue
		}
		seen++
		if !taken.MatchString(path) || strings.Contains(path, "testdata") {
			t.Errorf("%s is compiled, and .dockerignore leaves it out", path)
		}
	}
	if seen < 100 {
		t.Errorf("only %d files are seen", seen)
	}
}
