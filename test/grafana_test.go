package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestGrafana: a real Grafana, as docker-compose.yaml starts it, takes what
// deploy/grafana has for it. The dashboard is there as the file has it, each panel has
// data of a real Prometheus, and nobody comes in but with the password of the first start.
func TestGrafana(t *testing.T) {
	t.Parallel()
	home := grafanaHome(t)
	s := newStack(t, composeProject(t, fullSet))
	_, _, traffic := seenAt(t, s.addr("prometheus", "9090"))
	s.task("firststart")
	g := s.startGrafana(home)

	g.isClosed()
	d := g.dashboard("../deploy/grafana/dashboards/gatewright.json")
	g.isKept("/api/dashboards/db", map[string]any{"dashboard": map[string]any{"uid": d.UID, "title": "Another"}, "overwrite": true})
	g.isKept("/api/datasources/uid/prometheus", nil)
	variables := d.variables(g, traffic)
	if !maps.Equal(variables, map[string]string{"datasource": "prometheus", "job": "gatewright", "route": ".*"}) {
		t.Errorf("the variables of the dashboard are %v", variables)
	}
	asked := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			asked++
			eventually(t, fmt.Sprintf("%q of panel %d has data", p.Title, p.ID), func() error {
				frames, err := g.query(q, variables)
				if err == nil {
					err = shown(q, frames)
				}
				if err != nil {
					traffic()
				}
				return err
			})
		}
	}
	if asked < 25 {
		t.Errorf("only %d queries were asked", asked)
	}
	g.saysNoError()
}

// TestComposeWithGrafana runs the full set of docker-compose.yaml with a real Grafana, and
// goes the way from a dot beside a curve to the trace of the request that made it: with
// JAEGER, too, to the end.
func TestComposeWithGrafana(t *testing.T) {
	t.Parallel()
	home := grafanaHome(t)
	s := newStack(t, composeProject(t, fullSet))
	program := os.Getenv("JAEGER")
	var jaeger traces
	if program != "" {
		jaeger = s.startJaeger(program)
	} else {
		jaeger = testenv.StartCollectorAt(t, s.addr("jaeger", "4317"))
	}
	s.up()
	seen := s.asked()
	s.isOne(seen, jaeger)
	g := s.startGrafana(home)

	id := seen.Header.Get("X-Trace-ID")
	d := g.dashboard("../deploy/grafana/dashboards/gatewright.json")
	variables := d.variables(g, func() {})
	dots := 0
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			if q["exemplar"] != true {
				continue
			}
			dots++
			eventually(t, fmt.Sprintf("%q has a dot of the request", p.Title), func() error {
				frames, err := g.query(q, variables)
				if err == nil && !slices.ContainsFunc(frames, func(f frame) bool { return f.has("trace_id", id) && f.has("user", "bob") }) {
					err = fmt.Errorf("none of trace %s: %+v", id, frames)
				}
				return err
			})
		}
	}
	if dots == 0 {
		t.Error("no panel asks for exemplars")
	}
	leads := g.traceSource("prometheus", "trace_id")
	if got, want := leads.URL, "http://"+s.addr("jaeger", "16686"); leads.Type != "jaeger" || got != want {
		t.Errorf("the dots lead to %+v, want Jaeger at %s", leads, want)
	}
	if program != "" {
		if r := g.get("/api/datasources/proxy/uid/" + leads.UID + "/api/traces/" + id).ok(t); !strings.Contains(r.Body, `"traceID":"`+id+`"`) {
			t.Errorf("Grafana shows %s, want trace %s", r.Body, id)
		}
	}
	g.saysNoError()
}

// grafanaHome is the folder of a Grafana, as its image has it at /usr/share/grafana and
// its sources have it: conf and public, its program in bin, and the entry point of the
// image in packaging/docker.
func grafanaHome(t *testing.T) string {
	t.Helper()
	home := os.Getenv("GRAFANA")
	if home == "" {
		t.Skip("no Grafana: set GRAFANA to its home, with bin, conf, public and packaging/docker/run.sh")
	}
	home, err := filepath.Abs(home)
	if err != nil {
		t.Fatal(err)
	}
	return home
}

// grafana is a real one, asked by its API as the user admin.
type grafana struct {
	t      *testing.T
	url    string
	admin  header
	output *testenv.Output
}

