package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatewright/gatewright/internal/testenv"
)

const countedInEnvoy = `
listeners:
  - {name: public, address: "{{listen "public"}}", placement: {{.placement}}}
rateLimitHeaders: both
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `  apiKey:
    partners: {}
limits:
  per-user: {key: [user], tokenBucket: {capacity: {{.capacity}}, refill: {{.refill}}}, consistency: sync}
  per-tenant: {key: [tenant], tokenBucket: {capacity: 2, refill: 1/d}, consistency: sync}
  per-address: {key: [clientIP, route], tokenBucket: {capacity: {{.capacity}}, refill: {{.refill}}}, consistency: sync}
routes:
  - {name: user, match: {path: /user}, auth: {anyOf: [{jwt: main}, {apiKey: partners}]}, limits: [per-user], to: [{backend: app}]}
  - {name: too, match: {path: /too}, auth: {anyOf: [{jwt: main}]}, limits: [per-user], to: [{backend: app}]}
  - {name: tenant, match: {path: /tenant}, auth: {anyOf: [{jwt: main}]}, limits: [per-tenant], to: [{backend: app}]}
  - {name: open, match: {path: /open}, auth: public, limits: [per-address], to: [{backend: app}]}
`

// TestLimitsInEnvoy: a limit that runs inside Envoy counts as Gatewright's does, and
// answers in its words.
func TestLimitsInEnvoy(t *testing.T) {
	t.Parallel()
	answers, toldLimits := map[string]map[string]reply{}, map[string][]string{}
	for _, form := range []string{"auto", "module", "service"} {
		placement := strings.Replace(form, "module", "auto", 1)
		p, app := idp(t), backend(t, "app")
		g := start(t, setup{config: countedInEnvoy, module: form == "module", values: map[string]string{
			"issuer": p.Issuer(), "app": app.Addr(), "placement": placement, "capacity": "3", "refill": "1/d",
		}})
		alice, bob := bearer(token(t, p, "sub=alice")), bearer(token(t, p, "sub=bob"))
		if placement == "auto" {
			g.countsInEnvoy("user", bearer(token(t, p, "sub=someone")))
		}
		all := map[string]reply{}
		all["the first"] = get(t, g.url("public", "/user"), alice)
		all["on another route"] = get(t, g.url("public", "/too"), alice)
		all["with its own header"] = get(t, g.url("public", "/user"), alice, header{"X-Gatewright-Key-User", "bob"}, header{"X-Gatewright-Counted", "other"})
		all["one too many"] = get(t, g.url("public", "/user"), alice)
		all["one too many, asked about"] = get(t, g.url("public", "/user"), alice, header{"X-API-Key", "gw_none"})
		all["another"] = get(t, g.url("public", "/user"), bob)
		all["without a tenant"] = get(t, g.url("public", "/tenant"), alice)
		all["of a tenant"] = get(t, g.url("public", "/tenant"), bearer(token(t, p, "sub=alice", "tenant=acme")))
		all["nobody"] = get(t, g.url("public", "/user"))
		answers[form] = all
		toldLimits[form] = g.toldLimits()
		eventually(t, "the denials are logged and counted", func() error { return saysLimited(g) })
	}
	for _, form := range []string{"auto", "module"} {
		answersAlike(t, form, answers[form], answers["service"])
		if got, want := toldLimits[form], toldLimits["service"]; !slices.Equal(got, want) {
			t.Errorf("%s: of what passes the log says\n%q\nwant as by Gatewright\n%q", form, got, want)
		}
	}
	if got := answers["service"]["one too many"]; got.Status != http.StatusTooManyRequests {
		t.Errorf("by Gatewright one too many is a %d", got.Status)
	}
}

// answersAlike holds answers of limits inside Envoy against those of Gatewright.
func answersAlike(t *testing.T, form string, answers, wanted map[string]reply) {
	t.Helper()
	for what, want := range wanted {
		got := answers[what]
		if got.Status != want.Status || strings.HasPrefix(want.Header.Get("Content-Type"), "application/problem") && got.Body != want.Body {
			t.Errorf("%s: %s: %d %s\nwant as by Gatewright: %d %s", form, what, got.Status, got.Body, want.Status, want.Body)
		}
		for _, name := range limitHeaders {
			if g, w := got.Header.Values(name), want.Header.Values(name); !about(g, w) {
				t.Errorf("%s: %s: %s %q, want as by Gatewright %q", form, what, name, g, w)
			}
		}
		if strings.Contains(strings.ToLower(got.Body), "x-gatewright-") {
			t.Errorf("%s: %s: the backend sees %s", form, what, got.Body)
		}
	}
}

// toldLimits are what the log says of the limit of the requests that alice and bob had
// passed, in any order. How much is left is a number where Gatewright has counted, and a
// text where Envoy has.
func (g *gateway) toldLimits() (out []string) {
	g.t.Helper()
	eventually(g.t, "the requests that pass are logged", func() error {
		out = nil
		for _, line := range g.accessLog() {
			if line["status"] == 200.0 && (line["user"] == "alice" || line["user"] == "bob") {
				out = append(out, fmt.Sprintf("%v of %v: %v, %v left", line["path"], line["user"], line["limit"], line["remaining"]))
			}
		}
		if len(out) < 6 { // those that are asked for above and pass
			return fmt.Errorf("%d lines", len(out))
		}
		return nil
	})
	slices.Sort(out)
	return out
}

// saysLimited is what is missing of the two denials in the log and in the metrics.
func saysLimited(g *gateway) error {
	lines := 0
	for _, line := range g.accessLog() {
		if line["status"] == 429.0 && line["reason"] == "rate-limited" && line["limit"] == "per-user" && line["user"] == "alice" && fmt.Sprint(line["remaining"]) == "0" {
			lines++
		}
	}
	if lines != 2 {
		return fmt.Errorf("%d lines of 2: %v", lines, g.accessLog())
	}
	if !strings.Contains(g.verdicts(), `reason="rate-limited",route="user"`) {
		return fmt.Errorf("no verdict: %s", g.verdicts())
	}
	return nil
}

// about tells whether two answers give the same, but for a minute of a day that may have
// passed between them.
func about(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		var x, y int
		if _, err := fmt.Sscan(a[i], &x); err == nil && x > 1000 {
			if _, err := fmt.Sscan(b[i], &y); err != nil || x-y > 60 || y-x > 60 {
				return false
			}
		} else if a[i] != b[i] {
			return false
		}
	}
	return true
}

// countsInEnvoy waits until requests of a route are let pass inside Envoy, which no
// verdict is counted of.
func (g *gateway) countsInEnvoy(path string, who header) {
	g.t.Helper()
	eventually(g.t, "requests are let pass inside Envoy", func() error {
		before := g.verdicts()
		get(g.t, g.url("public", "/"+path), who)
		if after := g.verdicts(); after != before {
			return fmt.Errorf("a request was asked about:\n%s", after)
		}
		return nil
	})
}

// verdicts are the lines of the metrics that count verdicts.
func (g *gateway) verdicts() string {
	var out []string
	for line := range strings.Lines(g.metrics()) {
		if strings.HasPrefix(line, "gatewright_verdicts_total") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// TestLimitsInEnvoysBound: what Envoys that come and go admit together keeps to the bound
// of ratelimit/README.md: C + R·T, and at most C/N for each that comes or goes where there
// are N with it. It is so for callers by their tokens, and for clients by their addresses.
func TestLimitsInEnvoysBound(t *testing.T) {
	t.Parallel()
	const capacity, perSecond = 120, 20
	redis, p, app := testenv.StartRedis(t), idp(t), backend(t, "app")
	alice := bearer(token(t, p, "sub=alice"))
	paths := []string{"/user", "/open"}
	var admitted [2]atomic.Int64
	var denied atomic.Int64
	var senders sync.WaitGroup
	var begin time.Time
	add := func() (stop func()) {
		g := start(t, setup{config: countedInEnvoy, env: []string{"GATEWRIGHT_REDIS_URL=" + redis.URL()}, values: map[string]string{
			"issuer": p.Issuer(), "app": app.Addr(), "placement": "auto", "capacity": fmt.Sprint(capacity), "refill": fmt.Sprintf("%d/s", perSecond),
		}})
		g.countsInEnvoy("user", bearer(token(t, p, "sub=someone")))
		end := make(chan struct{})
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				switch r, err := try(http.MethodGet, g.url("public", paths[i%2]), alice); {
				case err != nil:
					t.Errorf("a request failed: %v", err)
					return
				case r.Status == http.StatusOK:
					admitted[i%2].Add(1)
				case r.Status == http.StatusTooManyRequests:
					denied.Add(1)
				default:
					t.Errorf("%d %s", r.Status, r.Body)
					return
				}
			}
		})
		return sync.OnceFunc(func() { close(end) })
	}
	begin = time.Now()
	one := add()
	eventually(t, "one Envoy admits no more", func() error { return more(&denied, 10) })
	two, three, four := add(), add(), add()
	eventually(t, "four Envoys admit no more", func() error { return more(&denied, 200) })
	two()
	three()
	four()
	one()
	senders.Wait()
	took := time.Since(begin)
	// One is there first; three more come. Each begins with a bucket of its own, of which
	// its share is what it can admit: with two, three and four of them. As long as those that
	// were there do not know of it, which is the whole time at most, its refill comes on top.
	const shares = 1/2. + 1/3. + 1/4.
	most := (capacity + perSecond*took.Seconds()) * (1 + shares)
	for i, path := range paths {
		t.Logf("%s: admitted %d in %v, at most %.0f", path, admitted[i].Load(), took, most)
		if n := float64(admitted[i].Load()); n > most || n < capacity {
			t.Errorf("%s: %v admitted in %v, want at least the capacity and at most %.0f", path, n, took, most)
		}
	}
}

func more(n *atomic.Int64, than int64) error {
	if got := n.Load(); got < than {
		return fmt.Errorf("%d", got)
	}
	return nil
}

// TestLimitsWithAnOlderBootstrap: an Envoy that cannot be told its share has its limits
// counted by Gatewright, from its first request on.
func TestLimitsWithAnOlderBootstrap(t *testing.T) {
	t.Parallel()
	p, app := idp(t), backend(t, "app")
	g := start(t, setup{serve: true, config: countedInEnvoy, values: map[string]string{
		"issuer": p.Issuer(), "app": app.Addr(), "placement": "auto", "capacity": "3", "refill": "1/d",
	}})
	olderEnvoy(t, g)
	someone, alice := bearer(token(t, p, "sub=someone")), bearer(token(t, p, "sub=alice"))
	eventually(t, "limits are counted by Gatewright", func() error {
		before := g.verdicts()
		r, err := try(http.MethodGet, g.url("public", "/too"), someone)
		switch {
		case err != nil:
			return err
		case r.Status == http.StatusInternalServerError: // of a filter that the Envoy has refused
			t.Fatalf("%d %s", r.Status, r.Body)
		case g.verdicts() == before:
			return fmt.Errorf("%d %s without a verdict", r.Status, r.Body)
		case r.Header.Get("RateLimit-Limit") != "3":
			return fmt.Errorf("%d, and RateLimit-Limit %q", r.Status, r.Header.Get("RateLimit-Limit"))
		}
		return nil
	})
	for range 3 {
		get(t, g.url("public", "/too"), alice).ok(t)
	}
	get(t, g.url("public", "/user"), alice).denied(t, http.StatusTooManyRequests, "rate-limited")
}

// olderEnvoy starts an Envoy with a bootstrap that knows nothing of other Envoys.
func olderEnvoy(t *testing.T, g *gateway) {
	t.Helper()
	var bootstrap map[string]any
	if err := yaml.Unmarshal(g.run("bootstrap", "--admin", "127.0.0.1:0"), &bootstrap); err != nil {
		t.Fatal(err)
	}
	delete(bootstrap, "cluster_manager")
	delete(bootstrap["node"].(map[string]any), "metadata")
	resources := bootstrap["static_resources"].(map[string]any)
	resources["clusters"] = slices.DeleteFunc(resources["clusters"].([]any), func(c any) bool {
		return c.(map[string]any)["name"] == "gatewright-envoys"
	})
	text, err := yaml.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: text, Stdout: g.stdout, Stderr: g.stderr})
}
