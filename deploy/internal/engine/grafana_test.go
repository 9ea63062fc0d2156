package engine

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// grafanaVariable is the home of a real Grafana, with bin, conf, public and
// packaging/docker. Without it a small program stands in for Grafana.
const grafanaVariable = "GRAFANA"

// grafana is the image of Grafana: made of a real one, as its own Dockerfile does, or what
// stands in for it.
func grafana(t *testing.T) standIn {
	t.Helper()
	const name = "grafana/grafana:12.2.0"
	home := os.Getenv(grafanaVariable)
	if home == "" {
		return standIn{
			name:    name,
			busybox: true,
			files:   map[string]string{"/run.sh": content(t, "testdata/grafana.sh")},
			folders: []folder{{path: "/var/lib/grafana", uid: 472, gid: 0, mode: 0o777}},
			config:  []string{"USER 472", `ENTRYPOINT ["/run.sh"]`},
		}
	}
	const at = "/usr/share/grafana"
	i := standIn{
		name:     name,
		busybox:  true,
		programs: map[string]string{"/bin/bash": "bash"},
		trees:    map[string]string{at + "/conf": filepath.Join(home, "conf"), at + "/public": filepath.Join(home, "public")},
		files: map[string]string{
			"/run.sh":                  content(t, filepath.Join(home, "packaging/docker/run.sh")),
			"/etc/grafana/grafana.ini": content(t, filepath.Join(home, "conf/sample.ini")),
		},
		config: []string{"ENV PATH=" + at + "/bin:/usr/bin:/bin GF_PATHS_CONFIG=/etc/grafana/grafana.ini GF_PATHS_DATA=/var/lib/grafana GF_PATHS_HOME=" + at +
			" GF_PATHS_LOGS=/var/log/grafana GF_PATHS_PLUGINS=/var/lib/grafana/plugins GF_PATHS_PROVISIONING=/etc/grafana/provisioning",
			"WORKDIR " + at, "USER 472", `ENTRYPOINT ["/run.sh"]`},
	}
	found, err := filepath.Glob(filepath.Join(home, "bin", "grafana*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no grafana in the folder bin of %s: %v", home, err)
	}
	for _, program := range found {
		i.programs[at+"/bin/"+filepath.Base(program)] = program
	}
	for _, path := range []string{"/var/lib/grafana", "/var/lib/grafana/plugins", "/var/log/grafana", "/etc/grafana/provisioning"} {
		i.folders = append(i.folders, folder{path: path, uid: 472, gid: 0, mode: 0o777})
	}
	for _, of := range []string{"access-control", "alerting", "dashboards", "datasources", "notifiers", "plugins"} {
		i.folders = append(i.folders, folder{path: "/etc/grafana/provisioning/" + of, uid: 472, gid: 0, mode: 0o777})
	}
	return i
}

// showsDashboard: a real Grafana has the dashboard, and Prometheus behind it, for who has
// the password that a line of the document shows, and not for who takes Grafana's own.
func (s *stack) showsDashboard(page string) {
	s.t.Helper()
	line := regexp.MustCompile("`(docker compose --env-file \\S+ exec grafana cat /run/secrets/\\w+)`").FindStringSubmatch(page)
	if line == nil {
		s.t.Fatal("docs/quickstart.md does not show Grafana's password")
	}
	const board, query = "/api/dashboards/uid/gatewright", "/api/datasources/proxy/uid/prometheus/api/v1/query?query=gatewright_xds_connected_envoys"
	asked := func(path, password string) (int, string, error) {
		return ask("http://127.0.0.1:3000"+path, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+password)))
	}
	password := strings.TrimSpace(s.paste(line[1]))
	for path, want := range map[string]string{board: `"provisionedExternalId":"gatewright.json"`, query: `"job":"gatewright"},"value":[`} {
		eventually(s.t, upWithin, "Grafana shows "+path, func() error {
			status, body, err := asked(path, password)
			if err != nil || status != 200 || !strings.Contains(body, want) {
				return fmt.Errorf("%d %s: %w", status, body, err)
			}
			return nil
		})
	}
	if status, body, err := asked(board, "admin"); err != nil || status != 401 {
		s.t.Errorf("with Grafana's own password it is answered with %d, %v: %s", status, err, body)
	}
	for line := range strings.Lines(s.run("logs", "--no-log-prefix", "grafana")) {
		if strings.Contains(line, "ermission denied") || strings.Contains(line, "ead-only file system") {
			s.t.Errorf("Grafana misses what it is not given: %s", line)
		}
	}
}
