package outcome

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// exemplified are metrics with exemplars, whose clock stands until it is moved, and in
// which the trace of every outcome is recorded that has one.
func exemplified(kept Exemplars) (m *Metrics, reg *prometheus.Registry, clock *time.Time) {
	reg, clock = prometheus.NewRegistry(), new(time.Time)
	*clock = time.Unix(1764352800, 0)
	m = NewMetrics(reg, everybody{})
	m.Recorded = func(o Outcome) (string, bool) { return o.Trace, o.Trace != "not" }
	m.now = func() time.Time { return *clock }
	m.KeepExemplars(kept)
	return m, reg, clock
}

// named are the exemplars of a metric, by the bound of their bucket, or "" for a counter's.
func named(t *testing.T, reg *prometheus.Registry, metric string) map[string]map[string]string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	add := func(at string, e *dto.Exemplar) {
		if e == nil {
			return
		}
		out[at] = map[string]string{}
		for _, l := range e.Label {
			out[at][l.GetName()] = l.GetValue()
		}
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() != metric {
				continue
			}
			add("", m.GetCounter().GetExemplar())
			for _, b := range m.GetHistogram().GetBucket() {
				add(time.Duration(b.GetUpperBound()*float64(time.Second)).String(), b.GetExemplar())
			}
		}
	}
	return out
}

const (
	countedIn = "gatewright_requests_total"
	timedIn   = "gatewright_request_duration_seconds"
)

func request(trace, user string, took time.Duration) Outcome {
	return Outcome{Route: "users", Backend: "app", Upstream: true, Status: 200, Trace: trace, User: user, Duration: took}
}

// TestExemplars: a series names a request each second, and each bucket one of its own, so
// that the slow ones are not lost among the others.
func TestExemplars(t *testing.T) {
	m, reg, clock := exemplified(UserExemplars)
	wantNamed := func(metric string, want map[string]map[string]string) {
		t.Helper()
		if got := named(t, reg, metric); !maps.EqualFunc(got, want, maps.Equal) {
			t.Errorf("%s names %v, want %v", metric, got, want)
		}
	}
	trace := func(id, user string) map[string]string { return map[string]string{"trace_id": id, "user": user} }
	m.Observe(request("", "nobody", time.Millisecond))
	m.Observe(request("not", "nobody", time.Millisecond))
	wantNamed(countedIn, nil)
	wantNamed(timedIn, nil)

	m.Observe(request("a", "ann", time.Millisecond))
	m.Observe(request("b", "bob", time.Millisecond))
	m.Observe(request("c", "cyd", 3*time.Second))
	wantNamed(countedIn, map[string]map[string]string{"": trace("a", "ann")})
	wantNamed(timedIn, map[string]map[string]string{"1ms": trace("a", "ann"), "5s": trace("c", "cyd")})

	*clock = clock.Add(exemplarEvery - 1)
	m.Observe(request("d", "dan", time.Millisecond))
	wantNamed(countedIn, map[string]map[string]string{"": trace("a", "ann")})
	*clock = clock.Add(1)
	m.Observe(request("not", "nobody", time.Millisecond)) // does not take another's turn
	m.Observe(request("e", "eve", time.Millisecond))
	m.Observe(request("f", "", time.Minute))
	wantNamed(countedIn, map[string]map[string]string{"": trace("e", "eve")})
	got := named(t, reg, timedIn)
	if len(got) != 3 || !maps.Equal(got["1ms"], trace("e", "eve")) || !slices.ContainsFunc(slices.Collect(maps.Values(got)), func(of map[string]string) bool {
		return maps.Equal(of, map[string]string{"trace_id": "f"})
	}) {
		t.Errorf("the buckets name %v", got)
	}
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
}

// TestExemplarsOfUsers: a user is named as a whole or not at all, where that is wanted, and
// forgotten when it is no more.
func TestExemplarsOfUsers(t *testing.T) {
	id := strings.Repeat("a", 32)
	longest := strings.Repeat("é", 128-len("trace_id")-32-len("user"))
	for user, want := range map[string]string{"ann": "ann", longest: longest, longest + "x": "", "\xff": "", "": "", "a\"\n\\": "a\"\n\\"} {
		m, reg, _ := exemplified(UserExemplars)
		m.Observe(request(id, user, time.Millisecond))
		of := named(t, reg, countedIn)[""]
		if of["trace_id"] != id || of["user"] != want {
			t.Errorf("%q is named %v", user, of)
		}
	}

	m, reg, _ := exemplified(TraceExemplars)
	m.Observe(request(id, "ann", time.Millisecond))
	if of := named(t, reg, countedIn)[""]; !maps.Equal(of, map[string]string{"trace_id": id}) {
		t.Errorf("the trace alone is wanted, and there is %v", of)
	}
	m.KeepExemplars(UserExemplars)
	m.Observe(request(id, "ann", time.Millisecond))
	if of := named(t, reg, countedIn)[""]; of["user"] != "ann" {
		t.Errorf("users are wanted, and there is %v", of)
	}
	m.KeepExemplars(UserExemplars) // which is nothing new
	if of := named(t, reg, countedIn)[""]; of["user"] != "ann" {
		t.Errorf("nothing has changed, and there is %v", of)
	}
	m.KeepExemplars(NoExemplars)
	m.Observe(request(id, "bob", time.Millisecond))
	if of := named(t, reg, countedIn); len(of) > 0 {
		t.Errorf("none are wanted, and there is %v", of)
	}
}

// TestExemplarsAreServedToWhoAsks: the format of before has none, and OpenMetrics has.
func TestExemplarsAreServedToWhoAsks(t *testing.T) {
	m, reg, _ := exemplified(UserExemplars)
	m.Observe(request("abc", "ann", time.Millisecond))
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	for accept, want := range map[string]bool{"": false, "text/plain": false, "application/openmetrics-text;version=1.0.0": true} {
		r, w := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		body := w.Body.String()
		if got := strings.Contains(body, `code="200",route="users"} 1.0 # {trace_id="abc",user="ann"} 1.0 `) ||
			strings.Contains(body, `code="200",route="users"} 1.0 # {user="ann",trace_id="abc"} 1.0 `); got != want {
			t.Errorf("Accept: %q has exemplars %v, want %v:\n%s", accept, got, want, body)
		}
	}
}

// TestExemplarsOfUnknownPlaces: what the config does not name has none, however much of it
// comes.
func TestExemplarsOfUnknownPlaces(t *testing.T) {
	m, reg, _ := exemplified(UserExemplars)
	m.known = onlyUsers{}
	m.Observe(request("a", "ann", time.Millisecond)) // of a backend that is none
	if of := named(t, reg, countedIn); len(of) > 0 {
		t.Errorf("there is %v", of)
	}
}

// BenchmarkObserveWithExemplars is the same as BenchmarkObserve, with every request
// recorded.
func BenchmarkObserveWithExemplars(b *testing.B) {
	m := NewMetrics(prometheus.NewRegistry(), everybody{})
	m.Recorded = func(o Outcome) (string, bool) { return o.Trace, true }
	m.KeepExemplars(UserExemplars)
	o := request(strings.Repeat("a", 32), "ann", 3*time.Millisecond)
	for b.Loop() {
		o.Duration += time.Microsecond
		m.Observe(o)
	}
}