// startGrafana starts the service grafana as its image does: by the image's entry point,
// with the image's settings and folders. What is moved is where it listens.
func (s *stack) startGrafana(home string) *grafana {
	s.t.Helper()
	config := s.project.Services["grafana"]
	if len(config.Command) > 0 || len(config.Entrypoint) > 0 || !strings.HasPrefix(config.Image, "grafana/grafana:") {
		s.t.Fatalf("this is not as the test has it: %s %v %v", config.Image, config.Entrypoint, config.Command)
	}
	for _, folder := range []string{"access-control", "alerting", "dashboards", "datasources", "notifiers", "plugins"} {
		s.folder(s.at("grafana", "/etc/grafana/provisioning/"+folder))
	}
	host, port, _ := strings.Cut(s.addr("grafana", "3000"), ":")
	for name, value := range map[string]string{
		"GF_PATHS_CONFIG":       filepath.Join(home, "conf", "sample.ini"), // nothing but comments
		"GF_PATHS_DATA":         "/var/lib/grafana",
		"GF_PATHS_HOME":         home,
		"GF_PATHS_LOGS":         s.at("grafana", "/var/log/grafana"),
		"GF_PATHS_PLUGINS":      "/var/lib/grafana/plugins",
		"GF_PATHS_PROVISIONING": "/etc/grafana/provisioning",
		"GF_SERVER_HTTP_ADDR":   host,
		"GF_SERVER_HTTP_PORT":   port,
	} {
		config.Environment[name] = &value
	}
	path := "PATH=" + filepath.Join(home, "bin") + ":/usr/local/bin:/usr/bin:/bin"
	s.process("grafana", []string{"env", path, "bash", filepath.Join(home, "packaging/docker/run.sh")})
	s.waitHealthy("grafana")
	password, err := os.ReadFile(s.at("grafana", "/run/secrets/password"))
	if err != nil {
		s.t.Fatal(err)
	}
	return &grafana{
		t: s.t, url: "http://" + s.addr("grafana", "3000"), output: s.outputs["grafana"],
		admin: basic("admin", strings.TrimSpace(string(password))),
	}
}

func basic(user, password string) header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return header{"Authorization", r.Header.Get("Authorization")}
}

// send makes a request with a body in JSON, as admin or as who the headers say.
func (g *grafana) send(method, path string, body any, as ...header) reply {
	g.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		g.t.Fatal(err)
	}
	return send(g.t, method, g.url+path, string(text), as...)
}

func (g *grafana) get(path string) reply {
	g.t.Helper()
	return get(g.t, g.url+path, g.admin)
}

// ask decodes what admin is answered.
func (g *grafana) ask(path string, into any) {
	g.t.Helper()
	if r := g.get(path).ok(g.t); json.Unmarshal([]byte(r.Body), into) != nil {
		g.t.Fatalf("%s: %s", path, r.Body)
	}
}

// isClosed checks that admin comes in by the password of the first start, and nobody by
// Grafana's own, with none, or as a new user. (After five wrong ones it would be closed to
// all for some minutes.)
func (g *grafana) isClosed() {
	g.t.Helper()
	var me struct {
		Login          string
		IsGrafanaAdmin bool
	}
	if g.ask("/api/user", &me); me.Login != "admin" || !me.IsGrafanaAdmin {
		g.t.Errorf("the password of the first start is that of %+v", me)
	}
	for who, as := range map[string][]header{
		"nobody": nil, "admin": {basic("admin", "admin")}, "admin without a password": {basic("admin", "")}, "a token": {bearer("admin")},
	} {
		if r := get(g.t, g.url+"/api/dashboards/uid/gatewright", as...); r.Status != http.StatusUnauthorized {
			g.t.Errorf("%s is answered with %d: %s", who, r.Status, r.Body)
		}
	}
	for path, body := range map[string]map[string]string{
		"/login":                 {"user": "admin", "password": "admin"},
		"/api/user/signup":       {"email": "eve@example.com"},
		"/api/user/signup/step2": {"email": "eve@example.com", "username": "eve", "password": "eve-is-here", "code": "none"},
	} {
		if r := g.send(http.MethodPost, path, body); r.Status != http.StatusUnauthorized {
			g.t.Errorf("%s is answered with %d: %s", path, r.Status, r.Body)
		}
	}
	if r := get(g.t, g.url+"/d/gatewright/gatewright"); r.Status != http.StatusFound || !strings.HasPrefix(r.Header.Get("Location"), "/login") {
		g.t.Errorf("the page of the dashboard is answered to strangers with %d: %s", r.Status, r.Body)
	}
}

