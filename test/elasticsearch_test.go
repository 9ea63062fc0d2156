package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestPipelines: a real Elasticsearch takes the index template as deploy/logs says to put
// it, and then lines of a real Envoy, as each shipper sends them; each field is found by
// what it is, and a field of any wrong type costs no line. `make pipelines` runs it.
func TestPipelines(t *testing.T) {
	t.Parallel()
	e := testenv.StartElasticsearch(t)
	putTemplate(t, e.URL)
	lines := linesOfAllKinds(t)
	for name, ship := range shippers(t) {
		stream := strings.ReplaceAll("logs-gatewright.access-"+name, " ", "-")
		var documents []map[string]any
		for _, line := range lines {
			doc, err := ship(line)
			if err != nil || doc == nil || doc.stream != dataStream {
				t.Fatalf("%s makes %+v of %s: %v", name, doc, line, err)
			}
			documents = append(documents, doc.fields)
		}
		for _, refused := range bulk(t, e, stream, documents) {
			t.Errorf("%s: Elasticsearch refuses %s", name, refused)
		}
		isFound(t, e, stream, lines)
		hasTypes(t, e, stream)
	}
	t.Run("retention", func(t *testing.T) { retention(t, e) })
	t.Run("percentiles", func(t *testing.T) { percentiles(t, e, lines, len(shippers(t))) })
	t.Run("wrong types", func(t *testing.T) { wrongTypes(t, e) })
}

// putTemplate runs the command of deploy/logs/README.md.
func putTemplate(t *testing.T, url string, env ...string) {
	t.Helper()
	page, err := os.ReadFile("../deploy/logs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^    (curl .*)$`).FindSubmatch(page)
	if command == nil {
		t.Fatal("deploy/logs/README.md has no curl")
	}
	cmd := exec.Command("bash", "-c", string(command[1]))
	cmd.Dir = ".."
	cmd.Env = append(append(os.Environ(), "ELASTICSEARCH_URL="+url), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `{"acknowledged":true}`) {
		t.Fatalf("%s: %v: %s", command[1], err, out)
	}
}

// retention puts the template with what deploy/logs/README.md says of how long lines are
// kept, under another name.
func retention(t *testing.T, e *testenv.Elasticsearch) {
	page, err := os.ReadFile("../deploy/logs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile("`\"lifecycle\": {[^`]*}`").FindString(string(page))
	text, err := os.ReadFile("../deploy/logs/index-template.json")
	if err != nil {
		t.Fatal(err)
	}
	with := strings.NewReplacer(`"template": {`, `"template": {`+strings.Trim(said, "`")+",", "gatewright.access-", "gatewright.kept-").Replace(string(text))
	if err := e.Do("PUT", "/_index_template/gatewright-kept", with, nil); err != nil {
		t.Fatal(err)
	}
	var now json.RawMessage
	if err := e.Do("GET", "/_index_template/gatewright-kept", "", &now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(now), `"data_retention":"30d"`) {
		t.Errorf("with %s the template is %s", said, now)
	}
}

// linesOfAllKinds are lines of an access log as Envoy has written them, among which
// every field has a value.
func linesOfAllKinds(t *testing.T) []string {
	t.Helper()
	g, _ := startLogged(t, "{}", "grpc")
	key := g.createKey("--tenant", "acme", "--owner", "ann")
	agent := header{"User-Agent", "a \"test\" of \\ and \u00e9"}
	get(t, g.url("public", "/orders/1?token=hidden"), key.header(), agent).ok(t)
	get(t, g.url("public", "/once/1")).ok(t)
	get(t, g.url("public", "/once/2"))
	get(t, g.url("public", "/orders/2"))
	get(t, g.url("public", "/lost/3"))
	get(t, g.url("public", "/nowhere/"+strings.Repeat("%F0%9F%98%80", 300)))
	get(t, g.url("public", "/open/4?status=500"))
	eventually(t, "a breaker has opened", func() error {
		r, err := try("GET", g.url("public", "/failing/1?status=500"))
		if err == nil && r.Status != 503 {
			err = errStatus(r)
		}
		return err
	})
	eventually(t, "all fields are logged", func() error {
		if without := neverSaid(t, g.accessLog()); len(without) > 0 {
			return fmt.Errorf("no line has %v", without)
		}
		return nil
	})
	text := g.stdout.String()
	return strings.Split(strings.TrimSuffix(text[:strings.LastIndexByte(text, '\n')+1], "\n"), "\n")
}

// neverSaid are the fields that no line has a value of, but for those that take what is in
// shadow, or a plan, neither of which is here.
func neverSaid(t *testing.T, lines []logLine) []string {
	t.Helper()
	missing := templateTypes(t)
	for _, name := range []string{"@timestamp", "shadow", "plan"} {
		delete(missing, name)
	}
	for _, line := range lines {
		maps.DeleteFunc(missing, func(name, _ string) bool { return line[name] != nil })
	}
	return slices.Sorted(maps.Keys(missing))
}

// bulk sends documents as both shippers do, and returns why some are refused.
func bulk(t *testing.T, e *testenv.Elasticsearch, stream string, documents []map[string]any) (refused []string) {
	t.Helper()
	var body strings.Builder
	for _, doc := range documents {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&body, `{"create":{"_index":%q}}`+"\n%s\n", stream, text)
	}
	var answer struct {
		Items []struct {
			Create struct {
				Status int
				Error  json.RawMessage
			}
		}
	}
	if err := e.Do("POST", "/_bulk?refresh=true", body.String(), &answer); err != nil {
		t.Fatal(err)
	}
	for i, item := range answer.Items {
		if item.Create.Status != 201 {
			refused = append(refused, fmt.Sprintf("%v: %s", documents[i], item.Create.Error))
		}
	}
	return refused
}

// found is how many documents of a stream a query finds.
func found(t *testing.T, e *testenv.Elasticsearch, stream string, filters ...any) int {
	t.Helper()
	query, err := json.Marshal(map[string]any{"query": map[string]any{"bool": map[string]any{"filter": filters}}})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Count int }
	if err := e.Do("POST", "/"+url.PathEscape(stream)+"/_count", string(query), &answer); err != nil {
		t.Fatalf("%v: %s", err, query)
	}
	return answer.Count
}

