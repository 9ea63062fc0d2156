package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/console"
)

// adminPort is the admin port of two breakers; commands ask it.
func adminPort(t *testing.T, token string) {
	t.Helper()
	b, err := breakerpolicy.Open(breakerpolicy.Settings{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	b.Apply(map[string]breakerpolicy.Definition{
		"users":    {Backend: "users", Config: &config.Breaker{}},
		"r/orders": {Route: "r", Backend: "orders", Config: &config.Breaker{Per: config.PerRoute, Mode: config.ModeShadow}},
	})
	server := httptest.NewServer(console.NewHandler(console.Options{Token: token, Registry: prometheus.NewRegistry(), Breakers: b, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	t.Setenv("GATEWRIGHT_ADMIN_ADDR", strings.TrimPrefix(server.URL, "http://"))
	t.Setenv("GATEWRIGHT_ADMIN_TOKEN", token)
}

// run is a command line, and what it says.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	err := root.Execute()
	return out.String(), err
}

func TestBreakerCommands(t *testing.T) {
	adminPort(t, "s3cret")
	for _, c := range []struct {
		args string
		says []string
	}{
		{"breaker list", []string{"BREAKER   STATE", "users     closed  0 of 0  -", "r/orders  closed", "shadow"}},
		{"breaker open users --why ticket", []string{"users is open, kept so by an operator (on this instance alone: it shares its breakers with no other now)\n"}},
		{"breaker list users", []string{"users    open", "kept so by an operator"}},
		{"breaker close r/orders", []string{"r/orders is closed, kept so by an operator"}},
		{"breaker auto users", []string{"users is open (on this instance"}},
	} {
		out, err := run(strings.Fields(c.args)...)
		if err != nil {
			t.Fatalf("%s: %v", c.args, err)
		}
		for _, want := range c.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s says\n%swant %q", c.args, out, want)
			}
		}
	}
	out, err := run("breaker", "open", "users", "-o", "json")
	var s breakerpolicy.Status
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Forced != breakerpolicy.ForceOpen {
		t.Errorf("%s, %v", out, err)
	}
	out, err = run("breaker", "list", "-o", "json")
	var all []breakerpolicy.Status
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 2 {
		t.Errorf("%s, %v", out, err)
	}
}

func TestBreakerCommandsRefuse(t *testing.T) {
	adminPort(t, "s3cret")
	for args, c := range map[string]struct {
		code int
		says string
	}{
		"breaker open nobody":      {exitFault, `there is no breaker "nobody"`},
		"breaker list nobody":      {exitFault, `there is no breaker "nobody"`},
		"breaker open":             {exitUsage, "usage: gatewright breaker open NAME"},
		"breaker ajar users":       {exitUsage, "unknown command"},
		"breaker list users r":     {exitUsage, "got 2 arguments"},
		"breaker list -o nonsense": {exitUsage, "-o"},
	} {
		_, err := run(strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", args, err, c.says)
		}
		if code := execute(t.Context(), strings.Fields(args)); code != c.code {
			t.Errorf("%s: exit code %d, want %d", args, code, c.code)
		}
	}
	t.Setenv("GATEWRIGHT_ADMIN_TOKEN", "")
	if _, err := run("breaker", "open", "users"); err == nil || !strings.Contains(err.Error(), "admin-token-required") {
		t.Errorf("without the token: %v", err)
	}
}
