package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestPrometheusRules: promtool takes the config and the rules, and the alerts
// say what they should, when they should.
func TestPrometheusRules(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("TESTENV_REQUIRE") != "" {
			t.Fatal("no promtool found: apt-get install prometheus, or run `make test`")
		}
		t.Skip("no promtool found: apt-get install prometheus, or run `make test`")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "rules.yml", "alerts.yml"}, {"test", "rules", "tests.yml"}} {
		cmd := exec.Command(program, args...)
		cmd.Dir = "../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// seenAll is a gateway in which everything happens that the dashboard shows.
const seenAll = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
  next: {endpoints: ["{{.users}}"]}
  failing: {endpoints: ["{{.failing}}"], breaker: {minRequests: 5, openFor: 1h}}
auth:
` + jwtMain + `  apiKey: {keys: {}}
limits:
  few: {key: [clientIP], tokenBucket: {capacity: 3, refill: 1/d}}
routes:
  - {name: users, match: {path: /users/**}, auth: {anyOf: [{jwt: main}, {apiKey: keys}]}, to: [{backend: users}]}
  - {name: failing, match: {path: /failing}, auth: public, to: [{backend: failing}]}
  - {name: few, match: {path: /few}, auth: public, limits: [few], to: [{backend: users}]}
  - {name: canary, match: {path: /canary}, auth: public, to: [{backend: users, weight: 1}, {backend: next, weight: 0}], rollout: {backend: next, steps: [50, 100], every: 1h}}
`

// startSeen starts it, with Redis, and a Prometheus that scrapes it each second
// and keeps the rules.
func startSeen(t *testing.T) (*gateway, *testenv.Prometheus, func()) {
	t.Helper()
	return seenAt(t, testenv.Addr(t))
}

// seenAt is startSeen with the Prometheus at an address that others are told.
func seenAt(t *testing.T, addr string) (*gateway, *testenv.Prometheus, func()) {
	t.Helper()
	p, failing := idp(t), backend(t, "failing")
	failing.SetStatus(500)
	g := start(t, setup{
		config: seenAll, env: []string{"GATEWRIGHT_REDIS_URL=" + testenv.StartRedis(t).URL()},
		values: map[string]string{"issuer": p.Issuer(), "users": backend(t, "users").Addr(), "failing": failing.Addr()},
	})
	rules, err := filepath.Abs("../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	prometheus := testenv.StartPrometheusAt(t, addr, fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s/rules.yml, %s/alerts.yml]
scrape_configs:
  - {job_name: gatewright, static_configs: [{targets: ["%s"]}]}
`, rules, rules, g.admin))
	good, key := bearer(token(t, p)), g.createKey().header()
	traffic := func() {
		for _, r := range []struct {
			path string
			h    []header
		}{{"/users/1", []header{good}}, {"/users/1", []header{key}}, {"/users/1", nil}, {"/failing", nil}, {"/few", nil}, {"/canary", nil}} {
			if _, err := try("GET", g.url("public", r.path), r.h...); err != nil {
				t.Error(err)
			}
		}
	}
	return g, prometheus, traffic
}

// TestDashboard: each query of the dashboard, and each recording rule, has data in a
// real Prometheus once there is traffic.
func TestDashboard(t *testing.T) {
	t.Parallel()
	_, prometheus, traffic := startSeen(t)
	queries := dashboardQueries(t, "../deploy/grafana/dashboards/gatewright.json")
	queries = append(queries, recorded(t, "../deploy/prometheus/rules.yml")...)
	if len(queries) < 30 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	for _, query := range queries {
		eventually(t, "there is data for "+query, func() error {
			samples, err := prometheus.Query(query)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range samples {
				if s.Value != "NaN" {
					return nil
				}
			}
			traffic()
			return fmt.Errorf("%d samples, none with a number", len(samples))
		})
	}
	for alert, labels := range map[string]string{"GatewrightErrors": `route="failing"`} {
		eventually(t, alert+" is on its way", func() error {
			traffic()
			samples, err := prometheus.Query(`ALERTS{alertname="` + alert + `",` + labels + `}`)
			if err == nil && len(samples) == 0 {
				err = fmt.Errorf("no %s", alert)
			}
			return err
		})
	}
}

// TestNativeHistograms: where Prometheus keeps them, the p99 of each route is one query
// without buckets; and what asks for latencies in the dashboard and in the rules has
// data, though the classic histogram is not kept beside it.
func TestNativeHistograms(t *testing.T) {
	t.Parallel()
	rules, err := filepath.Abs("../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, setup{config: hello})
	prometheus := testenv.StartPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s/rules.yml]
scrape_configs:
  - {job_name: gatewright, static_configs: [{targets: ["%s"]}]}
`, rules, g.admin), "--enable-feature=native-histograms")
	queries := []string{
		`histogram_quantile(0.99, sum by (route) (rate(gatewright_request_duration_seconds[1m])))`,
		`route:gatewright_request_duration_seconds:p99_rate5m`, `route:gatewright_request_duration_seconds:p50_rate5m`,
	}
	for _, query := range dashboardQueries(t, "../deploy/grafana/dashboards/gatewright.json") {
		if strings.Contains(query, "gatewright_request_duration_seconds") {
			queries = append(queries, query)
		}
	}
	if len(queries) < 6 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	for _, query := range queries {
		eventually(t, "there is data for "+query, func() error {
			if _, err := try("GET", g.url("public", "/hello")); err != nil {
				return err
			}
			samples, err := prometheus.Query(query)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range samples {
				if s.Value != "NaN" && (s.Labels["route"] == "" || s.Labels["route"] == "hello") {
					return nil
				}
			}
			return fmt.Errorf("%v", samples)
		})
	}
}

// dashboardQueries are the queries of a dashboard, with its variables filled in.
func dashboardQueries(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$route", ".*", "$job", "gatewright")
	var out []string
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			out = append(out, fill.Replace(q.Expr))
		}
	}
	return out
}

// recorded are the names that recording rules give.
func recorded(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(string(data), -1) {
		out = append(out, m[1])
	}
	return out
}

// TestDocsHaveTheMetrics: docs/metrics.md has the metrics that the code has, all
// and no others; and rules and dashboard ask for none but those.
func TestDocsHaveTheMetrics(t *testing.T) {
	t.Parallel()
	inCode := map[string]bool{}
	named := regexp.MustCompile(`(?:Name:\s*|NewDesc\()"(gatewright_[a-z_]+)"`)
	suffixed := regexp.MustCompile(`Name:\s*prefix \+ "([a-z_]+)"`) // newReloads
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".tools" || d.Name() == ".git" || d.Name() == "bench") {
			return cmp.Or(err, filepath.SkipDir)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		code, err := os.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(string(code), -1) {
			inCode[m[1]] = true
		}
		for _, m := range suffixed.FindAllStringSubmatch(string(code), -1) {
			inCode["gatewright_config"+m[1]], inCode["gatewright_ratelimit_config"+m[1]] = true, true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	inDocs := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(gatewright_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		inDocs[m[1]] = true
	}
	for name := range inCode {
		if !inDocs[name] {
			t.Errorf("docs/metrics.md does not tell of %s", name)
		}
	}
	for name := range inDocs {
		if !inCode[name] {
			t.Errorf("docs/metrics.md tells of %s, and there is none", name)
		}
	}
	asked := regexp.MustCompile(`(?:^|[^:a-z_])(gatewright_[a-z_]+)`)
	for _, file := range []string{"prometheus/rules.yml", "prometheus/alerts.yml", "grafana/dashboards/gatewright.json"} {
		text, err := os.ReadFile("../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			if name := strings.TrimSuffix(strings.TrimSuffix(m[1], "_bucket"), "_count"); !inCode[name] {
				t.Errorf("%s asks for %s, and there is none", file, m[1])
			}
		}
	}
}