// isFound checks that each line is found by each field that it has, as what that is.
func isFound(t *testing.T, e *testenv.Elasticsearch, stream string, lines []string) {
	t.Helper()
	types := templateTypes(t)
	for _, line := range lines {
		fields, err := objectOf(line)
		if err != nil {
			t.Fatal(err)
		}
		this := term("request_id", fields["request_id"])
		fields["@timestamp"] = fields["time"]
		for name := range types {
			value := fields[name]
			if value == nil {
				continue
			}
			if n := found(t, e, stream, this, term(name, value)); n != 1 {
				t.Errorf("%s: by %s=%v %d are found: %s", stream, name, value, n, line)
			}
		}
		// As numbers, addresses and times, not as text.
		for _, filter := range []any{
			within("status", "gte", 100), within("duration_ms", "gte", 0), within("bytes_out", "lt", 1<<30), term("client_ip", "127.0.0.0/8"),
			within("@timestamp", "gt", "now-1h"), within("@timestamp", "lt", "now+1m"), within("@timestamp", "gte", fields["time"]), within("@timestamp", "lte", fields["time"]),
		} {
			if n := found(t, e, stream, this, filter); n != 1 {
				t.Errorf("%s: by %v %d are found: %s", stream, filter, n, line)
			}
		}
	}
	if n := found(t, e, stream, map[string]any{"match": map[string]any{"path.text": "orders"}}); n != 2 {
		t.Errorf("%s: by a word of the path %d are found", stream, n)
	}
}

func term(field string, value any) any {
	return map[string]any{"term": map[string]any{field: value}}
}

func within(field, bound string, value any) any {
	return map[string]any{"range": map[string]any{field: map[string]any{bound: value}}}
}

