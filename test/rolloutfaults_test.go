package test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestASlowCanaryIsTakenBack, which fails nobody: by the config's bound on its p99, and,
// where there is none, for being slower than the others are.
func TestASlowCanaryIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		abortWhen, says string
		late            uint64 // of a thousand requests
	}{
		"than the bound":      {"{p99: 300ms, minRequests: 20, tolerance: {latency: 100}}", "took longer than 300ms, and at most 1 % may", 100},
		"than the other side": {"{minRequests: 20}", "1.2 times the p99 of the stable side", 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v1, v2 := startSide(t), startSide(t)
			v2.late.Store(c.late)
			config := strings.Replace(rollingOut, "{errorRate: 0.02, p99: 5s, minRequests: 20}", c.abortWhen, 1)
			g := start(t, setup{config: config, values: map[string]string{"v1": v1.addr, "v2": v2.addr, "steps": "[20, 100]", "every": "1m"}})
			steadily(t, 200, g.url("public", "/users/1"))
			s := g.reaches("aborted", 0)
			t.Logf("taken back after %s: %s", s.Decisions[1].At.Sub(s.Decisions[0].At), s.Why)
			if !strings.Contains(s.Why, c.says) || strings.Contains(s.Why, "it failed") || s.Decisions[1].Kind != "taken-back" || s.Decisions[1].From != 20 {
				t.Errorf("%+v", s)
			}
			if s.Decisions[1].At.Sub(s.Decisions[0].At) > 30*time.Second {
				t.Error("it took longer than 30 s")
			}
		})
	}
}

// TestACanaryGoesBackStepByStep, where its config says so: each step lasts, and Envoy
// serves it.
func TestACanaryGoesBackStepByStep(t *testing.T) {
	t.Parallel()
	const backEvery = 3 * time.Second
	v1, v2 := startSide(t), startSide(t)
	config := strings.Replace(rollingOut, "every: {{.every}}", "every: {{.every}}\n      backEvery: 3s", 1)
	g := start(t, setup{config: config, values: map[string]string{"v1": v1.addr, "v2": v2.addr, "steps": "[20, 60, 100]", "every": "3s"}})
	steadily(t, 200, g.url("public", "/users/1"))
	g.reaches("running", 60)
	v2.failing.Store(500)
	g.reaches("returning", 20)
	eventually(t, "some requests go to the canary still, and most do not", func() error {
		before1, before2 := v1.requests.Load(), v2.requests.Load()
		time.Sleep(300 * time.Millisecond)
		if stable, canary := v1.requests.Load()-before1, v2.requests.Load()-before2; canary == 0 || stable < 2*canary {
			return fmt.Errorf("%d do, and %d do not", canary, stable)
		}
		return nil
	})
	s := g.reaches("aborted", 0)
	last := s.Decisions[len(s.Decisions)-2:]
	if last[0].Kind != "taken-back" || last[0].From != 60 || last[1].Kind != "went-back" || last[1].From != 20 || last[1].At.Sub(last[0].At) < backEvery {
		t.Errorf("%+v", last)
	}
}

// twoInstances are two gateways of one rollout, on one Redis, with requests to both.
func twoInstances(t *testing.T, redis *testenv.Redis, steps string) (both []*gateway, v1, v2 *canarySide) {
	t.Helper()
	v1, v2 = startSide(t), startSide(t)
	var urls []string
	for range 2 {
		g := start(t, setup{config: rollingOut, values: map[string]string{"v1": v1.addr, "v2": v2.addr, "steps": steps, "every": "2s"},
			env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken, "GATEWRIGHT_REDIS_URL=" + redis.URL()}})
		both, urls = append(both, g), append(urls, g.url("public", "/users/1"))
	}
	steadily(t, 100, urls...)
	return both, v1, v2
}

// TestRolloutsInALongOutageOfRedis: no step is taken on while Redis is away, on no
// instance, though all is well for the time of several; when it is back, with nothing
// left in it or with all, the rollout goes on from where it was, to its end.
func TestRolloutsInALongOutageOfRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ lose, restore func(*testenv.Redis) }{
		"killed":  {func(r *testenv.Redis) { r.Kill() }, func(r *testenv.Redis) { r.Start() }},
		"stopped": {func(r *testenv.Redis) { r.Signal(syscall.SIGSTOP) }, func(r *testenv.Redis) { r.Signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := testenv.StartRedis(t)
			both, _, _ := twoInstances(t, redis, "[10, 30, 50, 100]")
			both[0].reaches("running", 30)
			fault.lose(redis)
			at := make([]rolloutState, 2)
			for i, g := range both {
				// What was decided as Redis went may still be heard of.
				eventually(t, "the instance knows that Redis is away", func() error {
					if !strings.Contains(g.stderr.String(), "the Redis of rollouts does not answer") {
						return errors.New("it does not")
					}
					return nil
				})
				var err error
				if at[i], err = g.rollout(); err != nil {
					t.Fatal(err)
				}
			}
			for lost := time.Now(); time.Since(lost) < 3*2*time.Second; time.Sleep(100 * time.Millisecond) {
				for i, g := range both {
					if s, err := g.rollout(); err != nil || s.Percent != at[i].Percent || s.Phase != "running" {
						t.Fatalf("without Redis instance %d went from %+v to %+v (%v)", i, at[i], s, err)
					}
				}
			}
			fault.restore(redis)
			for _, g := range both {
				s := g.reaches("done", 100)
				if len(s.Decisions) != 5 {
					t.Errorf("%d decisions: %+v", len(s.Decisions), s.Decisions)
				}
				for i, d := range s.Decisions[1:] {
					if d.To < s.Decisions[i].To || d.Kind == "taken-back" {
						t.Errorf("%s to %d %% after %d %%: %s", d.Kind, d.To, s.Decisions[i].To, d.Why)
					}
				}
			}
		})
	}
}

// TestACanaryFailsWhileRedisIsAway: each instance that sees it takes it back for itself, and
// when Redis is back it is taken back for all, and stays so, though it is well again and
// though Redis has kept that it was not; an operator can begin anew.
func TestACanaryFailsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	both, _, v2 := twoInstances(t, redis, "[30, 100]")
	both[0].reaches("running", 30)
	both[1].reaches("running", 30)
	redis.Signal(syscall.SIGSTOP)
	v2.failing.Store(400)
	for _, g := range both {
		g.reaches("aborted", 0)
	}
	// Envoy has it soon after.
	eventually(t, "no request goes to the canary", func() error {
		before := v2.requests.Load()
		time.Sleep(200 * time.Millisecond)
		if n := v2.requests.Load() - before; n > 0 {
			return fmt.Errorf("%d did", n)
		}
		return nil
	})
	v2.failing.Store(0)
	redis.Signal(syscall.SIGCONT)
	for _, g := range both {
		eventually(t, "Redis answers again", func() error {
			if !strings.Contains(g.stderr.String(), "the Redis of rollouts answers again") {
				return errors.New("it does not")
			}
			return nil
		})
	}
	for back := time.Now(); time.Since(back) < 2*time.Second; time.Sleep(100 * time.Millisecond) {
		for i, g := range both {
			if s, err := g.rollout(); err != nil || s.Phase != "aborted" || s.Percent != 0 {
				t.Fatalf("instance %d is at %+v (%v)", i, s, err)
			}
		}
	}
	both[1].run("rollout", "resume", "users")
	for _, g := range both {
		g.reaches("done", 100)
	}
}
