package console

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/config"
)

// newBreakersAdmin is an admin port of two breakers, one of them of a route.
func newBreakersAdmin(t *testing.T, token string) admin {
	t.Helper()
	log := &strings.Builder{}
	b, err := breakerpolicy.Open(breakerpolicy.Settings{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	b.Apply(map[string]breakerpolicy.Definition{
		"users":    {Backend: "users", Config: &config.Breaker{}},
		"r/orders": {Route: "r", Backend: "orders", Config: &config.Breaker{Per: config.PerRoute}},
	})
	return admin{t: t, log: log, h: NewHandler(Options{
		Token: token, Registry: prometheus.NewRegistry(), Breakers: b, Log: slog.New(slog.NewTextHandler(log, nil)),
		Ready: func() error { return nil }, Status: func() any { return nil },
	})}
}

// TestBreakersByTheAPI: how they stand, and what an operator does to one, which the
// log tells.
func TestBreakersByTheAPI(t *testing.T) {
	a := newBreakersAdmin(t, adminToken)
	all := want[[]breakerpolicy.Status](a, a.call("GET", "/api/v1/breakers", ""), 200)
	if len(all) != 2 || all[0].Name != "r/orders" || all[1].Name != "users" || all[1].State != breakerpolicy.StateClosed || all[1].Forced != breakerpolicy.Auto {
		t.Errorf("%+v", all)
	}
	s := want[breakerpolicy.Status](a, a.call("PUT", "/api/v1/breakers/r/orders", `{"forced": "open", "who": "alice", "why": "ticket 4711"}`), 200)
	if s.State != breakerpolicy.StateOpen || s.Forced != breakerpolicy.ForceOpen || s.Route != "r" {
		t.Errorf("%+v", s)
	}
	if got := want[breakerpolicy.Status](a, a.call("GET", "/api/v1/breakers/r/orders", ""), 200); got.State != breakerpolicy.StateOpen {
		t.Errorf("%+v", got)
	}
	if text := a.log.String(); !strings.Contains(text, "breaker=r/orders forced=open") || !strings.Contains(text, `by="admin API from 127.0.0.1:5000" who=alice why="ticket 4711"`) {
		t.Errorf("the log says %s", text)
	}
	s = want[breakerpolicy.Status](a, a.call("PUT", "/api/v1/breakers/r/orders", `{"forced": "auto"}`), 200)
	if s.Forced != breakerpolicy.Auto {
		t.Errorf("%+v", s)
	}
}

func TestWhatTheBreakersAPIRefuses(t *testing.T) {
	a := newBreakersAdmin(t, adminToken)
	for _, c := range []struct {
		method, path, body string
		status             int
		detail             string
	}{
		{"GET", "/api/v1/breakers/nobody", "", 404, `there is no breaker "nobody"`},
		{"GET", "/api/v1/breakers/%ff", "", 404, `there is no breaker "?"`},
		{"PUT", "/api/v1/breakers/nobody", `{"forced": "open"}`, 404, `there is no breaker "nobody"`},
		{"PUT", "/api/v1/breakers/users", `{"forced": "ajar"}`, 422, "forced: must be open, closed or auto"},
		{"PUT", "/api/v1/breakers/users", `{}`, 422, "forced: must be open, closed or auto"},
		{"PUT", "/api/v1/breakers/users", `{"forced": "open", "until": 5}`, 400, "unknown field"},
		{"PUT", "/api/v1/breakers/users", `{"forced": "open", "why": "a\nb"}`, 422, "why: must be one line"},
		{"PUT", "/api/v1/breakers/users", `{"forced": "open", "who": "` + strings.Repeat("x", 257) + `"}`, 422, "who: must be one line"},
	} {
		got := want[answered](a, a.call(c.method, c.path, c.body), c.status)
		if !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s %s %s: %q, want %q", c.method, c.path, c.body, got.Detail, c.detail)
		}
	}
	if s := want[breakerpolicy.Status](a, a.call("GET", "/api/v1/breakers/users", ""), 200); s.Forced != breakerpolicy.Auto {
		t.Errorf("what was refused was done: %+v", s)
	}
}

// Reads are for this machine and the token; writes for the token alone.
func TestWhoMaySetBreakers(t *testing.T) {
	for _, c := range []struct {
		token, authorization, method string
		want                         int
	}{
		{"", "", "GET", 200},
		{"", "", "PUT", http.StatusForbidden},
		{"", "Bearer ", "PUT", http.StatusForbidden},
		{adminToken, "", "PUT", http.StatusUnauthorized},
		{adminToken, "Bearer wrong", "PUT", http.StatusUnauthorized},
		{adminToken, "Bearer " + adminToken, "PUT", 200},
	} {
		a := newBreakersAdmin(t, c.token)
		if w := a.call(c.method, "/api/v1/breakers/users", `{"forced": "closed"}`, "Authorization", c.authorization); w.Code != c.want {
			t.Errorf("%s with %q where the token is %q: status %d, want %d", c.method, c.authorization, c.token, w.Code, c.want)
		}
	}
}
