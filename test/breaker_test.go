package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// breakers is a gateway with one route to a backend that has a breaker. {{.breaker}}
// is what is said of it.
const breakers = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], breaker: { {{.breaker}} }}
auth:
` + jwtMain + `limits:
  ten-a-day: {key: ["header:X-Run"], tokenBucket: {capacity: 10, refill: 1/d}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}], timeout: 1s}
  - {name: held, match: {path: /held}, auth: public, to: [{backend: app}], timeout: 1m}
  - {name: mine, match: {path: /mine}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: limited, match: {path: /limited}, auth: public, limits: [ten-a-day], to: [{backend: app}]}
  - {name: answer, match: {path: /answer}, auth: public, respond: {status: 200, body: "yes\n"}}
`

// guard starts the gateway of breakers for a backend, on a store of limits.
func guard(t *testing.T, app *scripted, breaker string, env ...string) *gateway {
	t.Helper()
	return start(t, setup{config: breakers, env: append(env, "GATEWRIGHT_ADMIN_TOKEN=operator"), values: map[string]string{"issuer": idp(t).Issuer(), "app": app.addr, "breaker": breaker}})
}

// breakerLine is a breaker as `gatewright breaker list -o json` shows it.
type breakerLine struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Forced   string `json:"forced"`
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	// PassingPercent is that of a ramp, 0 where all pass.
	PassingPercent int `json:"passingPercent"`
}

// breaker is one of a running gateway's.
func (g *gateway) breaker(name string) breakerLine {
	g.t.Helper()
	var all []breakerLine
	if err := json.Unmarshal(g.run("breaker", "list", "-o", "json"), &all); err != nil {
		g.t.Fatal(err)
	}
	for _, b := range all {
		if b.Name == name {
			return b
		}
	}
	g.t.Fatalf("there is no breaker %s among %v", name, all)
	return breakerLine{}
}

// counted waits until a closed breaker has so many requests in its window, and so many
// failures among them.
func (g *gateway) counted(name string, requests, failures int) {
	g.t.Helper()
	eventually(g.t, "the breaker has counted them", func() error {
		if b := g.breaker(name); b.State != "closed" || b.Requests != requests || b.Failed != failures {
			return fmt.Errorf("%+v, want %d failures of %d", b, failures, requests)
		}
		return nil
	})
}

// opens waits until requests are denied by a breaker, and returns the first such.
func opens(t *testing.T, g *gateway, path string) reply {
	t.Helper()
	var r reply
	eventually(t, "the breaker opens", func() error {
		if r = get(t, g.url("public", path)); !isOpen(r) {
			return errStatus(r)
		}
		return nil
	})
	r.denied(t, 503, "circuit-open")
	return r
}

// isOpen tells that a breaker has denied the request.
func isOpen(r reply) bool {
	return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, `"circuit-open"`)
}

// closes waits until requests pass again: some in a row, since a probe passes before.
func closes(t *testing.T, g *gateway, path string) {
	t.Helper()
	eventually(t, "the breaker closes", func() error {
		for range 5 {
			if r := get(t, g.url("public", path)); r.Status != http.StatusOK {
				return errStatus(r)
			}
		}
		return nil
	})
}

// TestBreaker is the life of one: below the least number of requests nothing opens;
// then it opens, answers at once and leaves the backend alone; after its time lets
// one request out, opens again by its failure, and closes by its success.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScripted(t, bad)
			g := guard(t, app, "minRequests: 10, openFor: 2s", env(t)...)
			url := g.url("public", "/app/x")
			for range 9 {
				if r := get(t, url); r.Status != http.StatusInternalServerError {
					t.Fatal(errStatus(r))
				}
			}
			g.counted("app", 9, 9)
			if r := get(t, url); r.Status != http.StatusInternalServerError {
				t.Fatal(errStatus(r))
			}
			r := opens(t, g, "/app/x")
			if after := r.Header.Get("Retry-After"); after != "1" && after != "2" {
				t.Errorf("Retry-After %q, want what is left of 2s", after)
			}
			opened, before := time.Now(), app.requests()
			for range 50 {
				if r := get(t, url); time.Since(opened) < time.Second {
					r.denied(t, 503, "circuit-open")
				}
			}
			if n := app.requests() - before; n > 0 && time.Since(opened) < time.Second {
				t.Errorf("%d requests went to the backend of an open breaker", n)
			}
			line := g.logged("/app/x")
			eventually(t, "the denial is logged", func() error {
				for _, line = range g.accessLog() {
					if line["reason"] == "circuit-open" && line["route"] == "app" && line["status"] == 503.0 {
						return nil
					}
				}
				return fmt.Errorf("no such line")
			})
			if _, there := line["probe"]; there || line["upstream"] != nil {
				t.Errorf("the line of a denial: %v", line)
			}
			// The first probe fails, for which one request goes to the backend.
			eventually(t, "a probe is out", func() error {
				get(t, url)
				if app.requests() == before {
					return fmt.Errorf("none yet")
				}
				return nil
			})
			app.do(good)
			closes(t, g, "/app/x")
			if since := app.since(opened); len(since) < 2 || since[1].Sub(since[0]) < 1500*time.Millisecond {
				t.Errorf("the backend was asked at %v: want a probe, two seconds later another, and then all", since)
			}
			for range 20 {
				get(t, url).ok(t)
			}
			eventually(t, "all denials are counted and logged", func() error {
				want := fmt.Sprintf(`gatewright_verdicts_total{reason="circuit-open",route="app",verdict="denied"} %d`, deniedBy(g, "circuit-open"))
				if !strings.Contains(g.metrics(), want+"\n") {
					return fmt.Errorf("there is no %s", want)
				}
				return nil
			})
		})
	}
}

// deniedBy is how many lines of the access log have a reason.
func deniedBy(g *gateway, reason string) (n int) {
	for _, line := range g.accessLog() {
		if line["reason"] == reason {
			n++
		}
	}
	return n
}

// TestExactlyHalfDoesNotOpen: one more does.
func TestExactlyHalfDoesNotOpen(t *testing.T) {
	t.Parallel()
	app := newScripted(t, fails(5))
	g := guard(t, app, "minRequests: 20, window: 1m")
	url := g.url("public", "/app/")
	for range 40 {
		get(t, url)
	}
	g.counted("app", 40, 20)
	get(t, g.url("public", "/answer")).ok(t)
	app.do(bad)
	if r := get(t, url); r.Status != http.StatusInternalServerError {
		t.Fatal(errStatus(r))
	}
	opens(t, g, "/app/")
}

// TestWhatNeverCounts: clients that give up, and what the gateway itself answers, are
// no failures, and no successes either.
func TestWhatNeverCounts(t *testing.T) {
	t.Parallel()
	app := newScripted(t, hangs)
	g := guard(t, app, "minRequests: 5, window: 1m, errorRate: 0")
	var wg sync.WaitGroup
	for range 20 { // each gives up while the backend has its request
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := ask(ctx, g.url("public", "/app/gone"), header{"X-Run", "a"}); err == nil {
				t.Error("a backend that hangs has answered")
			}
		})
	}
	wg.Wait()
	app.do(good)
	for range 20 {
		get(t, g.url("public", "/mine")).denied(t, 401, "credential-missing")
		get(t, g.url("public", "/app/../nowhere"))
		get(t, g.url("public", "/answer")).ok(t)
	}
	for range 10 {
		get(t, g.url("public", "/limited")).ok(t)
	}
	for range 20 {
		get(t, g.url("public", "/limited")).denied(t, 429, "rate-limited")
	}
	eventually(t, "all are logged", func() error {
		if n := len(g.accessLog()); n < 110 {
			return fmt.Errorf("%d lines", n)
		}
		return nil
	})
	g.counted("app", 10, 0)
}

// failures are gateways' backends, each of which fails in its own way: what is said of
// the breaker, what the backend does, and what clients get.
var failures = map[string]struct {
	breaker string
	act     act
	status  int
	opens   bool
	// says is how many of five requests say anything of the backend where it does not
	// open: what is not to count says nothing else either.
	says int
}{
	"500":                       {"", bad, 500, true, 0},
	"503 of its own":            {"", answers(503), 503, true, 0},
	"499":                       {"", answers(499), 499, false, 5},
	"429":                       {"", answers(429), 429, false, 5},
	"429 that counts":           {"failures: {status: [429]}", answers(429), 429, true, 0},
	"500 that does not":         {"failures: {status: [429]}", bad, 500, false, 5},
	"500 where none does":       {"failures: {status: []}", bad, 500, false, 5},
	"resets":                    {"failures: {status: []}", resets, 503, true, 0},
	"resets that do not count":  {"failures: {status: [], reset: false}", resets, 503, false, 0},
	"hangs":                     {"failures: {status: []}", hangs, 504, true, 0},
	"hangs, which is no matter": {"failures: {status: [], timeout: false}", hangs, 504, false, 0},
	"slow":                      {"failures: {slowerThan: 200ms}", slow(400 * time.Millisecond), 200, true, 0},
	"slow, but not too slow":    {"failures: {slowerThan: 900ms}", slow(20 * time.Millisecond), 200, false, 5},
	"refuses":                   {"failures: {status: []}", nil, 503, true, 0},
	"Envoy's 504 is no answer":  {"failures: {timeout: false}", hangs, 504, false, 0},
	"Envoy's 503 is no answer":  {"failures: {connectFailure: false}", nil, 503, false, 0},
	"refuses, which is allowed": {"failures: {status: [], connectFailure: false}", nil, 503, false, 0},
}

// TestWhatAFailureIs: each kind opens a breaker that counts it, and none that does not.
func TestWhatAFailureIs(t *testing.T) {
	t.Parallel()
	text, values, backends := "listeners: [{name: public, address: '{{listen \"public\"}}'}]\nbackends:\n", map[string]string{}, map[string]*scripted{}
	routes, i := "routes:\n", 0
	paths := map[string]string{}
	for name, f := range failures {
		id := fmt.Sprintf("b%d", i)
		i++
		app := newScripted(t, good)
		if f.act == nil {
			app.refuse()
		} else {
			app.do(f.act)
		}
		extra := f.breaker
		if extra != "" {
			extra = ", " + extra
		}
		text += fmt.Sprintf("  %s: {endpoints: ['%s'], breaker: {minRequests: 5, window: 1m, openFor: 1m%s}}\n", id, app.addr, extra)
		routes += fmt.Sprintf("  - {name: %s, match: {path: /%s}, auth: public, to: [{backend: %s}], timeout: 1s}\n", id, id, id)
		backends[id], paths[name] = app, "/"+id
	}
	g := start(t, setup{config: text + routes, values: values})
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := paths[name]
			for range 5 {
				if r := get(t, g.url("public", path)); r.Status != f.status {
					t.Fatalf("%v, want %d", errStatus(r), f.status)
				}
			}
			if f.opens {
				opens(t, g, path)
				return
			}
			g.counted(path[1:], f.says, 0)
			if r := get(t, g.url("public", path)); r.Status != f.status || isOpen(r) {
				t.Errorf("%v, want the backend's %d", errStatus(r), f.status)
			}
		})
	}
}

// TestBreakerAndLimits: a request that an open breaker denies is charged to no limit;
// and one that a limit denies is never the probe.
func TestBreakerAndLimits(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScripted(t, good)
			g := guard(t, app, "minRequests: 5, openFor: 500ms", env(t)...)
			limited := g.url("public", "/limited")
			if left := get(t, limited).ok(t).Header.Get("RateLimit-Remaining"); left != "9" {
				t.Fatalf("%s left", left)
			}
			g.run("breaker", "open", "app")
			opens(t, g, "/limited")
			for range 20 {
				get(t, limited).denied(t, 503, "circuit-open")
			}
			g.run("breaker", "close", "app")
			eventually(t, "it passes", func() error {
				r := get(t, limited)
				if r.Status != http.StatusOK {
					return errStatus(r)
				}
				if left := r.Header.Get("RateLimit-Remaining"); left != "8" {
					t.Errorf("%s left after 22 requests that were denied by the breaker", left)
				}
				return nil
			})
			for range 8 {
				get(t, limited).ok(t)
			}
			get(t, limited).denied(t, 429, "rate-limited")

			g.run("breaker", "open", "app")
			opens(t, g, "/app/")
			g.run("breaker", "auto", "app") // it is half-open as soon as somebody asks
			asked := app.requests()
			for range 20 {
				if r := get(t, limited); !isOpen(r) {
					r.denied(t, 429, "rate-limited")
				}
			}
			if n := app.requests() - asked; n > 0 {
				t.Errorf("%d requests that a limit denies were probes", n)
			}
			closes(t, g, "/app/")
		})
	}
}
