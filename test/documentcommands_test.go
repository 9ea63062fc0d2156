package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"sigs.k8s.io/yaml"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// ofCommands is the config of the gateway beside which documents' commands are run.
const ofCommands = `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {orders: {endpoints: [127.0.0.1:9], breaker: {openFor: 1h}}}
routes: [{name: orders, match: {path: /orders/**}, auth: public, to: [{backend: orders}]}]
`

// preparedForCommands is a gateway that is not started, for commands that need only its
// settings.
func preparedForCommands(t *testing.T) *gateway {
	t.Helper()
	return prepared(t, setup{config: ofCommands, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken}})
}

// startedForCommands is a gateway that runs, without an Envoy.
func startedForCommands(t *testing.T) *gateway {
	t.Helper()
	return start(t, setup{config: ofCommands, serve: true, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken}})
}

// script is a process that runs lines of a document, in the folder and with the settings
// of a gateway. The admin port is the gateway's.
func (g *gateway) script(lines string) *exec.Cmd {
	g.t.Helper()
	cmd := testenv.NoOrphan(exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(lines, "127.0.0.1:9002", g.admin)))
	cmd.Dir = g.dir
	cmd.Env = append(g.env, "PATH="+binaries+":"+os.Getenv("PATH"))
	return cmd
}

// paste runs lines of a document, and returns what they print.
func (g *gateway) paste(lines string) string {
	g.t.Helper()
	out, err := g.script(lines).CombinedOutput()
	if err != nil {
		g.t.Fatalf("%v: %s\n%s", err, out, lines)
	}
	return string(out)
}

// serveBy starts the gateway by lines of a document, the last of which stays.
func (g *gateway) serveBy(lines string) {
	g.t.Helper()
	const last = "gatewright serve -c gateway.yaml\n"
	if strings.Count(lines, last) != 1 || !strings.HasSuffix(lines, last) {
		g.t.Fatalf("these do not end with %s:\n%s", last, lines)
	}
	g.launchAs(g.script(strings.Replace(lines, last, "exec "+last, 1)))
	g.waitReady()
	g.t.Cleanup(g.stop)
}

// programOf is a program on PATH. Without it the test is skipped, or fails where all
// programs have to be there.
func programOf(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("TESTENV_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skipf("no %s found: apt-get install %s", name, debian)
	}
	return path
}

// linesOf are the commands of a block.
func linesOf(b block) []string {
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(b.text, "\\\n", "")), "\n")
}