// isKept checks that what the files say is not changed by hand.
func (g *grafana) isKept(path string, body any) {
	g.t.Helper()
	method := http.MethodPost
	if body == nil {
		method = http.MethodDelete
	}
	if r := g.send(method, path, body, g.admin); r.Status != http.StatusBadRequest && r.Status != http.StatusForbidden {
		g.t.Errorf("%s %s is answered with %d: %s", method, path, r.Status, r.Body)
	}
}

// saysNoError checks that Grafana has had no fault to find with what it was given. Nobody
// needs its pages here, and of who was not let in it says that.
func (g *grafana) saysNoError() {
	g.t.Helper()
	for line := range strings.Lines(g.output.String()) {
		told := strings.Contains(line, "logger=context ") || strings.Contains(line, "generated javascript files")
		if !told && regexp.MustCompile(`\blevel=(eror|error|crit|critical)\b`).MatchString(line) {
			g.t.Errorf("Grafana says: %s", line)
		}
	}
}

// target is one query of a panel, as the dashboard has it.
type target map[string]any

// board is a dashboard as Grafana has it.
type board struct {
	UID        string
	Templating struct {
		List []struct {
			Name, Type, AllValue string
			IncludeAll           bool
			Query                json.RawMessage
		}
	}
	Panels []struct {
		ID      int
		Title   string
		Targets []target
	}
}

// dashboard is the one of a file, which Grafana has taken whole: it is where it is looked
// for, as provisioned, and no field is other than in the file.
func (g *grafana) dashboard(file string) (d board) {
	g.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatal(err)
	}
	var want map[string]any
	if err := errors.Join(json.Unmarshal(text, &want), json.Unmarshal(text, &d)); err != nil {
		g.t.Fatal(err)
	}
	var found []struct{ UID, Title, FolderUID string }
	if g.ask("/api/search?type=dash-db", &found); len(found) != 1 || found[0].UID != d.UID || found[0].FolderUID != "" {
		g.t.Fatalf("Grafana has the dashboards %+v, want %s alone, in no folder", found, d.UID)
	}
	var got struct {
		Dashboard map[string]any
		Meta      struct {
			Provisioned           bool
			ProvisionedExternalID string
		}
	}
	g.ask("/api/dashboards/uid/"+d.UID, &got)
	if !got.Meta.Provisioned || got.Meta.ProvisionedExternalID != filepath.Base(file) {
		g.t.Errorf("Grafana has the dashboard from %+v", got.Meta)
	}
	delete(got.Dashboard, "id") // Grafana's own number
	if !reflect.DeepEqual(got.Dashboard, want) {
		for name := range want {
			if !reflect.DeepEqual(got.Dashboard[name], want[name]) {
				g.t.Errorf("Grafana has as %s %v, want %v", name, got.Dashboard[name], want[name])
			}
		}
		for name := range got.Dashboard {
			if _, is := want[name]; !is {
				g.t.Errorf("Grafana has %s, which is not in the file", name)
			}
		}
	}
	return d
}

// labelValues is a query for the choices of a variable.
var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// variables are the first choices of each variable, as the page asks for them. Those of
// metrics need traffic.
func (d board) variables(g *grafana, traffic func()) map[string]string {
	g.t.Helper()
	out := map[string]string{}
	for _, v := range d.Templating.List {
		if v.Type == "datasource" {
			out[v.Name] = g.sourceOf(strings.Trim(string(v.Query), `"`)).UID
			continue
		}
		var query struct{ Query string }
		asked := labelValues.FindStringSubmatch(string(v.Query))
		if json.Unmarshal(v.Query, &query) == nil {
			asked = labelValues.FindStringSubmatch(query.Query)
		}
		if asked == nil {
			g.t.Fatalf("the variable %s is by %s", v.Name, v.Query)
		}
		path := "/api/datasources/uid/" + out["datasource"] + "/resources/api/v1/label/" + asked[2] + "/values?match[]=" + url.QueryEscape(asked[1])
		eventually(g.t, "there are values of "+v.Name, func() error {
			var values struct{ Data []string }
			if g.ask(path, &values); len(values.Data) == 0 {
				traffic()
				return errors.New("none")
			}
			out[v.Name] = values.Data[0]
			return nil
		})
		if v.IncludeAll {
			out[v.Name] = v.AllValue
		}
	}
	return out
}