// hasTypes checks that the fields of a stream are those of the template, and no other.
func hasTypes(t *testing.T, e *testenv.Elasticsearch, stream string) {
	t.Helper()
	var answer struct {
		Fields map[string]map[string]struct {
			Searchable, Aggregatable bool
			Metadata                 bool `json:"metadata_field"`
		}
	}
	if err := e.Do("GET", "/"+url.PathEscape(stream)+"/_field_caps?fields=*", "", &answer); err != nil {
		t.Fatal(err)
	}
	types := templateTypes(t)
	types["path.text"] = "text"
	for name, kinds := range answer.Fields {
		for kind, field := range kinds {
			if field.Metadata {
				continue
			}
			if types[name] != kind || !field.Searchable || field.Aggregatable == (kind == "text") {
				t.Errorf("%s: the field %s is %s: %+v", stream, name, kind, field)
			}
		}
		delete(types, name)
	}
	if len(types) > 0 {
		t.Errorf("%s lacks %v", stream, types)
	}
}

// percentiles asks for the 99th of the duration by route, in one query over all streams,
// to each of which all lines were sent.
func percentiles(t *testing.T, e *testenv.Elasticsearch, lines []string, streams int) {
	const query = `{"size": 0, "aggs": {"routes": {"terms": {"field": "route"}, "aggs": {"duration": {"percentiles": {"field": "duration_ms", "percents": [99]}}}}}}`
	var answer struct {
		Aggregations struct {
			Routes struct {
				Buckets []struct {
					Key      string
					Count    int `json:"doc_count"`
					Duration struct{ Values map[string]*float64 }
				}
			}
		}
	}
	if err := e.Do("POST", "/logs-gatewright.access-*/_search", query, &answer); err != nil {
		t.Fatal(err)
	}
	routes := map[string]int{}
	for _, line := range lines {
		fields, err := objectOf(line)
		if err != nil {
			t.Fatal(err)
		}
		routes[fmt.Sprint(fields["route"])] += streams
	}
	for _, b := range answer.Aggregations.Routes.Buckets {
		if b.Count != routes[b.Key] || b.Duration.Values["99.0"] == nil {
			t.Errorf("route %s has %d, want %d, and %v", b.Key, b.Count, routes[b.Key], b.Duration.Values)
		}
		delete(routes, b.Key)
	}
	if len(routes) > 0 {
		t.Errorf("the routes %v are not there", routes)
	}
}

// wrongTypes sends each field with values of every other type. All lines are taken, and
// keep what they have; by the field, what it cannot have is not found.
func wrongTypes(t *testing.T, e *testenv.Elasticsearch) {
	wrong := []any{
		"a word", "", 12, -5, 1.5, json.Number("1" + strings.Repeat("0", 30)), true, nil, []any{"a", 1, nil}, []any{map[string]any{"a": 1}},
		map[string]any{"name": "x", "n": map[string]any{"m": 1}}, map[string]any{}, strings.Repeat("x", 40_000), strings.Repeat("\u00e9", 20_000),
	}
	const stream = "logs-gatewright.access-wrong"
	var documents []map[string]any
	for name := range templateTypes(t) {
		if name == "@timestamp" { // both shippers make it themselves
			continue
		}
		for _, value := range wrong {
			documents = append(documents, map[string]any{"@timestamp": "2026-11-28T18:00:00.123Z", name: value, "unknown": map[string]any{"field": 1}})
		}
	}
	for _, refused := range bulk(t, e, stream, documents) {
		t.Errorf("Elasticsearch refuses %s", refused[:min(len(refused), 500)])
	}
	if n := found(t, e, stream, map[string]any{"match_all": map[string]any{}}); n != len(documents) {
		t.Errorf("%d of %d lines are there", n, len(documents))
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				Source  map[string]any `json:"_source"`
				Ignored []string       `json:"_ignored"`
			}
		}
	}
	if err := e.Do("POST", "/"+stream+"/_search", `{"size": 1000, "query": {"exists": {"field": "_ignored"}}}`, &answer); err != nil {
		t.Fatal(err)
	}
	ignored := map[string]int{}
	for _, hit := range answer.Hits.Hits {
		for _, name := range hit.Ignored {
			ignored[name]++
			if hit.Source[name] == nil {
				t.Errorf("a line has lost its %s: %v", name, hit.Source)
			}
		}
	}
	for name, kind := range templateTypes(t) {
		if least := map[string]int{"short": 4, "long": 3, "ip": 5, "keyword": 2}[kind]; ignored[name] < least {
			t.Errorf("%s, a %s, is left out of the index in %d lines, want %d", name, kind, ignored[name], least)
		}
	}
	hasTypes(t, e, stream)
}
