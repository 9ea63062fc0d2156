package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestComposeWithJaeger runs the full set of docker-compose.yaml with a real Jaeger, as
// the file has it, and asks Jaeger for the trace of a request as its pages and Grafana do.
// `make jaeger` runs it.
func TestComposeWithJaeger(t *testing.T) {
	t.Parallel()
	program := os.Getenv("JAEGER")
	if program == "" {
		t.Skip("no Jaeger: `make jaeger` runs this with one")
	}
	s := newStack(t, composeProject(t, fullSet))
	jaeger := s.startJaeger(program)
	s.up()
	seen := s.asked()
	s.isOne(seen, jaeger)

	eventually(t, "Jaeger knows who has made spans", func() error {
		var services []string
		if err := jaeger.ask("/api/services", &services); err != nil {
			return err
		}
		for _, name := range []string{"gatewright", "users-v1"} {
			if !slices.Contains(services, name) {
				return fmt.Errorf("%s is not among %v", name, services)
			}
		}
		return nil
	})
	s.datasource("jaeger", "16686")
	s.datasource("prometheus", "9090")
}

// datasource checks that Grafana is told to ask a service where that answers.
func (s *stack) datasource(service, port string) {
	s.t.Helper()
	text, err := os.ReadFile(s.at("grafana", "/etc/grafana/provisioning/datasources/"+service+".yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	if want := "http://" + s.addr(service, port); !strings.Contains(strings.ReplaceAll(string(text), `"`, ""), "url: "+want) {
		s.t.Errorf("%s answers at %s, and Grafana is told %s", service, want, text)
	}
}

// jaegerPorts are those that Jaeger's config without a file names, by the settings that
// move them. Addresses there are of JAEGER_LISTEN_HOST.
var jaegerPorts = map[string]string{
	"extensions.jaeger_query.http.endpoint":              "16686",
	"extensions.jaeger_query.grpc.endpoint":              "16685",
	"extensions.remote_sampling.http.endpoint":           "5778",
	"extensions.remote_sampling.grpc.endpoint":           "5779",
	"extensions.healthcheckv2.http.endpoint":             "13133",
	"extensions.healthcheckv2.grpc.endpoint":             "13132",
	"extensions.expvar.endpoint":                         "27777",
	"extensions.zpages.endpoint":                         "27778",
	"receivers.otlp.protocols.grpc.endpoint":             "4317",
	"receivers.otlp.protocols.http.endpoint":             "4318",
	"receivers.jaeger.protocols.grpc.endpoint":           "14250",
	"receivers.jaeger.protocols.thrift_http.endpoint":    "14268",
	"receivers.jaeger.protocols.thrift_binary.endpoint":  "6832",
	"receivers.jaeger.protocols.thrift_compact.endpoint": "6831",
	"receivers.zipkin.endpoint":                          "9411",
}

// startJaeger starts the service jaeger, which has no command, by a program; its ports are
// moved, and it is healthy by the health check of the file.
func (s *stack) startJaeger(program string) jaegerTraces {
	s.t.Helper()
	if config := s.project.Services["jaeger"]; len(config.Command) > 0 || len(config.Entrypoint) > 0 {
		s.t.Fatalf("this is not as the test has it: %v %v", config.Entrypoint, config.Command)
	}
	path, err := filepath.Abs(program)
	if err != nil {
		s.t.Fatal(err)
	}
	// Its own metrics are on a port that no single setting moves.
	args := []string{path, "--set", "service.telemetry.metrics.level=none"}
	for setting, port := range jaegerPorts {
		args = append(args, "--set", setting+"=0.0.0.0:"+port)
	}
	s.process("jaeger", args)
	s.waitHealthy("jaeger")
	return jaegerTraces{t: s.t, url: "http://" + s.addr("jaeger", "16686")}
}

// jaegerTraces is a real Jaeger, asked by the API of its pages.
type jaegerTraces struct {
	t   *testing.T
	url string
}

// ask makes a query, and decodes the data of the answer.
func (j jaegerTraces) ask(path string, data any) error {
	r, err := try("GET", j.url+path)
	if err != nil {
		return err
	}
	answer := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.Status != 200 {
		return fmt.Errorf("%s: %d %v: %s", path, r.Status, err, r.Body)
	}
	return nil
}

// Text is all that it has of each request so far.
func (j jaegerTraces) Text() string {
	j.t.Helper()
	return get(j.t, j.url+"/api/traces?service=gatewright&limit=1000").ok(j.t).Body
}

// Spans are those of a trace so far: none, where Jaeger knows of no such trace.
func (j jaegerTraces) Spans(_ testing.TB, trace string) (out []testenv.Span) {
	j.t.Helper()
	type tag struct {
		Key   string
		Value any
	}
	var all []struct {
		Processes map[string]struct{ ServiceName string }
		Spans     []struct {
			TraceID, SpanID, OperationName, ProcessID string
			StartTime, Duration                       int64 // in µs
			References                                []struct{ RefType, SpanID string }
			Tags                                      []tag
		}
	}
	if err := j.ask("/api/traces/"+trace, &all); err != nil {
		return nil // not yet
	}
	for _, t := range all {
		for _, s := range t.Spans {
			span := testenv.Span{
				Trace: s.TraceID, Span: s.SpanID, Name: s.OperationName, Service: t.Processes[s.ProcessID].ServiceName,
				Start: s.StartTime * 1000, End: (s.StartTime + s.Duration) * 1000, Attributes: map[string]any{},
			}
			for _, r := range s.References {
				if r.RefType == "CHILD_OF" {
					span.Parent = r.SpanID
				}
			}
			for _, a := range s.Tags {
				span.Attributes[a.Key] = a.Value
			}
			kind := fmt.Sprint(span.Attributes["span.kind"])
			span.Kind = strings.ToUpper(kind[:1]) + kind[1:]
			span.Scope = fmt.Sprint(span.Attributes["otel.scope.name"])
			out = append(out, span)
		}
	}
	return out
}
