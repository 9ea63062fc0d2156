package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/testenv"
)

// breakerUses are the ways to use a breaker, one backend each.
const breakerUses = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  tried: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h, mode: shadow}}
  answered:
    endpoints: ["{{.app}}"]
    breaker: {minRequests: 5, window: 1m, openFor: 1h, fallback: {respond: {status: 200, body: "[]", headers: {Content-Type: application/json}}}}
  shared: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h, per: route}}
  stable: {endpoints: ["{{.well}}"]}
  canary: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h}}
  other: {endpoints: ["{{.well}}"]}
  helped: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h, fallback: {backend: other}}}
  calls:
    endpoints: ["{{.calls}}"]
    protocol: grpc
    breaker: {minRequests: 5, window: 1m, openFor: 1h, failures: {grpcStatus: [not-found]}, fallback: {respond: {status: 200}}}
routes:
  - {name: tried, match: {path: /tried}, auth: public, to: [{backend: tried}]}
  - {name: answered, match: {path: /answered}, auth: public, to: [{backend: answered}]}
  - {name: helped, match: {path: /helped}, auth: public, to: [{backend: helped}]}
  - {name: one, match: {path: /one}, auth: public, to: [{backend: shared}]}
  - {name: other, match: {path: /other}, auth: public, to: [{backend: shared}]}
  - {name: split, match: {path: /split}, auth: public, to: [{backend: stable, weight: 1}, {backend: canary, weight: 1}], pin: {header: X-Side, values: {new: canary}}}
  - {name: calls, match: {grpc: {}}, auth: public, to: [{backend: calls}]}
