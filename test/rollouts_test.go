package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const rollingOut = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
routes:
  - name: users
    match: {path: /users/**}
    auth: public
    to: [{backend: v1, weight: 1}, {backend: v2, weight: 0}]
    rollout:
      backend: v2
      steps: {{.steps}}
      every: {{.every}}
      abortWhen: {errorRate: 0.02, p99: 5s, minRequests: 20}
`

const adminToken = "of the operators"

// canarySide is a backend that fails some of its requests, or answers none.
type canarySide struct {
	addr     string
	failing  atomic.Uint64 // how many of a thousand
	late     atomic.Uint64 // how many of a thousand take lateBy longer
	hanging  atomic.Bool
	requests atomic.Int64
}

// lateBy is long beside what a busy machine does to a request.
const lateBy = 400 * time.Millisecond

func startSide(t *testing.T) *canarySide {
	t.Helper()
	s := &canarySide{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if s.hanging.Load() {
			<-r.Context().Done()
		}
		if rand.Uint64N(1000) < s.late.Load() {
			time.Sleep(lateBy)
		}
		if rand.Uint64N(1000) < s.failing.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

// rolloutState is what `rollout list` says of one.
type rolloutState struct {
	Route, Phase, Why, Waits string
	Percent, Step            int
	Decisions                []struct {
		At       time.Time
		Kind     string
		From, To int
		Why      string
	}
}

func (g *gateway) rollouts() []rolloutState {
	g.t.Helper()
	var all []rolloutState
	if err := json.Unmarshal(g.run("rollout", "list", "-o", "json"), &all); err != nil {
		g.t.Fatal(err)
	}
	return all
}

// rollout is the one rollout, by the admin API.
func (g *gateway) rollout() (rolloutState, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+g.admin+"/api/v1/rollouts/users", nil)
	if err != nil {
		return rolloutState{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return rolloutState{}, err
	}
	defer resp.Body.Close()
	var s rolloutState
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// reaches waits for a phase and a share.
func (g *gateway) reaches(phase string, percent int) rolloutState {
	g.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		s, err := g.rollout()
		if err == nil && s.Phase == phase && s.Percent == percent {
			return s
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("waited in vain until the rollout is %s at %d %%: it is %+v, %v", phase, percent, s, err)
		}
	}
}

// steadily sends requests at a rate, until the test or stop ends it.
func steadily(t *testing.T, rate int, urls ...string) (stop func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 20 * time.Second}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		start, sent := time.Now(), 0
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			for due := int(time.Since(start).Seconds() * float64(rate)); sent < due; sent++ {
				url := urls[sent%len(urls)]
				wg.Go(func() {
					if resp, err := client.Get(url); err == nil { // whatever it says: the rollout judges
						resp.Body.Close()
					}
				})
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(ended)
		wg.Wait()
		client.CloseIdleConnections()
	})
	t.Cleanup(stop)
	return stop
}

func startRollout(t *testing.T, steps, every string, env ...string) (g *gateway, v1, v2 *canarySide) {
	t.Helper()
	v1, v2 = startSide(t), startSide(t)
	g = start(t, setup{config: rollingOut, values: map[string]string{"v1": v1.addr, "v2": v2.addr, "steps": steps, "every": every},
		env: append(env, "GATEWRIGHT_ADMIN_TOKEN="+adminToken)})
	return g, v1, v2
}

// manyAtOnce has the runs of a rollout go on beside each other, as many as -parallel says,
// where there are several: each has its own gateway, Redis and requests.
func manyAtOnce(t *testing.T) {
	if rolloutRuns() > 1 {
		t.Parallel()
	}
}

// rolloutRuns is how often a rollout is run to its end: ROLLOUT_RUNS, else once.
func rolloutRuns() int {
	n, _ := strconv.Atoi(os.Getenv("ROLLOUT_RUNS"))
	return max(n, 1)
}

// TestARolloutOfAFailingCanaryIsTakenBack: 5 % of errors, at 200 requests a second of
// which it gets 5 %, within 30 s of its start; and it stays so.
func TestARolloutOfAFailingCanaryIsTakenBack(t *testing.T) {
	for run := range rolloutRuns() {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			manyAtOnce(t)
			redis := testenv.StartRedis(t)
			g, v1, v2 := startRollout(t, "[5, 25, 50, 100]", "1m", "GATEWRIGHT_REDIS_URL="+redis.URL())
			v2.failing.Store(50)
			stop := steadily(t, 200, g.url("public", "/users/1"))
			s := g.reaches("aborted", 0)
			took := s.Decisions[1].At.Sub(s.Decisions[0].At)
			t.Logf("taken back after %s: %s", took, s.Why)
			if took > 30*time.Second || s.Decisions[1].Kind != "taken-back" || s.Decisions[1].From != 5 {
				t.Errorf("after %s: %+v", took, s.Decisions)
			}
			if n := v1.requests.Load(); n < 100 {
				t.Errorf("the stable side had %d requests", n)
			}
			// Envoy has it soon after the decision.
			eventually(t, "no request goes to the canary", func() error {
				before, all := v2.requests.Load(), v1.requests.Load()
				time.Sleep(200 * time.Millisecond)
				if n := v2.requests.Load() - before; n > 0 || v1.requests.Load() == all {
					return fmt.Errorf("%d did", n)
				}
				return nil
			})
			stop()
			if out := string(g.run("rollout", "list")); !strings.Contains(out, "aborted") || !strings.Contains(out, "it failed ") {
				t.Errorf("rollout list says %s", out)
			}
			if out := string(g.run("status")); !strings.Contains(out, "aborted") {
				t.Errorf("status says %s", out)
			}
		})
	}
}

// TestARolloutOfAHealthyCanaryIsDone on schedule: each step when its time is over.
func TestARolloutOfAHealthyCanaryIsDone(t *testing.T) {
	for run := range rolloutRuns() {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			manyAtOnce(t)
			redis := testenv.StartRedis(t)
			g, v1, v2 := startRollout(t, "[10, 50, 100]", "3s", "GATEWRIGHT_REDIS_URL="+redis.URL())
			v1.failing.Store(2)
			v2.failing.Store(2)
			steadily(t, 200, g.url("public", "/users/1"))
			s := g.reaches("done", 100)
			for i, d := range s.Decisions {
				t.Logf("%s %s: %d to %d %%: %s", d.At.Sub(s.Decisions[0].At), d.Kind, d.From, d.To, d.Why)
				if i == 0 {
					continue
				}
				// A step ends by the first look after its time, and goes on looking
				// where the machine is too busy to send or to look.
				if took := d.At.Sub(s.Decisions[i-1].At); took < 3*time.Second || took > 20*time.Second {
					t.Errorf("a step took %s", took)
				}
			}
			if len(s.Decisions) != 4 {
				t.Errorf("%d decisions", len(s.Decisions))
			}
			before := v1.requests.Load()
			eventually(t, "all requests go to the canary", func() error {
				before = v1.requests.Load()
				all := v2.requests.Load()
				time.Sleep(200 * time.Millisecond)
				if n := v1.requests.Load() - before; n > 0 || v2.requests.Load() == all {
					return fmt.Errorf("%d went to the other", n)
				}
				return nil
			})
		})
	}
}

// TestRolloutDocument: the page's example goes through its steps by the page's commands.
func TestRolloutDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/rollouts.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if len(examples) != 2 || commands == nil {
		t.Fatalf("docs/rollouts.md shows %d examples", len(examples))
	}
	example := examples[0]
	v1, v2 := backend(t, "v1"), backend(t, "v2")
	const around = `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {users-v1: {endpoints: ["{{.v1}}"]}, users-v2: {endpoints: ["{{.v2}}"]}}
`
	g := start(t, setup{config: around + string(example[1]), values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr()}, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken}})
	says := map[string]string{"list": "users-v2  5 %", "pause": "is paused: users-v2 gets 5 %", "resume": "is running: users-v2 gets 5 %", "promote": "is done: users-v2 gets 100 %", "abort": "is aborted: users-v2 gets 0 %"}
	ran := 0
	for line := range strings.Lines(string(commands[1])) {
		args := strings.Fields(strings.ReplaceAll(line, `"ticket 4711"`, "ticket-4711"))[1:]
		if args[1] == "list" {
			g.rolloutBegun("get-users")
		}
		if out := string(g.run(args...)); !strings.Contains(out, says[args[1]]) {
			t.Errorf("%s says %q, want %q in it", strings.TrimSpace(line), out, says[args[1]])
		}
		ran++
	}
	if ran != len(says) {
		t.Errorf("%d commands were run", ran)
	}
	g.write(around + string(examples[1][1]))
	eventually(t, "the dark canary gets copies", func() error {
		out := string(g.run("rollout", "list"))
		if !strings.Contains(out, "users-v2  1 % as copies") {
			return errors.New(out)
		}
		return nil
	})
	g.write(around + string(example[1]))
	if out := string(g.run("explain", g.file, "--url", "http://a/api/v1/users/1")); !strings.Contains(out, "to users-v2 (what its rollout gives it)") || !strings.Contains(out, "users-v2 gets 5, 25, 50, 100 %, each for 5m, while it stands") {
		t.Errorf("explain says %s", out)
	}
}

// rolloutBegun waits until a rollout has begun.
func (g *gateway) rolloutBegun(route string) {
	g.t.Helper()
	eventually(g.t, "the rollout has begun", func() error {
		for _, s := range g.rollouts() {
			if s.Route == route && s.Phase == "running" {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// sides sends requests and says how many went to the canary.
func (g *gateway) toCanary(v1, v2 *canarySide, n int64) (canary int64) {
	g.t.Helper()
	before1, before2 := v1.requests.Load(), v2.requests.Load()
	hammer(g.t.(*testing.T), n, func() (reply, error) { return try(http.MethodGet, g.url("public", "/users/1")) })
	canary = v2.requests.Load() - before2
	if all := canary + v1.requests.Load() - before1; all < n {
		g.t.Errorf("%d of %d requests came to a backend", all, n)
	}
	return canary
}

// TestOperatorsOfARollout: what they say is served by Envoy, in the words of the page,
// and what they may not is refused.
func TestOperatorsOfARollout(t *testing.T) {
	t.Parallel()
	g, v1, v2 := startRollout(t, "[50, 100]", "1h")
	g.rolloutBegun("users")
	serves := func(low, high int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("the canary gets %d to %d %%", low, high), func() error {
			if n := g.toCanary(v1, v2, 100); n < low || n > high {
				return fmt.Errorf("it gets %d", n)
			}
			return nil
		})
	}
	serves(20, 80)
	g.run("rollout", "abort", "users", "--why", "it smells")
	serves(0, 0)
	if why := g.rollouts()[0].Why; !strings.Contains(why, "it smells") || !strings.Contains(why, "admin API from") {
		t.Errorf("why: %s", why)
	}
	for args, want := range map[string]string{
		"pause users": "pause a rollout that is aborted (conflict)", "abort nobody": `no rollout of a route "nobody" (not-found)`,
	} {
		cmd := g.command(append([]string{"rollout"}, strings.Fields(args)...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("rollout %s: %v, %s", args, err, out)
		}
	}
	// A change of the config that is none of the rollout's forgives nothing.
	g.write(strings.Replace(rollingOut, "auth: public", "auth: public\n    timeout: 7s", 1))
	eventually(t, "the change is served", func() error {
		if out := string(g.run("render", g.file)); !strings.Contains(out, "7s") {
			return errors.New("not in render")
		}
		return nil
	})
	serves(0, 0)
	// A restart neither.
	g.stop()
	g.launch("run")
	g.waitReady()
	serves(0, 0)
	g.run("rollout", "resume", "users")
	serves(20, 80)
	g.run("rollout", "promote", "users")
	serves(100, 100)
	if m := g.metrics(); !strings.Contains(m, `gatewright_rollout_percent{backend="v2",route="users"} 100`) || !strings.Contains(m, `gatewright_rollout_phase{backend="v2",phase="done",route="users"} 1`) {
		t.Error("the metrics do not say so")
	}
	// Without a rollout the file's weights count.
	text := rollingOut[:strings.Index(rollingOut, "    rollout:")]
	g.write(text)
	serves(0, 0)
	if all := g.rollouts(); len(all) != 0 {
		t.Errorf("a rollout that is gone is listed: %+v", all)
	}
}

// TestARolloutSurvives that the instance which decides is killed in its middle, that
// Redis is restarted with nothing, and goes on, with the same weights on both.
func TestARolloutSurvives(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	v1, v2 := startSide(t), startSide(t)
	one := func() *gateway {
		return start(t, setup{config: rollingOut, values: map[string]string{"v1": v1.addr, "v2": v2.addr, "steps": "[20, 60, 100]", "every": "4s"},
			env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken, "GATEWRIGHT_REDIS_URL=" + redis.URL()}})
	}
	a, b := one(), one()
	steadily(t, 100, a.url("public", "/users/1"), b.url("public", "/users/1"))
	a.reaches("running", 60)
	a.kill() // it was first, and decided
	redis.Kill()
	redis.Start() // it has kept nothing
	s := b.reaches("done", 100)
	for i, d := range s.Decisions {
		t.Logf("%s: %d to %d %%: %s", d.Kind, d.From, d.To, d.Why)
		if i > 0 && d.To < s.Decisions[i-1].To {
			t.Error("it went back")
		}
	}
	if len(s.Decisions) != 4 {
		t.Errorf("%d decisions", len(s.Decisions))
	}
	a.launch("run")
	a.waitReady()
	if s := a.reaches("done", 100); len(s.Decisions) != 4 {
		t.Errorf("to the one that was restarted it is %+v", s)
	}
	before := v1.requests.Load()
	if n := a.toCanary(v1, v2, 100); n < 100 || v1.requests.Load() > before {
		t.Errorf("of 100 requests to the one that was restarted, %d went to the canary", n)
	}
}

const dark = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
routes:
  - name: users
    match: {path: /users/**}
    auth: public
    to: [{backend: v1}]
    mirror: {backend: v2}
    timeout: 2s
    rollout: {backend: v2, steps: [50, 100], every: 3s, abortWhen: {errorRate: 0.02, minRequests: 20}}
`

// TestADarkCanary gets copies of requests, more and more of them while it stands, and
// none when it does not: by errors, or by not answering at all. No client notices.
func TestADarkCanary(t *testing.T) {
	t.Parallel()
	v1, v2 := startSide(t), startSide(t)
	g := start(t, setup{config: dark, values: map[string]string{"v1": v1.addr, "v2": v2.addr}, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken}})
	steadily(t, 100, g.url("public", "/users/1"))
	s := g.reaches("done", 100)
	if len(s.Decisions) != 4-1 {
		t.Errorf("%d decisions: %+v", len(s.Decisions), s.Decisions)
	}
	for _, d := range s.Decisions[1:] {
		t.Logf("%d to %d %%: %s", d.From, d.To, d.Why)
		if !strings.Contains(d.Why, "v2 failed 0 of") {
			t.Errorf("%s", d.Why)
		}
	}
	if m := g.metrics(); strings.Contains(m, "gatewright-dark") || strings.Contains(m, `backend="v2",code=`) {
		t.Error("copies are counted as requests of clients")
	}

	v2.failing.Store(300)
	g.run("rollout", "abort", "users")
	g.run("rollout", "resume", "users")
	s = g.reaches("aborted", 0)
	if !strings.Contains(s.Why, "it failed ") {
		t.Errorf("why: %s", s.Why)
	}
	eventually(t, "no copy is sent", func() error {
		before := v2.requests.Load()
		time.Sleep(200 * time.Millisecond)
		if n := v2.requests.Load() - before; n > 0 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})

	v2.failing.Store(0)
	v2.hanging.Store(true)
	g.run("rollout", "resume", "users")
	s = g.reaches("aborted", 0)
	if !strings.Contains(s.Why, "it failed ") {
		t.Errorf("why: %s", s.Why)
	}
	hammer(t, 100, func() (reply, error) { return try(http.MethodGet, g.url("public", "/users/1")) })
}
