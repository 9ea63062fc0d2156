package test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const adaptive = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  narrow:
    endpoints: ["{{.narrow}}"]
    {{.how}}
  wide: {endpoints: ["{{.wide}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - {name: narrow, match: {path: /narrow}, auth: public, to: [{backend: narrow}]}
  - {name: wide, match: {path: /wide}, auth: public, to: [{backend: wide}]}
  - {name: split, match: {path: /split}, auth: public, to: [{backend: wide, weight: 1}, {backend: narrow, weight: 1}]}
  - {name: keyed, match: {path: /keyed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: narrow}]}
`

// crowded is a backend that takes alone 40 ms, and longer the more it has to do at once,
// beyond four: by the square of that.
type crowded struct {
	mu       sync.Mutex // guards the rest
	asked    int
	at, most int
	measured int // how many were at it at most while Envoy measured how long it takes alone
}

const (
	// crowdedTakes is how long a crowded backend takes for one of four requests, and
	// crowdedMost for one of however many.
	crowdedTakes, crowdedMost = 40 * time.Millisecond, 400 * time.Millisecond
	// measureRequests are those by which Envoy measures that.
	measureRequests = 20
)

func (c *crowded) ServeHTTP(http.ResponseWriter, *http.Request) {
	c.mu.Lock()
	c.asked++
	c.at++
	c.most = max(c.most, c.at)
	if c.asked <= measureRequests {
		c.measured = c.most
	}
	load := max(float64(c.at)/4, 1)
	c.mu.Unlock()
	time.Sleep(min(time.Duration(load*load*float64(crowdedTakes)), crowdedMost))
	c.mu.Lock()
	c.at--
	c.mu.Unlock()
}

// mostAdmitted is how many requests Envoy lets through to a crowded backend at once, at
// most, where it has measured that one takes so long when there are few.
//
// From one moment to the next its gradient controller makes of a bound L
//
//	L·g + √(L·g), where g = 1.25·measured / (how long requests take now), between ½ and 2
//
// and requests take crowdedTakes·(L/4)². So L·g is 20·k/L, where k is how many times longer
// than crowdedTakes was measured, and 2·L at most; both are the same for L = √(10·k), and
// there the next bound is at its highest. Whatever makes requests slower makes it lower, and
// a busy machine makes the measured time longer, which is in k. For one moment in which
// requests were taken for fewer than they were, it is doubled once more.
func mostAdmitted(measured time.Duration) int {
	k := float64(measured) / float64(crowdedTakes)
	highest := 2 * math.Sqrt(10*k)
	highest += math.Sqrt(highest)
	return int(math.Ceil(2*highest + math.Sqrt(2*highest)))
}

// adaptiveGateway is a gateway of that config and its two backends. more is more of its
// routes.
func adaptiveGateway(t *testing.T, how, more string) (g *gateway, narrow, wide *crowded) {
	t.Helper()
	narrow, wide = &crowded{}, &crowded{}
	values := map[string]string{"how": how}
	for name, h := range map[string]http.Handler{"narrow": narrow, "wide": wide} {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		values[name] = strings.TrimPrefix(s.URL, "http://")
	}
	temporary := testenv.ShortDir(t)
	g = start(t, setup{config: adaptive + more, values: values, env: []string{"TMPDIR=" + temporary}})
	g.values["temporary"] = temporary
	return g, narrow, wide
}

// envoyGauge is a number that the gateway's Envoy tells by its admin socket, which is in
// its folder for temporary files.
func (g *gateway) envoyGauge(pattern string) int {
	g.t.Helper()
	socket, err := adminSocket(g.values["temporary"])
	if err != nil {
		g.t.Fatal(err)
	}
	return envoyGauge(g.t, socket, pattern)
}

// envoyGauge is a number that an Envoy tells by its admin socket.
func envoyGauge(t testing.TB, socket, pattern string) int {
	t.Helper()
	resp, err := adminClient(socket).Get("http://envoy/stats?filter=" + pattern)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m): (\d+)$`).FindAllSubmatch(text, -1)
	if len(m) != 1 {
		t.Fatalf("Envoy tells of %s: %s", pattern, text)
	}
	n, _ := strconv.Atoi(string(m[0][1])) // digits
	return n
}

// crowdClients are so many that all that Envoy lets through are always there.
const crowdClients = 64