`

// TestUsesOfBreakers: in shadow, with an answer of its own, one a route, on one side of
// a split, and of calls of gRPC.
func TestUsesOfBreakers(t *testing.T) {
	t.Parallel()
	app, well := newScripted(t, bad), newScripted(t, good)
	g := start(t, setup{config: breakerUses, values: map[string]string{"app": app.addr, "well": well.addr, "calls": healthService(t, healthv1.HealthCheckResponse_SERVING)}})
	fail := func(t *testing.T, path string, headers ...header) {
		t.Helper()
		for range 5 {
			if r := get(t, g.url("public", path), headers...); r.Status != http.StatusInternalServerError {
				t.Fatal(errStatus(r))
			}
		}
	}
	t.Run("shadow", func(t *testing.T) {
		t.Parallel()
		fail(t, "/tried")
		eventually(t, "it would be denied", func() error {
			if r := get(t, g.url("public", "/tried")); r.Status != http.StatusInternalServerError {
				t.Fatalf("it does not pass: %v", errStatus(r))
			}
			for _, line := range g.accessLog() {
				if line["route"] == "tried" && line["shadow"] == "circuit-open" && line["status"] == 500.0 {
					return nil
				}
			}
			return fmt.Errorf("no such line")
		})
		if b := g.breaker("tried"); b.State != "open" {
			t.Errorf("%+v", b)
		}
	})
	t.Run("respond", func(t *testing.T) {
		t.Parallel()
		fail(t, "/answered")
		eventually(t, "the answer is the config's", func() error {
			if r := get(t, g.url("public", "/answered")); r.Status != 200 || r.Body != "[]" || r.Header.Get("Content-Type") != "application/json" {
				return errStatus(r)
			}
			return nil
		})
		eventually(t, "the log tells why", func() error {
			for _, line := range g.accessLog() {
				if line["route"] == "answered" && line["reason"] == "circuit-open" && line["status"] == 200.0 {
					return nil
				}
			}
			return fmt.Errorf("no such line")
		})
	})
	t.Run("another backend", func(t *testing.T) {
		t.Parallel()
		fail(t, "/helped")
		before := well.requests()
		eventually(t, "the other backend answers", func() error {
			if r := get(t, g.url("public", "/helped")); r.Status != 200 || r.Body != "good\n" {
				return errStatus(r)
			}
			return nil
		})
		for range 5 {
			get(t, g.url("public", "/helped")).ok(t)
		}
		if n := well.requests() - before; n < 6 {
			t.Errorf("it has answered %d times", n)
		}
	})
	t.Run("per route", func(t *testing.T) {
		t.Parallel()
		fail(t, "/one")
		opens(t, g, "/one")
		if r := get(t, g.url("public", "/other")); r.Status != http.StatusInternalServerError {
			t.Errorf("the other route's breaker has opened: %v", errStatus(r))
		}
		if one, other := g.breaker("one/shared"), g.breaker("other/shared"); one.State != "open" || other.State != "closed" {
			t.Errorf("%+v, %+v", one, other)
		}
	})
	t.Run("split", func(t *testing.T) {
		t.Parallel()
		pinned := header{"X-Side", "new"}
		fail(t, "/split", pinned)
		eventually(t, "the canary's breaker is open", func() error {
			if r := get(t, g.url("public", "/split"), pinned); r.Header.Get("Retry-After") == "" {
				return errStatus(r)
			}
			return nil
		})
		got := map[int]int{}
		for range 40 {
			got[get(t, g.url("public", "/split")).Status]++
		}
		if got[200] == 0 || got[503] == 0 || got[200]+got[503] != 40 {
			t.Errorf("of those that Envoy splits: %v", got)
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		t.Parallel()
		conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		client := healthv1.NewHealthClient(conn)
		for range 5 {
			if _, err := client.Check(ctx, &healthv1.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
				t.Fatal(err)
			}
		}
		// Calls that end well would outnumber those that have failed, where these are told of late.
		eventually(t, "calls are unavailable", func() error {
			var headers, trailers metadata.MD
			_, err := client.Check(ctx, &healthv1.HealthCheckRequest{Service: "none"}, grpc.Header(&headers), grpc.Trailer(&trailers))
			if status.Code(err) != codes.Unavailable {
				return fmt.Errorf("%v", err)
			}
			if len(headers["retry-after"])+len(trailers["retry-after"]) == 0 {
				t.Errorf("no Retry-After: %v, %v", headers, trailers)
			}
			return nil
		})
	})
}

// TestReloadKeepsBreakers: what is open stays so, whatever else of the config changes,
// the breaker's own numbers among it; and what has been counted stays counted.
func TestReloadKeepsBreakers(t *testing.T) {
	t.Parallel()
	app := newScripted(t, bad)
	values := map[string]string{"issuer": idp(t).Issuer(), "app": app.addr, "breaker": "minRequests: 10, window: 1m, openFor: 1h"}
	g := start(t, setup{config: breakers, values: values})
	url := g.url("public", "/app/")
	for range 9 {
		get(t, url)
	}
	g.counted("app", 9, 9)
	values["breaker"] = "minRequests: 11, window: 1m, openFor: 1h"
	g.write(breakers)
	g.hasMetric(`gatewright_config_reloads_total{result="applied"} 2`)
	g.counted("app", 9, 9)
	for range 2 {
		if r := get(t, url); r.Status != http.StatusInternalServerError {
			t.Fatal(errStatus(r))
		}
	}
	opens(t, g, "/app/")
	asked := app.requests()
	for i, change := range []string{
		strings.Replace(breakers, "timeout: 1s", "timeout: 2s", 1),                             // a route
		strings.Replace(breakers, `["{{.app}}"]`, `["{{.app}}", "`+testenv.Addr(t)+`"]`, 1),    // the backend
		strings.Replace(breakers, "breaker: { {{.breaker}} }", "breaker: {minRequests: 9}", 1), // the breaker
	} {
		g.write(change)
		g.hasMetric(fmt.Sprintf(`gatewright_config_reloads_total{result="applied"} %d`, i+3))
		for range 5 {
			get(t, url).denied(t, 503, "circuit-open")
		}
	}
	if n := app.requests() - asked; n > 0 {
		t.Errorf("%d requests went to the backend", n)
	}
}

// TestBreakerByCommand: an operator opens and closes it, and gives it back; each change
// of state is told to a webhook, logged and counted.
func TestBreakerByCommand(t *testing.T) {
	t.Parallel()
	told := make(chan webhookCall, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c := webhookCall{authorization: r.Header.Get("Authorization"), contentType: r.Header.Get("Content-Type")}
		if err == nil {
			err = json.Unmarshal(body, &c.event)
		}
		if err != nil {
			t.Errorf("the webhook got %s: %v", body, err)
		}
		told <- c
	}))
	t.Cleanup(hook.Close)
	app := newScripted(t, good)
	g := guard(t, app, "minRequests: 5, openFor: 1s, webhook: {url: '"+hook.URL+"/hook', authorizationEnv: HOOK_AUTHORIZATION}", "HOOK_AUTHORIZATION=Bearer sesame")
	url := g.url("public", "/app/")
	get(t, url).ok(t)

	if out, err := g.command("status").Output(); err != nil || strings.Contains(string(out), "BREAKER") {
		t.Errorf("status tells of a breaker that is closed: %v\n%s", err, out)
	}
	g.run("breaker", "open", "app")
	opens(t, g, "/app/")
	if b := g.breaker("app"); b.State != "open" || b.Forced != "open" {
		t.Errorf("%+v", b)
	}
	if out, err := g.command("status").Output(); err != nil || !strings.Contains(string(out), "BREAKER") || !strings.Contains(string(out), "kept so by an operator") {
		t.Errorf("status: %v\n%s", err, out)
	}
	expect := func(from, to string) {
		t.Helper()
		select {
		case c := <-told:
			if c.authorization != "Bearer sesame" || c.contentType != "application/json" || c.event["breaker"] != "app" || c.event["from"] != from || c.event["to"] != to {
				t.Errorf("the webhook was told %+v, want %s to %s", c, from, to)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the webhook was not told of %s to %s\n%s", from, to, g.stderr)
		}
	}
	expect("closed", "open")
	asked := app.requests()
	time.Sleep(1500 * time.Millisecond) // longer than openFor: an operator's word stands
	get(t, url).denied(t, 503, "circuit-open")
	if n := app.requests() - asked; n > 0 {
		t.Errorf("%d requests passed", n)
	}

	g.run("breaker", "close", "app")
	closes(t, g, "/app/")
	expect("open", "closed")
	app.do(bad)
	for range 20 {
		if r := get(t, url); r.Status != http.StatusInternalServerError {
			t.Fatalf("it is kept closed: %v", errStatus(r))
		}
	}
	g.run("breaker", "auto", "app")
	eventually(t, "it is by itself again", func() error {
		if b := g.breaker("app"); b.Forced != "auto" {
			return fmt.Errorf("%+v", b)
		}
		return nil
	})
	for range 10 {
		get(t, url)
	}
	opens(t, g, "/app/")
	cmd := g.command("breaker", "open", "nobody")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody") {
		t.Errorf("a breaker that is not there: %v\n%s", err, out)
	}
}

type webhookCall struct {
	authorization, contentType string
	event                      map[string]any
}