// source is a data source.
type source struct {
	UID, Type, URL      string
	IsDefault, ReadOnly bool
	JSONData            struct {
		ExemplarTraceIDDestinations []struct{ Name, DatasourceUID string }
	}
}

// sourceOf is the first choice of data sources of a type: the default.
func (g *grafana) sourceOf(kind string) source {
	g.t.Helper()
	var all []source
	g.ask("/api/datasources", &all)
	i := slices.IndexFunc(all, func(s source) bool { return s.Type == kind && s.IsDefault && s.ReadOnly })
	if i < 0 {
		g.t.Fatalf("none of the data sources is of %s, the default and the files': %+v", kind, all)
	}
	return all[i]
}

// traceSource is the data source to which a label of exemplars leads.
func (g *grafana) traceSource(from, label string) (to source) {
	g.t.Helper()
	var of source
	g.ask("/api/datasources/uid/"+from, &of)
	for _, d := range of.JSONData.ExemplarTraceIDDestinations {
		if d.Name == label {
			g.ask("/api/datasources/uid/"+d.DatasourceUID, &to)
		}
	}
	return to
}

// frame is a table of an answer, by columns.
type frame struct {
	Schema struct {
		Fields []struct {
			Name, Type string
			Labels     map[string]string
			Config     struct{ DisplayNameFromDS string }
		}
	}
	Data struct{ Values [][]any }
}

// has tells whether a column has a value.
func (f frame) has(column string, value any) bool {
	for i, field := range f.Schema.Fields {
		if field.Name == column && slices.Contains(f.Data.Values[i], value) {
			return true
		}
	}
	return false
}

// query asks what a panel shows of the last five minutes, on a page as wide as that it
// has a point for each second.
func (g *grafana) query(q target, variables map[string]string) ([]frame, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var filled target
	// As the page does, which leaves to Grafana what begins with __.
	err = json.Unmarshal([]byte(regexp.MustCompile(`\$\{?([a-z]+)\}?`).ReplaceAllStringFunc(string(text), func(v string) string {
		return variables[strings.Trim(v, "${}")]
	})), &filled)
	if err != nil {
		return nil, err
	}
	filled["intervalMs"], filled["maxDataPoints"] = 1000, 1000
	r := g.send(http.MethodPost, "/api/ds/query", map[string]any{"queries": []any{filled}, "from": "now-5m", "to": "now"}, g.admin)
	var answer struct {
		Results map[string]struct {
			Error  string
			Frames []frame
		}
	}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.Status != http.StatusOK {
		return nil, fmt.Errorf("%v is answered with %d, %v: %s", filled["expr"], r.Status, err, r.Body)
	}
	result := answer.Results[fmt.Sprint(q["refId"])]
	if result.Error != "" {
		g.t.Fatalf("%v: %s", filled["expr"], result.Error) // does not pass by waiting
	}
	return result.Frames, nil
}

// shown is nil where frames have a number, and each curve the name that the legend is to
// give it, of labels that it has.
func shown(q target, frames []frame) error {
	numbers := 0
	for _, f := range frames {
		for i, field := range f.Schema.Fields {
			if field.Type != "number" {
				continue
			}
			for _, v := range f.Data.Values[i] {
				if _, is := v.(float64); is { // and not null, as NaN is
					numbers++
				}
			}
			for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(fmt.Sprint(q["legendFormat"]), -1) {
				if value := field.Labels[m[1]]; value == "" || !strings.Contains(field.Config.DisplayNameFromDS, value) {
					return fmt.Errorf("the legend %v is %q for %v", q["legendFormat"], field.Config.DisplayNameFromDS, field.Labels)
				}
			}
		}
	}
	if numbers == 0 {
		return fmt.Errorf("%v: no number in %+v", q["expr"], frames)
	}
	return nil
}
