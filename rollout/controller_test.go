package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

// gateway is a config with one rollout.
func gateway(t *testing.T, rollout string) *config.Config {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte(`
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {v1: {endpoints: ["10.0.0.1:80"]}, v2: {endpoints: ["10.0.0.2:80"]}, v3: {endpoints: ["10.0.0.3:80"]}}
routes:
  - {name: other, match: {path: /other}, auth: public, to: [{backend: v1}]}
  - name: users
    match: {path: /users}
    auth: public
    to: [{backend: v1, weight: 3}, {backend: v2, weight: 7}, {backend: v3, weight: 1}]
    `+rollout+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const fromTen = "rollout: {backend: v2, steps: [10, 50, 100], every: 1m, abortWhen: {errorRate: 0.02}}"

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(noon.UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.ns.Add(int64(d)) }

// open is a controller of its own, without Redis where url is empty.
func open(t *testing.T, url, file string, c *clock) *Controller {
	t.Helper()
	controller, err := Open(Settings{RedisURL: url}, Options{File: file, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Clock: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { controller.Close() })
	return controller
}

// serve lets requests end: n on each side, of the canary's some failed.
func serve(c *Controller, n, failed int) {
	for i := range n {
		status := 200
		if i < failed {
			status = 503
		}
		c.Observe(outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: status, GRPCStatus: outcome.GRPCUnknown, Duration: 20 * time.Millisecond})
		c.Observe(outcome.Outcome{Route: "users", Backend: "v1", Upstream: true, Status: 200, GRPCStatus: outcome.GRPCUnknown, Duration: 20 * time.Millisecond})
	}
}

func (c *Controller) one(t *testing.T) Status {
	t.Helper()
	all := c.Status()
	if len(all) != 1 {
		t.Fatalf("there are %d rollouts", len(all))
	}
	return all[0]
}

func at(t *testing.T, c *Controller, phase Phase, percent int) {
	t.Helper()
	if s := c.one(t); s.Phase != phase || s.Percent != percent {
		t.Fatalf("it is %s at %d %%, want %s at %d %%: %s %s", s.Phase, s.Percent, phase, percent, s.Why, s.Waits)
	}
}

func look(t *testing.T, c *Controller) {
	t.Helper()
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// weights are those of the route of users, in order.
func weights(c *Controller, cfg *config.Config) string {
	var out []string
	for _, d := range c.Overlay(cfg).Routes[1].To {
		out = append(out, fmt.Sprintf("%s=%d", d.Backend, *d.Weight))
	}
	return strings.Join(out, " ")
}

// TestAlone: without Redis a process has its own rollouts, and a restart goes on
// where they were.
func TestAlone(t *testing.T) {
	t.Parallel()
	clock, file, cfg := newClock(), filepath.Join(t.TempDir(), "new", "rollouts.json"), gateway(t, fromTen)
	c := open(t, "", file, clock)
	if got := weights(c, cfg); got != "v1=3 v2=0 v3=1" {
		t.Errorf("before anything is known: %s", got)
	}
	c.Apply(t.Context(), cfg)
	at(t, c, Running, 10)
	if got := weights(c, cfg); got != "v1=27 v2=4 v3=9" {
		t.Errorf("at 10 %%: %s", got)
	}
	for range 5 {
		clock.pass(10 * time.Second)
		serve(c, 20, 0)
		look(t, c)
	}
	at(t, c, Running, 10)

	c = open(t, "", file, clock) // a restart
	if got := weights(c, cfg); got != "v1=27 v2=4 v3=9" {
		t.Errorf("after a restart: %s", got)
	}
	c.Apply(t.Context(), cfg)
	at(t, c, Running, 10)
	if n := c.one(t).Canary.Requests; n != 100 {
		t.Errorf("of 100 requests %d are known after a restart", n)
	}
	clock.pass(10 * time.Second)
	look(t, c)
	at(t, c, Running, 50)
	serve(c, 60, 30)
	clock.pass(time.Second)
	look(t, c)
	at(t, c, Aborted, 0)
	if got := weights(c, cfg); got != "v1=3 v2=0 v3=1" {
		t.Errorf("aborted: %s", got)
	}

	c = open(t, "", file, clock)
	c.Apply(t.Context(), cfg)
	at(t, c, Aborted, 0) // a restart forgives nothing
	c.Apply(t.Context(), gateway(t, "rollout: {backend: v2, release: b, steps: [20, 100], every: 1m}"))
	at(t, c, Running, 20)
	c.Apply(t.Context(), gateway(t, ""))
	if len(c.Status()) != 0 {
		t.Error("a rollout that is gone is listed")
	}
	look(t, c)
	if data, err := os.ReadFile(file); err != nil || string(data) != "{}" {
		t.Errorf("%s is kept of it, %v", data, err)
	}
}

// TestAFileThatIsDamaged is told of, and the rollouts begin anew.
func TestAFileThatIsDamaged(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"users": {"generation": 1}}`, `{"users": {"generation": 1, "state": {"phase": "running", "step": 7, "spec": {"route": "users", "steps": [1]}}}}`} {
		file := filepath.Join(t.TempDir(), "rollouts.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := open(t, "", file, newClock())
		c.Apply(t.Context(), gateway(t, fromTen))
		at(t, c, Running, 10)
	}
}

// TestOverlay: routes without a rollout are the same, and so is a config without any.
func TestOverlay(t *testing.T) {
	t.Parallel()
	c := open(t, "", "", newClock())
	plain, cfg := gateway(t, ""), gateway(t, fromTen)
	if c.Overlay(plain) != plain {
		t.Error("a config without a rollout is copied")
	}
	c.Apply(t.Context(), cfg)
	over := c.Overlay(cfg)
	if over.Routes[0] != cfg.Routes[0] || over.Routes[1] == cfg.Routes[1] || *cfg.Routes[1].To[1].Weight != 7 {
		t.Error("other routes are copied, or the config was changed")
	}
	for share, want := range map[int][3]int{0: {3, 0, 1}, 1: {297, 4, 99}, 50: {3, 4, 1}, 100: {0, 1, 0}} {
		r := weighed(cfg.Routes[1], Specs(cfg)["users"], share)
		for i, d := range r.To {
			if *d.Weight != want[i] {
				t.Errorf("at %d %%: %s has %d, want %d", share, d.Backend, *d.Weight, want[i])
			}
		}
	}
}

// TestWhatCounts: whose outcomes count, and which failed.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	c := open(t, "", "", newClock())
	c.Observe(outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 500}) // before any config
	c.Apply(t.Context(), gateway(t, fromTen))
	for _, o := range []struct {
		outcome.Outcome
		counts, fails bool
	}{
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 200, FirstByte: 1}, true, false},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 404, FirstByte: 1}, true, false},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 502, FirstByte: 1}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 504, Flags: outcome.Timeout}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 200, FirstByte: 1, Flags: outcome.Reset}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v2", Status: 503, Flags: outcome.NoHealthy}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 200, GRPCStatus: 14, FirstByte: 1}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 200, GRPCStatus: 5, FirstByte: 1}, true, false},
		{outcome.Outcome{Route: "users", Backend: "v2", Upstream: true, Status: 0, Flags: outcome.ClientGone}, false, false},
		{outcome.Outcome{Route: "users", Backend: "v2", Status: 429, Flags: outcome.Denied}, false, false},
		{outcome.Outcome{Route: "users", Status: 503, Flags: outcome.Denied, Broken: "v2"}, true, true},
		{outcome.Outcome{Route: "users", Backend: "v9", Upstream: true, Status: 200, FirstByte: 1, Broken: "v2"}, true, true}, // its fallback has answered
		{outcome.Outcome{Route: "users", Status: 503, Flags: outcome.Denied, Broken: "v9"}, false, false},
		{outcome.Outcome{Route: "users", Backend: "v9", Upstream: true, Status: 500, FirstByte: 1}, false, false},
		{outcome.Outcome{Route: "other", Backend: "v2", Upstream: true, Status: 500, FirstByte: 1}, false, false},
	} {
		c.Observe(o.Outcome)
		got := c.stats.take("users")
		if (got.Canary.Requests == 1) != o.counts || (got.Canary.Failed == 1) != o.fails || got.Stable.Requests != 0 {
			t.Errorf("%+v: %d requests, %d failed", o.Outcome, got.Canary.Requests, got.Canary.Failed)
		}
	}
	c.Observe(outcome.Outcome{Route: "users", Backend: "v3", Upstream: true, Status: 200, FirstByte: 1, Broken: "v2"})
	if got := c.stats.take("users"); got.Stable.Requests != 1 || got.Stable.Failed != 0 || got.Canary.Requests != 1 || got.Canary.Failed != 1 {
		t.Errorf("a canary's fallback on the stable side counts as %+v", got)
	}
	c.Observe(outcome.Outcome{Route: "users", Backend: "v3", Upstream: true, Status: 101, Duration: time.Hour})
	if got := c.stats.take("users"); got.Stable.Requests != 1 || got.Stable.Latency.Count() != 0 {
		t.Errorf("an upgraded connection counts as %+v", got.Stable)
	}
}

// TestFleet: three instances on one Redis have one rollout. Each sees a third, one
// decides, and all follow; another takes over from one that is gone.
func TestFleet(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	cfg := gateway(t, fromTen)
	var fleet []*Controller
	for range 3 {
		c := open(t, redis.URL(), filepath.Join(t.TempDir(), "rollouts.json"), newClock())
		c.Apply(t.Context(), cfg)
		fleet = append(fleet, c)
	}
	all := func(do func(c *Controller)) {
		for _, c := range fleet {
			do(c)
		}
	}
	all(func(c *Controller) { serve(c, 10, 0); look(t, c) })
	all(func(c *Controller) { look(t, c) })
	all(func(c *Controller) { look(t, c) })
	all(func(c *Controller) {
		if n := c.one(t).Canary.Requests; n != 30 {
			t.Errorf("of 30 requests of all, %d are known", n)
		}
	})
	// An operator asks whom he likes.
	if s, err := fleet[2].Do(t.Context(), "users", Pause, "by me"); err != nil || s.Phase != Paused {
		t.Fatalf("%+v, %v", s, err)
	}
	all(func(c *Controller) { look(t, c); at(t, c, Paused, 10) })
	if _, err := fleet[0].Do(t.Context(), "users", Pause, "by me"); !errors.Is(err, ErrConflict) {
		t.Errorf("a second pause: %v", err)
	}
	if _, err := fleet[0].Do(t.Context(), "others", Pause, "by me"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a route without one: %v", err)
	}
	if _, err := fleet[1].Do(t.Context(), "users", Resume, "by me"); err != nil {
		t.Fatal(err)
	}
	// The first decides. It goes away, and what only the others see counts as before.
	fleet = fleet[1:]
	all(func(c *Controller) { look(t, c); serve(c, 30, 20) })
	testenv.Eventually(t, "another takes the canary back", func() error {
		all(func(c *Controller) { look(t, c) })
		for _, c := range fleet {
			if s := c.one(t); s.Phase != Aborted {
				return fmt.Errorf("it is %s", s.Phase)
			}
		}
		return nil
	})
	if s := fleet[0].one(t); s.Canary.Requests != 90 || s.Canary.Failed != 40 {
		t.Errorf("by %+v", s.Canary)
	}
	// Another process finds it so, with a file or without.
	c := open(t, redis.URL(), "", newClock())
	c.Apply(t.Context(), cfg)
	at(t, c, Aborted, 0)
}

// TestRedisLosesAll: what Redis has lost the instances put back, the newest goes
// before what others begin meanwhile, and before an older copy of Redis' own.
func TestRedisLosesAll(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	cfg := gateway(t, fromTen)
	c := open(t, redis.URL(), "", newClock())
	c.Apply(t.Context(), cfg)
	older := redis.Do("HGETALL", keys("users")[0])
	if _, err := c.Do(t.Context(), "users", Promote, "by me"); err != nil {
		t.Fatal(err)
	}
	newest := c.known["users"].Generation
	redis.Do("FLUSHALL")
	redis.Do("SCRIPT", "FLUSH")
	look(t, c)
	fresh := open(t, redis.URL(), "", newClock())
	fresh.Apply(t.Context(), cfg)
	at(t, fresh, Done, 100)
	// An old copy.
	redis.Do(append([]any{"HSET", keys("users")[0]}, asList(t, older)...)...)
	testenv.Eventually(t, "the newer record is back", func() error {
		look(t, c)
		look(t, fresh)
		if got := redis.Do("HGET", keys("users")[0], "generation"); got != strconv.FormatInt(newest, 10) {
			return fmt.Errorf("its generation is %v, want %d", got, newest)
		}
		return nil
	})
	at(t, c, Done, 100)
	at(t, fresh, Done, 100)
}

// asList is a reply of HGETALL as names and values.
func asList(t *testing.T, reply any) []any {
	t.Helper()
	switch r := reply.(type) {
	case []any:
		return r
	case map[any]any:
		var out []any
		for k, v := range r {
			out = append(out, k, v)
		}
		return out
	}
	t.Fatalf("a reply of type %T", reply)
	return nil
}

// TestRedisAway: nothing goes on, and a canary that fails is taken back here; all
// instances hear of it when Redis is back. An operator is told that nothing was done.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	cfg, clock := gateway(t, fromTen), newClock()
	c, other := open(t, redis.URL(), "", clock), open(t, redis.URL(), "", newClock())
	c.Apply(t.Context(), cfg)
	other.Apply(t.Context(), cfg)
	redis.Kill()
	for range 20 {
		clock.pass(10 * time.Second)
		serve(c, 50, 0)
		if c.look(t.Context()) == nil {
			t.Fatal("Redis answers")
		}
	}
	at(t, c, Running, 10)
	if _, err := c.Do(t.Context(), "users", Abort, "by me"); !errors.Is(err, ErrStore) {
		t.Errorf("an abort that nobody hears of: %v", err)
	}
	serve(c, 100, 50)
	clock.pass(time.Second)
	_ = c.look(t.Context())
	at(t, c, Aborted, 0)
	at(t, other, Running, 10)
	redis.Start()
	testenv.Eventually(t, "the other hears of it", func() error {
		if err := errors.Join(c.look(t.Context()), other.look(t.Context())); err != nil {
			return err
		}
		if s := other.one(t); s.Phase != Aborted {
			return fmt.Errorf("it is %s, %d, known %d; redis %v", s.Phase, other.known["users"].Generation, c.known["users"].Generation, redis.Do("HGET", keys("users")[0], "generation"))
		}
		return nil
	})
	if failures := testutil.ToFloat64(c.metrics.failures); failures < 20 {
		t.Errorf("%g failures are counted", failures)
	}
}

// TestAnotherCanary: while the config of some instances has another canary than that
// of others, nobody gives one canary the share of another, and nobody fights.
func TestAnotherCanary(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	old, next := gateway(t, fromTen), gateway(t, "rollout: {backend: v3, steps: [1, 100], every: 1m}")
	a, b := open(t, redis.URL(), "", newClock()), open(t, redis.URL(), "", newClock())
	a.Apply(t.Context(), old)
	b.Apply(t.Context(), old)
	if _, err := a.Do(t.Context(), "users", Promote, "by me"); err != nil {
		t.Fatal(err)
	}
	look(t, b)
	b.Apply(t.Context(), next)
	for range 5 {
		look(t, a)
		look(t, b)
	}
	at(t, a, Done, 100)
	at(t, b, Running, 1)
	if got := weights(a, old); got != "v1=0 v2=1 v3=0" {
		t.Errorf("the instance with the old config serves %s", got)
	}
	// The one whose config is old decided until then. It leaves that to others.
	testenv.Eventually(t, "the new canary is looked at", func() error {
		serve(b, 1, 0)
		look(t, a)
		look(t, b)
		if b.one(t).Stable.Requests == 0 {
			return errors.New("nothing is seen of it")
		}
		return nil
	})
	a.Apply(t.Context(), next)
	at(t, a, Running, 1)
}

// TestACommandMeetsAChange: of two changes at once one is done on top of the other.
func TestACommandMeetsAChange(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	cfg := gateway(t, fromTen)
	a, b := open(t, redis.URL(), "", newClock()), open(t, redis.URL(), "", newClock())
	a.Apply(t.Context(), cfg)
	b.Apply(t.Context(), cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			serve(a, 1, 0)
			_ = a.look(ctx)
			time.Sleep(time.Millisecond) // it leaves a moment to others, as a look does that comes twice a second
		}
	}()
	for range 20 {
		for _, action := range []Action{Pause, Resume} {
			if _, err := b.Do(t.Context(), "users", action, "by me"); err != nil {
				t.Error(err)
			}
		}
	}
	cancel()
	<-ended
	look(t, b)
	at(t, b, Running, 10)
}

// TestRepliesThatAreNotTheScripts are errors, and no panic.
func TestRepliesThatAreNotTheScripts(t *testing.T) {
	t.Parallel()
	for _, reply := range []any{
		nil, "OK", []any{}, []any{"1", int64(1), "0", "", "x"}, []any{"x", int64(1), "0", "", []any{}}, []any{"1", int64(1), "x", "", []any{}},
		[]any{"1", int64(1), "1", "{", []any{}}, []any{"1", int64(1), "0", "", []any{"c:n", "-1"}}, []any{"1", int64(1), "0", "", []any{"c:n", "x"}},
	} {
		if v, err := readView(reply); err == nil {
			t.Errorf("%v was read as %+v", reply, v)
		}
	}
	v, err := readView([]any{"1", int64(0), "0", "", []any{"c:n", "5", "x:n", "1", "c:999", "1", "s:3", "2", "odd"}})
	if err != nil || v.total.Canary.Requests != 5 || v.total.Stable.Latency[3] != 2 {
		t.Errorf("%+v, %v", v.total, err)
	}
}

// TestLeastRights: a user of Redis needs no more than docs/redis.md says, over TLS.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "redis.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rights, found := strings.Cut(string(page), "ACL SETUSER gatewright on >PASSWORD ")
	if !found {
		t.Fatal("docs/redis.md says no rights")
	}
	rights, _, _ = strings.Cut(rights, "\n")
	server := testenv.StartRedisTLS(t, strings.Fields(rights)...)
	s := Settings{RedisURL: server.URL()}
	s.Redis.CA, s.Redis.Cert, s.Redis.Key = server.CA, server.Cert, server.Key
	c, err := Open(s, Options{Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.Apply(t.Context(), gateway(t, fromTen))
	serve(c, 10, 0)
	look(t, c)
	if s, err := c.Do(t.Context(), "users", Pause, "by me"); err != nil || s.Canary.Requests != 10 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestInACluster: each rollout is on one node, whichever that is.
func TestInACluster(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 5*time.Second)
	cfg, err := config.Parse("gateway.yaml", []byte(manyRollouts()))
	if err != nil {
		t.Fatal(err)
	}
	a, b := open(t, cluster.URL(), "", newClock()), open(t, cluster.URL(), "", newClock())
	testenv.Eventually(t, "the cluster answers", func() error {
		a.Apply(t.Context(), cfg)
		return a.look(t.Context())
	})
	b.Apply(t.Context(), cfg)
	for _, s := range b.Status() {
		if s.Phase != Running || s.Percent != 10 {
			t.Errorf("%s is %s at %d %%", s.Route, s.Phase, s.Percent)
		}
	}
	if len(b.Status()) != 20 {
		t.Errorf("%d rollouts", len(b.Status()))
	}
}

func manyRollouts() string {
	text := `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {v1: {endpoints: ["10.0.0.1:80"]}, v2: {endpoints: ["10.0.0.2:80"]}}
routes:
`
	for i := range 20 {
		text += fmt.Sprintf("- {name: r%d, match: {path: /%d}, auth: public, to: [{backend: v1, weight: 1}, {backend: v2, weight: 1}], rollout: {backend: v2, steps: [10], every: 1m}}\n", i, i)
	}
	return text
}

// TestDark: of a mirror as the canary, copies are its requests and the percentage moves.
func TestDark(t *testing.T) {
	t.Parallel()
	for _, mirror := range []string{"mirror: {backend: v2, percent: 3}", "mirrors: [{backend: v3, percent: 7}, {backend: v2}]"} {
		cfg, err := config.Parse("gateway.yaml", []byte(`
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {v1: {endpoints: ["10.0.0.1:80"]}, v2: {endpoints: ["10.0.0.2:80"]}, v3: {endpoints: ["10.0.0.3:80"]}}
routes:
  - {name: users, match: {path: /users}, auth: public, to: [{backend: v1}], `+mirror+`, rollout: {backend: v2, steps: [20, 100], every: 1m}}
`))
		if err != nil {
			t.Fatal(err)
		}
		c := open(t, "", "", newClock())
		c.Apply(t.Context(), cfg)
		for i, m := range c.Overlay(cfg).Routes[0].AllMirrors() {
			want := 20.0
			if m.Backend != "v2" {
				want = *cfg.Routes[0].AllMirrors()[i].Percent
			}
			if m.Percent == nil || *m.Percent != want {
				t.Errorf("%s: %s gets %v, want %g", mirror, m.Backend, m.Percent, want)
			}
		}
		answer := outcome.Outcome{Backend: "v2", Upstream: true, Status: 200, FirstByte: 1}
		for _, route := range []string{config.DarkName("users"), config.DarkName("users"), config.DarkName("others"), "others"} {
			answer.Route = route
			c.Observe(answer)
		}
		answer.Route, answer.Backend = "users", "v1"
		c.Observe(answer)
		look(t, c)
		if s := c.one(t); !s.Dark || s.Canary.Requests != 2 || s.Stable.Requests != 1 {
			t.Errorf("%s: %+v", mirror, s)
		}
	}
}
