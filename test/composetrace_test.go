package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// teapot is the status of the one request in the story of docker-compose.yaml that has
// it, so that one sample of the metrics is its alone.
const teapot = http.StatusTeapot

// asked makes a request that a backend answers with that status, and returns what its
// client gets.
func (s *stack) asked() reply {
	s.t.Helper()
	token := get(s.t, "http://"+s.addr("idp", "9110")+"/token?sub=bob&role=buyer&tenant=acme&scope=users:read").ok(s.t)
	got := get(s.t, fmt.Sprintf("http://%s/users/42?status=%d&secret=hidden", s.addr("envoy", "8080"), teapot), header{"Authorization", "Bearer " + strings.TrimSpace(token.Body)})
	if got.Status != teapot {
		s.t.Fatalf("it is answered with %d: %s", got.Status, got.Body)
	}
	return got
}

// traces is where the spans of a stack end: Jaeger, or a receiver in its place.
type traces interface {
	// Spans are those of a trace so far.
	Spans(t testing.TB, trace string) []testenv.Span
	// Text is all that it has.
	Text() string
}

// isOne checks that the access log, the metrics that Prometheus has with what they name
// requests by, and the trace, as it
// comes to Jaeger by way of the collector, say the same of a request; and that the
// backend's span is below the one of Envoy's that went to it.
func (s *stack) isOne(r reply, jaeger traces) {
	s.t.Helper()
	id := r.Header.Get("X-Trace-ID")
	if id == "" || r.echo(s.t).header("X-Trace-ID") != id {
		s.t.Fatalf("the trace is %q to the client and %q to the backend", id, r.echo(s.t).header("X-Trace-ID"))
	}
	edge, check, work := s.spansOf(id, jaeger)
	line := s.loggedAs(id)
	for name, want := range map[string]string{"route": "users", "user": "bob", "tenant": "acme", "reason": "allowed"} {
		if fmt.Sprint(line[name]) != want || fmt.Sprint(edge.Attributes[name]) != want || fmt.Sprint(check.Attributes[name]) != want {
			s.t.Errorf("%s is %v in the log, %v at the edge, %v in Check, want %s", name, line[name], edge.Attributes[name], check.Attributes[name], want)
		}
	}
	said := []string{fmt.Sprint(line["status"]), fmt.Sprint(edge.Attributes["http.status_code"]), fmt.Sprint(work.Attributes["http.response.status_code"])}
	if status := fmt.Sprint(teapot); !slices.Equal(said, []string{status, status, status}) {
		s.t.Errorf("the log, the edge and the backend have the statuses %q, want %s", said, status)
	}
	if work.Service != "users-v1" || fmt.Sprint(line["backend"]) != "users-v1" || fmt.Sprint(edge.Attributes["backend"]) != "users-v1" {
		s.t.Errorf("the backend is %v in the log, %v at the edge, and %s by itself", line["backend"], edge.Attributes["backend"], work.Service)
	}
	if strings.Contains(jaeger.Text(), "hidden") {
		s.t.Error("the query is in a span")
	}
	s.countedOnce()
	s.named(id, "bob")
}

// spansOf waits for a trace: Envoy's span at the edge, Gatewright's and the backend's.
func (s *stack) spansOf(id string, jaeger traces) (edge, check, work testenv.Span) {
	s.t.Helper()
	eventually(s.t, "the whole trace comes to Jaeger", func() error {
		// An Envoy waits some seconds for five spans.
		if _, err := try("GET", "http://"+s.addr("envoy", "8080")+"/hello"); err != nil {
			return err
		}
		spans := jaeger.Spans(s.t, id)
		of := func(scope, kind, name, parent string) (found testenv.Span, err error) {
			if found, err = spanOf(spans, scope, kind, name, parent); err != nil {
				err = fmt.Errorf("%w: %+v", err, spans)
			}
			return found, err
		}
		var err error
		if edge, err = of("envoy", "Server", "GET users", ""); err != nil {
			return err
		}
		toBackend, err := of("envoy", "Client", "GET users-v1", edge.Span)
		if err != nil {
			return err
		}
		if work, err = of("demo", "Server", "GET", toBackend.Span); err != nil {
			return err
		}
		check, err = of("gatewright", "Server", "Check", "")
		return err
	})
	return edge, check, work
}

// loggedAs waits for the line of the access log that has a trace.
func (s *stack) loggedAs(id string) (line logLine) {
	s.t.Helper()
	eventually(s.t, "the request is in the access log", func() error {
		for text := range strings.Lines(s.outputs["envoy"].String()) {
			var l logLine
			if json.Unmarshal([]byte(text), &l) == nil && l["trace_id"] == id {
				line = l
				return nil
			}
		}
		return fmt.Errorf("there is no line with trace %s", id)
	})
	return line
}

// named waits until Prometheus has the request's exemplar: the sample of its route and
// status leads to its trace, and says whose it was.
func (s *stack) named(id, user string) {
	s.t.Helper()
	query := url.Values{
		"query": {fmt.Sprintf(`gatewright_requests_total{code="%d"}`, teapot)},
		"start": {fmt.Sprint(time.Now().Add(-time.Hour).Unix())}, "end": {fmt.Sprint(time.Now().Add(time.Hour).Unix())},
	}
	eventually(s.t, "Prometheus has the request's exemplar", func() error {
		r, err := try("GET", "http://"+s.addr("prometheus", "9090")+"/api/v1/query_exemplars?"+query.Encode())
		if err != nil {
			return err
		}
		var answer struct {
			Data []struct {
				SeriesLabels map[string]string
				Exemplars    []struct{ Labels map[string]string }
			}
		}
		if err := json.Unmarshal([]byte(r.Body), &answer); err != nil {
			return fmt.Errorf("%w: %s", err, r.Body)
		}
		if len(answer.Data) != 1 || len(answer.Data[0].Exemplars) != 1 {
			return fmt.Errorf("there is %s", r.Body)
		}
		series, labels := answer.Data[0].SeriesLabels, answer.Data[0].Exemplars[0].Labels
		if series["route"] != "users" || series["backend"] != "users-v1" || !maps.Equal(labels, map[string]string{"trace_id": id, "user": user}) {
			s.t.Fatalf("the exemplar is %v of %v, want trace %s of %s", labels, series, id, user)
		}
		return nil
	})
}

// countedOnce waits until Prometheus has the one sample with that status.
func (s *stack) countedOnce() {
	s.t.Helper()
	query := fmt.Sprintf(`gatewright_requests_total{code="%d"}`, teapot)
	eventually(s.t, "Prometheus has the request's sample", func() error {
		r, err := try("GET", "http://"+s.addr("prometheus", "9090")+"/api/v1/query?query="+url.QueryEscape(query))
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		if err := json.Unmarshal([]byte(r.Body), &answer); err != nil {
			return fmt.Errorf("%w: %s", err, r.Body)
		}
		found := answer.Data.Result
		if len(found) != 1 || found[0].Metric["route"] != "users" || found[0].Metric["backend"] != "users-v1" || found[0].Value[1] != "1" {
			return fmt.Errorf("there is %s", r.Body)
		}
		return nil
	})
}
