package console

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/rollout"
)

// newRollouts is an admin port with one rollout, without Redis.
func newRollouts(t *testing.T, token string) admin {
	t.Helper()
	rollouts, err := rollout.Open(rollout.Settings{}, rollout.Options{Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rollouts.Close() })
	c, err := config.Parse("gateway.yaml", []byte(`
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {v1: {endpoints: ["10.0.0.1:80"]}, v2: {endpoints: ["10.0.0.2:80"]}}
routes:
  - {name: users, match: {path: /}, auth: public, to: [{backend: v1, weight: 1}, {backend: v2, weight: 1}], rollout: {backend: v2, steps: [5, 100], every: 1m}}
`))
	if err != nil {
		t.Fatal(err)
	}
	rollouts.Apply(t.Context(), c)
	log := &strings.Builder{}
	return admin{t, NewHandler(Options{
		Token: token, Registry: prometheus.NewRegistry(), Rollouts: rollouts, Log: slog.New(slog.NewTextHandler(log, nil)),
		Ready: func() error { return nil }, Status: func() any { return nil },
	}), nil, log}
}

func TestRollouts(t *testing.T) {
	t.Parallel()
	a := newRollouts(t, adminToken)
	if all := want[[]rollout.Status](a, a.call("GET", "/api/v1/rollouts", ""), 200); len(all) != 1 || all[0].Route != "users" || all[0].Percent != 5 {
		t.Errorf("listed: %+v", all)
	}
	for _, step := range []struct {
		action, body string
		phase        rollout.Phase
		percent      int
		why          string
	}{
		{"pause", `{"why": "lunch", "who": "me@here"}`, rollout.Paused, 5, "by me@here, admin API from 127.0.0.1:5000: lunch"},
		{"resume", "", rollout.Running, 5, "by admin API from 127.0.0.1:5000"},
		{"abort", `{}`, rollout.Aborted, 0, "by admin API from 127.0.0.1:5000"},
		{"promote", `{"why": "it is fine"}`, rollout.Done, 100, "by admin API from 127.0.0.1:5000: it is fine"},
	} {
		s := want[rollout.Status](a, a.call("POST", "/api/v1/rollouts/users/"+step.action, step.body), 200)
		if s.Phase != step.phase || s.Percent != step.percent || s.Why != step.why {
			t.Errorf("%s: %s at %d %%, %q", step.action, s.Phase, s.Percent, s.Why)
		}
		if one := want[rollout.Status](a, a.call("GET", "/api/v1/rollouts/users", ""), 200); one.Phase != step.phase {
			t.Errorf("after %s it is %s", step.action, one.Phase)
		}
	}
}

func TestRolloutsRefuse(t *testing.T) {
	t.Parallel()
	a := newRollouts(t, adminToken)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/v1/rollouts/users/resume", "", http.StatusConflict},
		{"POST", "/api/v1/rollouts/others/pause", "", http.StatusNotFound},
		{"GET", "/api/v1/rollouts/others", "", http.StatusNotFound},
		{"POST", "/api/v1/rollouts/users/explode", "", http.StatusNotFound},
		{"GET", "/api/v1/rollouts/users/pause", "", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/rollouts/users/pause", `{"why": "a\nb"}`, http.StatusBadRequest},
		{"POST", "/api/v1/rollouts/users/pause", `{"why": "` + strings.Repeat("a", 257) + `"}`, http.StatusBadRequest},
		{"POST", "/api/v1/rollouts/users/pause", `{"reason": "a"}`, http.StatusBadRequest},
		{"POST", "/api/v1/rollouts/users/pause", `[]`, http.StatusBadRequest},
	} {
		if w := a.call(c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, w.Code, c.status, w.Body)
		}
	}
	if w := a.call("POST", "/api/v1/rollouts/users/pause", "", "Authorization", "Bearer guess"); w.Code != http.StatusUnauthorized {
		t.Errorf("with another token: %d", w.Code)
	}
	if w := newRollouts(t, "").call("POST", "/api/v1/rollouts/users/pause", ""); w.Code != http.StatusForbidden {
		t.Errorf("where no token is set: %d", w.Code)
	}
	if s := want[rollout.Status](a, a.call("GET", "/api/v1/rollouts/users", ""), 200); s.Phase != rollout.Running {
		t.Errorf("what was refused was done: %s", s.Phase)
	}
}