// crowd asks by many clients at once, and returns how many requests were refused.
func crowd(t *testing.T, url string, each int, headers ...header) (refused int64) {
	t.Helper()
	var group sync.WaitGroup
	var n atomic.Int64
	for range crowdClients {
		group.Go(func() {
			for range each {
				r, err := try(http.MethodGet, url, headers...)
				switch {
				case err != nil:
					t.Error(err)
				case r.Status != http.StatusOK:
					r.denied(t, 503, "backend-overloaded")
					n.Add(1)
					time.Sleep(50 * time.Millisecond) // a client that is told so does not ask again at once
				}
			}
		})
	}
	group.Wait()
	return n.Load()
}

const adaptiveHow = "adaptiveConcurrency: {min: 2, max: 50, interval: 300ms, measureRequests: 20, measureEvery: 600s}"

// TestAdaptiveConcurrency: a backend that becomes slower under load has as many requests at
// once as it serves well, on each way that leads to it: no more than min while that is
// measured, and then no more than follows from what was measured. The others are told so at
// once, and another backend has no such bound. Taking it away takes it away.
func TestAdaptiveConcurrency(t *testing.T) {
	t.Parallel()
	g, narrow, _ := adaptiveGateway(t, adaptiveHow, "")
	// What is denied before is none of the backend's, and no time of its.
	if err := all(g, "/keyed", 30, http.StatusUnauthorized); err != nil {
		t.Error(err)
	}
	if refused := crowd(t, g.url("public", "/narrow"), 20); refused == 0 {
		t.Error("no request was refused")
	}
	if narrow.measured > 2 {
		t.Errorf("%d requests at once were at the backend while it was measured, want 2 at most", narrow.measured)
	}
	if refused := crowd(t, g.url("public", "/split"), 12); refused == 0 {
		t.Error("no request was refused of the side that is narrow")
	}
	measured := time.Duration(g.envoyGauge("adaptive_concurrency.*min_rtt_msecs")) * time.Millisecond
	if bound := min(mostAdmitted(measured), 50); narrow.most > bound {
		t.Errorf("%d requests at once were at the backend, want %d at most, as it was measured to take %v", narrow.most, bound, measured)
	}
	t.Logf("%d requests at once were at the backend of %d clients; alone it was measured to take %v", narrow.most, crowdClients, measured)
	if refused := crowd(t, g.url("public", "/wide"), 5); refused != 0 {
		t.Errorf("%d requests to another backend were refused", refused)
	}
	g.values["how"] = ""
	g.write(adaptive)
	eventually(t, "the bound is gone", func() error {
		if refused := crowd(t, g.url("public", "/narrow"), 2) + crowd(t, g.url("public", "/split"), 2); refused > 0 {
			return fmt.Errorf("%d were refused", refused)
		}
		return nil
	})
}

// TestAdaptiveConcurrencyOfALargeConfig: the bound holds for every spelling of a host, also
// where it comes to a gateway that has served its many routes host by host.
func TestAdaptiveConcurrencyOfALargeConfig(t *testing.T) {
	t.Parallel()
	many := strings.ReplaceAll(manyRoutes(100, 10), "fill.org", "example.com")
	many += "  - {name: exact, match: {hosts: [api.example.com], path: /exact}, auth: public, to: [{backend: narrow}]}\n"
	many += "  - {name: suffix, match: {hosts: ['*.wild.example'], path: /suffix}, auth: public, to: [{backend: narrow}]}\n"
	g, narrow, _ := adaptiveGateway(t, "", many)
	g.values["how"] = adaptiveHow
	g.write(adaptive + many)
	g.applied(1)
	eventually(t, "it is bound", func() error {
		if crowd(t, g.url("public", "/narrow"), 2) == 0 {
			return fmt.Errorf("no request was refused")
		}
		return nil
	})
	for _, way := range [][2]string{
		{"/exact", "api.example.com"}, {"/exact", "API.Example.com"}, {"/suffix", "a.wild.example"}, {"/suffix", "A.Wild.Example"},
		{"/narrow", "nobody.example"}, {"/narrow", "h1.example.com"}, {"/narrow", "H1.Example.com"},
	} {
		narrow.mu.Lock()
		narrow.most = narrow.at
		narrow.mu.Unlock()
		if refused := crowd(t, g.url("public", way[0]), 2, header{"Host", way[1]}); refused == 0 || narrow.most > 50 {
			t.Errorf("%s of %s: %d requests were refused, and %d at the backend at once", way[0], way[1], refused, narrow.most)
		}
	}
}