// firstRoute is the README's: it checks its config, makes a key, starts the gateway and
// asks it.
func firstRoute(t *testing.T, b block) {
	lines := linesOf(b)
	if len(lines) != 4 {
		t.Fatalf("%s has %d lines", b, len(lines))
	}
	app := backend(t, "shop")
	shown := blocksOf(t, b.file)[2].text
	g := prepared(t, setup{config: strings.NewReplacer("127.0.0.1:3000", app.Addr(), "127.0.0.1:8080", `{{listen "public"}}`).Replace(shown)})
	if err := os.Symlink(binaries, filepath.Join(g.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	g.paste(lines[0])
	key := regexp.MustCompile(`gw_\w+`).FindString(g.paste(lines[1]))
	g.launchAs(g.script("exec " + lines[2]))
	g.waitReady()
	t.Cleanup(g.stop)
	out := g.paste(strings.NewReplacer("gw_...", key, "127.0.0.1:8080", g.listeners["public"]).Replace(lines[3]))
	if key == "" || !strings.Contains(out, "200 OK") || !strings.Contains(out, `"X-Tenant-Id":["acme"]`) {
		t.Errorf("with the key %q: %s", key, out)
	}
}

// dryMake is what a make target would run.
func dryMake(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", strings.Replace(line, "make ", "make -n ", 1))
	cmd.Dir = ".."
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.Contains(name, "MAKE") && name != "MFLAGS" { // of a make that runs this test
			cmd.Env = append(cmd.Env, pair)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// twoCommands are `make run` and `make test`: the first starts what TestQuickstart starts,
// and the second is a part of what CI runs, which has run this.
func twoCommands(t *testing.T, b block) {
	wanted := map[string]string{
		"make run":  "bin/quickstart -c examples/quickstart/gateway.yaml",
		"make test": "go test -timeout 20m ./test ./...",
	}
	for _, line := range linesOf(b) {
		line, _, _ = strings.Cut(line, " #")
		line = strings.TrimSpace(line)
		if out := dryMake(t, line); wanted[line] == "" || !strings.Contains(out, wanted[line]) {
			t.Errorf("%s runs %s, want %q in it", line, out, wanted[line])
		}
	}
	if ci := read(t, "../.ci/run"); !strings.Contains(ci, "\nmake check\n") || !strings.Contains(dryMake(t, "make check"), wanted["make test"]) {
		t.Errorf("CI runs %s", ci)
	}
}

// makes judges commands that take minutes: targets are there, and the programs that they
// run take the flags.
func makes(t *testing.T, b block) {
	for _, line := range linesOf(b) {
		line, _, _ = strings.Cut(line, " #")
		command := strings.TrimSpace(line)
		if strings.HasPrefix(command, "make ") {
			command = dryMake(t, command)
		}
		switch folder, isTest := strings.CutPrefix(command, "go test "); {
		case isTest:
			if tests, err := filepath.Glob(filepath.Join("..", folder, "*_test.go")); err != nil || len(tests) == 0 {
				t.Errorf("%s: there are none, %v", line, err)
			}
		case !takesFlags(t, command):
			t.Errorf("%s runs no bench: %s", line, command)
		}
	}
}

// takesFlags has a bench read the flags that it would be run with, if it is a bench that a
// command runs.
func takesFlags(t *testing.T, command string) bool {
	t.Helper()
	run := regexp.MustCompile(`go run \./bench/.*`).FindString(command)
	if run == "" {
		return false
	}
	run = regexp.MustCompile(`\bPID[A-Z-]*`).ReplaceAllString(run, "1") // the reader's to fill in
	cmd := exec.Command("bash", "-c", run+" -h")                        // which is told when all before it was read
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", run, err, out)
	}
	return true
}

func breakerCommands(t *testing.T, b block) {
	g := startedForCommands(t)
	for i, want := range []string{`orders +open .* kept so by an operator`, `orders +closed .* kept so by an operator`, `orders +closed .* enforce +-`} {
		g.paste(linesOf(b)[i])
		if out := g.paste("gatewright breaker list"); !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("after %s it is %s", linesOf(b)[i], out)
		}
	}
}

func plansOfTenants(t *testing.T, b block) {
	g := preparedForCommands(t)
	out := g.paste(b.text)
	for _, want := range []string{"gold", "bigcorp", "per-tenant", "5000", "exports-a-month", "1000", "until the end of March", "gw_"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

// revokedTokens runs the page's commands when there are so many revocations that the one
// is there which it takes back.
func revokedTokens(t *testing.T, b block) {
	g, p := preparedForCommands(t), idp(t)
	if err := os.WriteFile(filepath.Join(g.dir, "token.txt"), []byte(token(t, p, "sub=alice", "jti=t1")), 0o600); err != nil {
		t.Fatal(err)
	}
	g.paste("for i in $(seq 13); do gatewright tokens revoke --issuer https://id.example.com/ --jti earlier-$i; done")
	out := g.paste(b.text)
	for _, want := range []string{"stolen laptop", p.Issuer(), "17"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	if out := g.paste("gatewright tokens list"); strings.Contains(out, p.Issuer()) || !strings.Contains(out, "stolen laptop") {
		t.Errorf("after the last command there are %s", out)
	}
}

// madeSecret: the secret that the page makes is one, and keys are hashed with it.
func madeSecret(t *testing.T, b block) {
	programOf(t, "openssl", "openssl")
	g := preparedForCommands(t)
	out := g.paste(b.text + "gatewright keys create --name first")
	if !strings.Contains(out, "gw_") {
		t.Errorf("it says %s", out)
	}
	if _, err := os.Stat(filepath.Join(g.dir, "keys.db.secret")); err == nil {
		t.Error("another secret was made")
	}
}

func importedKeys(t *testing.T, b block) {
	g := preparedForCommands(t)
	// It is of a time that passes.
	content := strings.ReplaceAll(b.text, "2027-01-31", time.Now().AddDate(1, 0, 0).Format(time.DateOnly))
	if err := os.WriteFile(filepath.Join(g.dir, "keys.csv"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	g.paste("gatewright keys import keys.csv")
	if out := g.paste("gatewright keys list -o json"); !strings.Contains(out, `"Acme nightly"`) || !strings.Contains(out, `"users:read"`) {
		t.Errorf("the keys are %s", out)
	}
}

func keysOverHTTP(t *testing.T, b block) {
	g := startedForCommands(t)
	if out := g.paste(b.text); !strings.Contains(out, `"key":`) {
		t.Errorf("it says %s", out)
	}
	if out := g.paste("gatewright keys list"); !strings.Contains(out, "nightly") {
		t.Errorf("the keys are %s", out)
	}
}

// profiles runs the lines with a shorter time, and their tools so that they end by
// themselves.
func profiles(t *testing.T, b block) {
	g := start(t, setup{config: ofCommands, serve: true, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken, "GATEWRIGHT_FLIGHT_RECORDER=10s"}})
	script := strings.NewReplacer("seconds=10", "seconds=1", "go tool pprof", "go tool pprof -raw", "go tool trace", "go tool trace -pprof=sched").Replace(b.text)
	if out := g.paste(script); !strings.Contains(out, "PeriodType: cpu nanoseconds") {
		t.Errorf("they say %s", out)
	}
}

func logLevels(t *testing.T, b block) {
	g := startedForCommands(t)
	if out := g.paste(b.text); strings.Count(out, "debug") == 0 {
		t.Errorf("they say %s", out)
	}
	if out := g.paste(linesOf(b)[0]); !strings.Contains(out, "xds") || !strings.Contains(out, "debug") {
		t.Errorf("the levels are %s", out)
	}
}

// query is one of Prometheus: promtool takes it, and what it asks for is in the page's table.
func query(t *testing.T, b block) {
	promtool := programOf(t, "promtool", "prometheus")
	rules, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "g", "rules": []any{map[string]any{"record": "a:b", "expr": b.text}}}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, rules, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for _, name := range regexp.MustCompile(`gatewright_\w+`).FindAllString(b.text, -1) {
		if !strings.Contains(read(t, "../"+b.file), "| `"+name+"`") {
			t.Errorf("%s has no %s", b.file, name)
		}
	}
}

// rateLimitFolder serves and checks a folder of envoyproxy/ratelimit's files.
func rateLimitFolder(t *testing.T, b block) {
	g, lines := preparedForCommands(t), linesOf(b)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "shop.yaml"), fmt.Appendf(nil, shopLimits, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := func(line string) string { return strings.ReplaceAll(line, "/etc/ratelimit", folder) }
	g.serveBy(moved(lines[0]) + "\n")
	g.paste(moved(lines[1]))
	g.hasMetric("gatewright_ratelimit_config_last_reload_successful 1")
}

// rateLimitServer serves what an xDS server has, over mTLS.
func rateLimitServer(t *testing.T, b block) {
	secrets := testenv.EnvoyGatewaySecrets(t)
	control := testenv.StartEnvoyGateway(t, "127.0.0.1:0", secrets.Gateway)
	g := preparedForCommands(t)
	g.env = append(g.env, "GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway") // there, it is the host that is asked
	g.serveBy(strings.NewReplacer("envoy-gateway:18001", control.Addr, "/certs/", secrets.RateLimit+"/").Replace(b.text))
	eventually(t, "the server is asked", func() error {
		asked, _ := control.Requests(func(r *discoveryv3.DiscoveryRequest) bool { return r.GetNode().GetId() == "envoy-ratelimit" })
		if len(asked) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

func importedDocument(t *testing.T, b block) {
	g := preparedForCommands(t)
	document := read(t, "../config/testdata/api.yaml")
	if err := os.WriteFile(filepath.Join(g.dir, "shop.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	g.paste("rm gateway.yaml\n" + b.text + "gatewright check gateway.yaml")
}

// problemAnswer is an answer of Gatewright's own.
func problemAnswer(t *testing.T, b block) {
	var p struct {
		Type, Title, Reason, Detail string
		Status                      int
	}
	decoder := json.NewDecoder(strings.NewReader(b.text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil || p.Title != http.StatusText(p.Status) || p.Type != "urn:gatewright:problem:"+p.Reason || p.Detail == "" {
		t.Errorf("%s: %+v, %v", b, p, err)
	}
}

// fileOfEndpoints is one that `discovery` names.
func fileOfEndpoints(t *testing.T, b block) {
	if _, err := config.ParseEndpoints("endpoints.yaml", []byte(b.text), &config.Config{}); err != nil {
		t.Errorf("%s: %v", b, err)
	}
}

// ofForeignEnvoy is an Envoy of somebody's own, with filters in front of its last one.
const ofForeignEnvoy = `
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 18080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
%s          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: gatewright
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: gatewright, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9001}}}}]}]}
`

// filtersOfEnvoy are the beginning of an Envoy's http_filters.
func filtersOfEnvoy(t *testing.T, b block) {
	validated(t, fmt.Sprintf(ofForeignEnvoy, indented(10, b.text)))
}

// filterOfRateLimits is shown of an Envoy's rate limit filter.
func filterOfRateLimits(t *testing.T, b block) {
	validated(t, fmt.Sprintf(ofForeignEnvoy, indented(10, `http_filters:
- name: envoy.filters.http.ratelimit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
    rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: gatewright}}}
`+indented(4, b.text))))
}

// validated has Envoy judge a config.
func validated(t *testing.T, content string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, testenv.Envoy(t), "--mode", "validate", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, content)
	}
}

// TestControlPlaneTLSDocument: the certificates that the page makes, by either program, and
// the two commands that use them, are a gateway over mTLS.
func TestControlPlaneTLSDocument(t *testing.T) {
	t.Parallel()
	blocks := blocksOf(t, "docs/control-plane-tls.md")
	if len(blocks) != 4 {
		t.Fatalf("it shows %d blocks", len(blocks))
	}
	t.Run("openssl", func(t *testing.T) {
		t.Parallel()
		programOf(t, "openssl", "openssl")
		controlledOverTLS(t, blocks[0].text, blocks[2].text, blocks[3].text)
	})
	t.Run("step", func(t *testing.T) {
		t.Parallel()
		step := os.Getenv("STEP")
		if step == "" {
			t.Skip("STEP names no program: `make step` builds it")
		}
		controlledOverTLS(t, "step() { "+step+" \"$@\" </dev/null; }\n"+blocks[1].text, blocks[2].text, blocks[3].text)
	})
}

// controlledOverTLS makes certificates and starts a gateway and an Envoy with them, by scripts.
func controlledOverTLS(t *testing.T, makeThem, serve, bootstrap string) {
	t.Helper()
	app, addr, out := backend(t, "app"), testenv.Addr(t), t.TempDir()
	g := prepared(t, setup{config: `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {app: {endpoints: ["{{.app}}"]}}
routes: [{name: all, match: {path: /**}, auth: public, to: [{backend: app}]}]
`, values: map[string]string{"app": app.Addr()}})
	tls := t.TempDir()
	g.paste("cd " + tls + "\n" + makeThem)
	g.serveBy(strings.NewReplacer("0.0.0.0:9001", addr, "/etc/gatewright/tls", tls).Replace(serve))

	if err := os.Symlink(testenv.Envoy(t), filepath.Join(out, "envoy")); err != nil {
		t.Fatal(err)
	}
	admin := filepath.Join(testenv.ShortDir(t), "admin")
	envoy := g.script("PATH=$PATH:" + out + "\n" + strings.NewReplacer(
		// The host has another name here, and ports are others'.
		"gatewright.internal:9001", addr+" --control-server-name gatewright.internal --admin unix:"+admin,
		"/etc/envoy", out, "envoy -c", "exec envoy --use-dynamic-base-id --concurrency 1 -l error -c",
	).Replace(strings.ReplaceAll(bootstrap, "/etc/envoy/tls", tls)))
	envoy.Stdout, envoy.Stderr = g.stdout, g.stderr
	if err := envoy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = envoy.Process.Kill(); _ = envoy.Wait() })
	g.serves("/")
	eventually(t, "all is well, and the Envoy is there by its name", func() error {
		if out, err := g.script("gatewright status").CombinedOutput(); err != nil || !strings.Contains(string(out), "edge-7") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
}

// kongFile is one of Kong: each of its fields is in the page's tables, which were held against
// Kong's source, and the config that the page makes of it says the same.
func kongFile(t *testing.T, b block) {
	var kong struct {
		Format   string `json:"_format_version"`
		Services []struct {
			Name, URL   string
			ReadTimeout int `json:"read_timeout"`
			Retries     int
			Routes      []struct {
				Name                  string
				Hosts, Paths, Methods []string
				StripPath             bool `json:"strip_path"`
			}
			Plugins []struct {
				Name   string
				Config struct {
					KeyNames        []string `json:"key_names"`
					HideCredentials bool     `json:"hide_credentials"`
					Minute          int
					Policy          string
					Redis           struct{ Host string }
					LimitBy         string `json:"limit_by"`
					FaultTolerant   bool   `json:"fault_tolerant"`
				}
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(b.text), &kong); err != nil {
		t.Fatal(err)
	}
	page := read(t, "../"+b.file)
	_, tables, _ := strings.Cut(page, "\n## Services, upstreams and routes\n")
	for _, m := range regexp.MustCompile(`(\w+):\s|name: ([a-z]+-[a-z]+)`).FindAllStringSubmatch(b.text, -1) {
		field := m[1] + m[2]
		if strings.Contains(" http https _format_version name config services routes plugins host redis ", " "+field+" ") {
			continue // what holds the others, and names of its own
		}
		if !regexp.MustCompile("`[^`\n]*\\b" + field + "\\b[^`\n]*`").MatchString(tables) {
			t.Errorf("no table of %s tells of %s", b.file, field)
		}
	}
	c, err := config.Parse("gateway.yaml", []byte(blocksOf(t, b.file)[1].text))
	if err != nil || len(kong.Services) != 1 || len(kong.Services[0].Routes) != 1 || len(kong.Services[0].Plugins) != 2 || len(c.Routes) != 1 {
		t.Fatalf("%v: %+v", err, kong)
	}
	service, route, ours := kong.Services[0], kong.Services[0].Routes[0], c.Routes[0]
	key, limit := service.Plugins[0].Config, service.Plugins[1].Config
	for what, same := range map[string]bool{
		"the version":     kong.Format == "3.0",
		"the backend":     service.URL == "http://"+c.Backends[service.Name].Endpoints[0].Address,
		"the timeout":     time.Duration(service.ReadTimeout)*time.Millisecond == time.Duration(ours.Timeout),
		"the retries":     ours.Retry != nil && service.Retries == ours.Retry.Attempts,
		"the route":       route.Name == ours.Name && slices.Equal(route.Hosts, ours.Match.Hosts) && slices.Equal(route.Methods, ours.Match.Methods),
		"the path":        len(route.Paths) == 1 && ours.Match.Path == route.Paths[0]+"/**" && route.StripPath == (ours.Rewrite.Path == "/**"),
		"the key":         slices.Equal(key.KeyNames, []string{c.Auth.APIKey["customers"].From.Header}) && key.HideCredentials,
		"the limit":       limit.Minute == int(c.Limits["per-customer"].FixedWindow.Limit) && time.Duration(c.Limits["per-customer"].FixedWindow.Window) == time.Minute,
		"where it counts": limit.Policy == "redis" && strings.Contains(page, "`GATEWRIGHT_REDIS_URL=redis://"+limit.Redis.Host+":6379`"),
		"who is counted":  limit.LimitBy == "consumer" && fmt.Sprint(c.Limits["per-customer"].Key) == "[tenant]",
	} {
		if !same {
			t.Errorf("%s is not the same in both", what)
		}
	}
}
