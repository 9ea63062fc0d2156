package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// The shippers of deploy/logs, neither of which any registry has that this project builds
// from: what their configs make of a line of the access log, by what their sources and
// documents say (TestFilebeat and TestFluentBit hold them themselves to it). A setting that is not known here is refused, so that none stands in a
// file unread.

// document is what is sent to Elasticsearch for a line, to a data stream.
type document struct {
	stream string
	fields map[string]any
}

// shipper makes documents of the lines of a file: none, where a line is left out.
type shipper func(line string) (*document, error)

// uncommented is a config with what stands in comments in the place of what it is an
// alternative to: the inputs of containers, and what they need.
func uncommented(config string) string {
	commented := regexp.MustCompile(`(?m)^( +)# (- (?:type|name): |  +[a-z-]|filters:)`)
	return commented.ReplaceAllString(config, "$1$2")
}

// shippers are those of deploy/logs: each by its config as it stands (of a file that has
// the lines alone), and as for containers (whose files have a line of the runtime's around
// each).
func shippers(t *testing.T) map[string]shipper {
	t.Helper()
	out := map[string]shipper{}
	for name, parse := range map[string]func(config string) ([]shipper, error){"filebeat.yml": filebeat, "fluent-bit.yaml": fluentBit} {
		text, err := os.ReadFile("../deploy/logs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		asItStands, err := parse(string(text))
		if err != nil || len(asItStands) != 1 {
			t.Fatalf("%s: %d inputs, %v", name, len(asItStands), err)
		}
		both, err := parse(uncommented(string(text)))
		if err != nil || len(both) != 2 {
			t.Fatalf("%s with its comments: %d inputs, %v", name, len(both), err)
		}
		out[name] = asItStands[0]
		out[name+" of containers"] = func(line string) (*document, error) {
			return both[1]("2026-11-29T12:00:00.987654321Z stdout F " + line)
		}
		if left, err := both[1]("2026-11-29T12:00:00.987654321Z stderr F [info] this is no access log"); left != nil || err != nil {
			t.Errorf("%s sends what containers write on standard error: %v %v", name, left, err)
		}
	}
	return out
}

// dataStream is where all go, of the template's pattern.
const dataStream = "logs-gatewright.access-default"

// TestShippers: of a line with all fields each shipper makes a document that has them all
// as they are, the time as @timestamp, and nothing else; and what is no line is not lost.
func TestShippers(t *testing.T) {
	t.Parallel()
	line := map[string]any{"time": "2026-11-28T18:00:00.123Z"}
	for name, kind := range templateTypes(t) {
		switch kind {
		case "keyword":
			line[name] = "a " + name
		case "ip":
			line[name] = "192.0.2.1"
		case "short", "long":
			line[name] = json.Number("204")
		}
	}
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	for name, ship := range shippers(t) {
		if err := shipsWhole(ship, string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		doc, err := ship("Segmentation fault")
		if err != nil || doc == nil || !slices.ContainsFunc(slices.Collect(maps.Values(doc.fields)), func(v any) bool { return v == "Segmentation fault" }) {
			t.Errorf("%s makes %+v of what is no line of JSON: %v", name, doc, err)
		}
	}
}

// TestShippersAreJudged: configs that would lose lines, or fields of them, are found to.
func TestShippersAreJudged(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-11-28T18:00:00.123Z","host":"api.example.com","status":200}`
	for _, c := range []struct {
		file, from, to, wants string
		parse                 func(string) ([]shipper, error)
	}{
		{"filebeat.yml", "    publisher_pipeline.disable_host: true\n", "", "host is map[name:a machine]", filebeat},
		{"filebeat.yml", "fields: [time, agent, ecs, input, log, stream]", "fields: [time]", "has agent", filebeat},
		{"filebeat.yml", "2006-01-02T15:04:05.999Z", "2006-01-02 15:04:05", "cannot parse", filebeat},
		{"filebeat.yml", "add_error_key", "add_errors", "add_errors", filebeat},
		{"fluent-bit.yaml", "%S.%LZ", "%SZ", "@timestamp is", fluentBit},
		{"fluent-bit.yaml", "suppress_type_name: on", "suppress_type_name: off", "_type", fluentBit},
		{"fluent-bit.yaml", "      parser: gatewright\n", "", "@timestamp is", fluentBit},
		{"fluent-bit.yaml", "write_operation: create", "write_operation: index", "takes no index", fluentBit},
		{"fluent-bit.yaml", "read_from_head", "read_from_start", "read_from_start", fluentBit},
	} {
		text, err := os.ReadFile("../deploy/logs/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), c.from) == 0 {
			t.Fatalf("%s has no %q", c.file, c.from)
		}
		ships, err := c.parse(strings.Replace(string(text), c.from, c.to, 1))
		if err == nil {
			err = shipsWhole(ships[0], line)
		}
		if err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s with %q for %q: %v, want %s", c.file, c.to, c.from, err, c.wants)
		}
	}
}

// shipsWhole says what of a line does not come to Elasticsearch as it is.
func shipsWhole(ship shipper, line string) error {
	var wants map[string]any
	if err := json.Unmarshal([]byte(line), &wants); err != nil {
		return err
	}
	doc, err := ship(line)
	if err != nil {
		return err
	}
	if doc == nil {
		return fmt.Errorf("nothing is sent for %s", line)
	}
	if doc.stream != dataStream {
		return fmt.Errorf("it goes to %s", doc.stream)
	}
	wants["@timestamp"] = wants["time"]
	delete(wants, "time")
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		if got := fmt.Sprint(doc.fields[name]); got != fmt.Sprint(wants[name]) {
			return fmt.Errorf("%s is %s, want %v", name, got, wants[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.fields)) {
		if _, ok := wants[name]; !ok {
			return fmt.Errorf("the document has %s, which is no field of the log", name)
		}
	}
	return nil
}

// templateTypes are the fields of the index template, and their types.
func templateTypes(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../deploy/logs/index-template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Template struct {
			Mappings struct {
				Properties map[string]struct{ Type string }
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for name, field := range template.Template.Mappings.Properties {
		types[name] = field.Type
	}
	return types
}

// containerLine takes apart what a runtime of containers (CRI) has written of a line.
func containerLine(line string) (at, stream, text string, err error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 || parts[2] != "F" {
		return "", "", "", fmt.Errorf("%q is no whole line of a container", line)
	}
	return parts[0], parts[1], parts[3], nil
}

// strictYAML decodes a config, and refuses a key that is not of it.
func strictYAML(config string, to any) error { return yaml.UnmarshalStrict([]byte(config), to) }

// inMilliseconds is the form that both send a time in.
const inMilliseconds = "2006-01-02T15:04:05.000Z"

// objectOf is a line of JSON, with its numbers as they stand.
func objectOf(line string) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	var out map[string]any
	err := decoder.Decode(&out)
	return out, err
}

// now is the time that a line gets that has none.
func now() string { return time.Now().UTC().Format(inMilliseconds) }
