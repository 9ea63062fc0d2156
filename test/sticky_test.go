package test

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatewright/gatewright/internal/demo"
)

const sticky = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
  copies: {endpoints: ["{{.copies}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
  apiKey:
    legacy: {from: {query: api_key}, forward: {owner: X-Owner}}
limits:
  plenty: {key: [user, clientIP], tokenBucket: {capacity: 1000000, refill: 1000000/s}}
routes:
  - name: by-user
    match: {path: /user/**}
    auth: {anyOf: [{jwt: main}], allowAnonymous: true}
    limits: [plenty]
    to: [{backend: v1, weight: 95}, {backend: v2, weight: 5, request: {set: {X-Side: new}}}]
    pin: {cookie: canary, values: {always: v2, never: v1}}
    sticky: [user, "cookie:session"]
  - name: by-header
    match: {path: /header/**}
    auth: public
    to: [{backend: v1, weight: 95}, {backend: v2, weight: 5}]
    sticky: ["header:X-Device", "cookie:session"]
  - name: by-claim
    match: {path: /claim/**, headers: {Authorization: {prefix: Bearer}}, query: {full: {present: true}}}
    auth: {anyOf: [{jwt: main}]}
    to: [{backend: v1, weight: 100, response: {set: {X-Side: old}}}, {backend: v2, weight: 0, response: {set: {X-Side: new}}}]
    pin: {claim: group, values: {testers: v2}}
    rewrite: {path: /rewritten/**}
    mirror: {backend: copies}
    request: {set: {X-Via: gateway}}
  - {name: not-by-claim, match: {path: /claim/**}, auth: public, respond: {status: 418}}
  - {name: by-key, match: {path: /key/**, query: {api_key: {present: true}}}, auth: {anyOf: [{apiKey: legacy}]}, to: [{backend: v1}]}
  - {name: answers, match: {path: /key/answer, query: {api_key: {present: true}}}, auth: {anyOf: [{apiKey: legacy}]}, respond: {status: 203}}
  - {name: no-key, match: {path: /key/**}, auth: public, to: [{backend: v2}]}
`

// stickyGateway is a gateway of that config, and what stands behind it.
type stickyGateway struct {
	*gateway
	idp            *demo.IDP
	v1, v2, copies service
}

func startSticky(t *testing.T, more string) stickyGateway {
	t.Helper()
	s := stickyGateway{idp: idp(t), v1: backend(t, "v1"), v2: backend(t, "v2"), copies: backend(t, "copies")}
	s.gateway = start(t, setup{config: sticky + more, values: map[string]string{
		"v1": s.v1.Addr(), "v2": s.v2.Addr(), "copies": s.copies.Addr(), "issuer": s.idp.Issuer(),
	}})
	return s
}

// sides asks for each caller once, eight at a time, and returns who came to v2.
func (g stickyGateway) sides(t *testing.T, url string, callers []header) map[string]bool {
	t.Helper()
	newSide := make([]bool, len(callers))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(callers)); i = next.Add(1) - 1 {
				r, err := try(http.MethodGet, url, callers[i])
				if err != nil || r.Status != http.StatusOK {
					t.Errorf("status %d, error %v: %s", r.Status, err, r.Body)
					return
				}
				newSide[i] = strings.Contains(r.Body, `"backend":"v2"`)
			}
		})
	}
	wg.Wait()
	out := map[string]bool{}
	for i, yes := range newSide {
		if yes {
			out[callers[i].value] = true
		}
	}
	return out
}

// share holds a count to a share, within four and a half standard deviations of
// the binomial distribution: a chance of 1 in 150 000 to be wrong.
func share(t *testing.T, what string, got, n int, want float64) {
	t.Helper()
	if sigma := math.Sqrt(float64(n) * want * (1 - want)); math.Abs(float64(got)-float64(n)*want) > 4.5*sigma {
		t.Errorf("%s: %d of %d on the new side, want %.0f ± %.0f", what, got, n, float64(n)*want, 4.5*sigma)
	}
}

func missing(from, of map[string]bool) (n int) {
	for caller := range of {
		if !from[caller] {
			n++
		}
	}
	return n
}

// TestStickyCallersMoveAsWeightsDo, and no others: where Check decides, by who the
// caller is, and where Envoy does, by a header, with no call at all.
func TestStickyCallersMoveAsWeightsDo(t *testing.T) {
	t.Parallel()
	g := startSticky(t, "")
	users, devices := make([]header, 800), make([]header, 1600)
	for i := range users {
		users[i] = bearer(token(t, g.idp, fmt.Sprintf("sub=user-%d", i)))
	}
	for i := range devices {
		devices[i] = header{"X-Device", fmt.Sprintf("device-%d", i)}
	}
	type by struct {
		path    string
		callers []header
		before  map[string]bool
	}
	kinds := []*by{{path: "/user/1", callers: users}, {path: "/header/1", callers: devices}}
	for step, weights := range [][2]int{{95, 5}, {75, 25}, {3, 1}, {0, 100}, {95, 5}} {
		if step > 0 {
			next := strings.ReplaceAll(sticky, "{backend: v1, weight: 95}, {backend: v2, weight: 5",
				fmt.Sprintf("{backend: v1, weight: %d}, {backend: v2, weight: %d", weights[0], weights[1]))
			// 75 to 25 and 3 to 1 are one and the same to Envoy, and no change.
			g.write(strings.ReplaceAll(next, "X-Via: gateway", fmt.Sprintf("X-Via: gateway-%d", step)))
			g.applied(step)
		}
		for _, k := range kinds {
			now := g.sides(t, g.url("public", k.path), k.callers)
			if again := g.sides(t, g.url("filtered", k.path), k.callers); missing(now, again)+missing(again, now) > 0 {
				t.Errorf("%s, %v: %d callers changed sides from one request to the next", k.path, weights, missing(now, again)+missing(again, now))
			}
			share(t, k.path, len(now), len(k.callers), float64(weights[1])/float64(weights[0]+weights[1]))
			switch step {
			case 1, 3: // the canary grows: nobody is taken back
				if n := missing(now, k.before); n > 0 {
					t.Errorf("%s, %v: %d callers were taken back", k.path, weights, n)
				}
			case 2: // the same share, said otherwise
				if n := missing(now, k.before) + missing(k.before, now); n > 0 {
					t.Errorf("%s, %v: %d callers moved", k.path, weights, n)
				}
			case 4: // it shrinks: nobody comes to it
				if n := missing(k.before, now); n > 0 {
					t.Errorf("%s, %v: %d callers came", k.path, weights, n)
				}
			}
			k.before = now
		}
	}
	verdicts := regexp.MustCompile(`(?m)^gatewright_verdicts_total\{.*route="(by-header|by-user)"`).FindAllStringSubmatch(g.metrics(), -1)
	if len(verdicts) == 0 || slices.ContainsFunc(verdicts, func(m []string) bool { return m[1] == "by-header" }) {
		t.Error("Check was asked for a route whose callers are kept by a header")
	}
}

// TestStickyTakesTheFirstPartThatIsThere: who is known is kept by that, whatever
// cookie there is, and nobody by the cookie; without either chance decides.
func TestStickyTakesTheFirstPartThatIsThere(t *testing.T) {
	t.Parallel()
	g := startSticky(t, "")
	ask := func(path string, headers ...header) string {
		return get(t, g.url("public", path), headers...).ok(t).echo(t).Backend
	}
	alice := bearer(token(t, g.idp, "sub=alice"))
	aliceSide := ask("/user/1", alice)
	var sessions []header
	for i := range 200 {
		cookie := header{"Cookie", fmt.Sprintf("a=b; session=s%d; c=d", i)}
		sessions = append(sessions, cookie)
		if side := ask("/user/1", alice, cookie); side != aliceSide {
			t.Fatalf("with %v alice comes to %s, else to %s", cookie, side, aliceSide)
		}
	}
	// By one cookie a caller is on one side, whoever decides.
	byCheck, byEnvoy := g.sides(t, g.url("public", "/user/1"), sessions), g.sides(t, g.url("public", "/header/1"), sessions)
	if len(byCheck) == 0 || missing(byCheck, byEnvoy)+missing(byEnvoy, byCheck) > 0 {
		t.Errorf("by Check %v, by Envoy %v", byCheck, byEnvoy)
	}
	for _, path := range []string{"/user/1", "/header/1"} {
		count := 0
		for range 400 {
			if ask(path) == "v2" {
				count++
			}
		}
		share(t, path+" by chance", count, 400, 0.05)
	}
}

// TestPins: by a cookie, which goes before sticky, and by a claim, which only Check
// knows. All that the route says holds on the way that Check has chosen, too, and
// what it has taken out of the request leads nowhere else.
func TestPins(t *testing.T) {
	t.Parallel()
	for form, more := range map[string]string{"table": "", "scoped": manyRoutes(100, 10)} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			g := startSticky(t, more)
			for _, host := range []string{"gw", "API.Example.com"} { // one that no route names
				host := header{"Host", host}
				for i := range 20 {
					user := bearer(token(t, g.idp, fmt.Sprintf("sub=user-%d", i)))
					for cookie, want := range map[string]string{"canary=always": "v2", `x=y; canary="never"`: "v1", "canary=always; z=1": "v2"} {
						if e := get(t, g.url("public", "/user/1"), host, user, header{"Cookie", cookie}).ok(t).echo(t); e.Backend != want {
							t.Errorf("%s: %s, want %s", cookie, e.Backend, want)
						}
					}
				}
				for claim, want := range map[string]string{"testers": "v2", "others": "v1"} {
					r := get(t, g.url("public", "/claim/x?full=1"), host, bearer(token(t, g.idp, "sub=alice", "group="+claim))).ok(t)
					side := map[string]string{"v1": "old", "v2": "new"}[want]
					if e := r.echo(t); e.Backend != want || e.Path != "/rewritten/x" || e.header("X-Via") != "gateway" || e.header("X-User-ID") != "alice" ||
						e.header("Authorization") != "" || r.Header.Get("X-Side") != side {
						t.Errorf("%s: %+v, X-Side %q", claim, e, r.Header.Get("X-Side"))
					}
				}
			}
			eventually(t, "the copies have come", func() error {
				if n := g.copies.Requests(); n != 4 {
					return fmt.Errorf("%d copies, want 4", n)
				}
				return nil
			})
			for _, s := range []service{g.v1, g.v2, g.copies} {
				for name := range *s.last.Load() {
					if strings.HasPrefix(strings.ToLower(name), "x-gatewright-") {
						t.Errorf("a backend sees %s", name)
					}
				}
			}
		})
	}
}

// TestQueryIsNoWayToAnotherRoute: where Check may have Envoy look for a route once
// more, a request without the key that Check has taken out of its query still goes
// where it was judged for.
func TestQueryIsNoWayToAnotherRoute(t *testing.T) {
	t.Parallel()
	g := startSticky(t, "")
	key := g.createKey("--owner", "acme")
	e := get(t, g.url("public", "/key/1?a=b&api_key="+key.Key)).ok(t).echo(t)
	if e.Backend != "v1" || e.header("X-Owner") != "acme" || strings.Contains(e.Query, "api_key") {
		t.Errorf("the request with a key came as %+v", e)
	}
	if e := get(t, g.url("public", "/key/1?a=b"), header{"X-Owner", "acme"}).ok(t).echo(t); e.Backend != "v2" || e.header("X-Owner") != "" {
		t.Errorf("the request without a key came as %+v", e)
	}
	if r := get(t, g.url("public", "/key/answer?api_key="+key.Key)); r.Status != http.StatusNonAuthoritativeInfo {
		t.Errorf("status %d, want the route's own 203", r.Status)
	}
}

// TestForgedWayIsNone: the header by which Check tells Envoy of a backend is nobody
// else's.
func TestForgedWayIsNone(t *testing.T) {
	t.Parallel()
	g := startSticky(t, "")
	alice := bearer(token(t, g.idp, "sub=alice", "group=others"))
	for _, listener := range []string{"public", "filtered"} {
		for _, name := range []string{"X-Gatewright-To", "x-gatewright-to", "X-GATEWRIGHT-TO"} {
			for _, value := range []string{"by-claim/v2", "by-claim/v1", "by-user/v2", "by-key/v1", "by-claim/"} {
				forged := header{name, value}
				if e := get(t, g.url(listener, "/claim/x?full=1"), alice, forged).ok(t).echo(t); e.Backend != "v1" || e.header("X-Gatewright-To") != "" {
					t.Errorf("%v: %+v", forged, e)
				}
				if r := get(t, g.url(listener, "/claim/x"), forged); r.Status != http.StatusTeapot {
					t.Errorf("%v leads from a public route to another: status %d", forged, r.Status)
				}
				get(t, g.url(listener, "/claim/x?full=1"), bearer("x"), forged).denied(t, 401, "token-malformed")
				if r := get(t, g.url(listener, "/nowhere"), forged); r.Status != http.StatusNotFound {
					t.Errorf("%v leads to a route: status %d", forged, r.Status)
				}
			}
		}
	}
	for _, smuggled := range []string{"Connection: x-gatewright-to\r\nX-Gatewright-To: by-claim/v2", "X-Gatewright-To : by-claim/v2", "X_Gatewright_To: by-claim/v2"} {
		r := g.raw("public", "GET /claim/x?full=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+alice.name+": "+alice.value+"\r\n"+smuggled+"\r\n\r\n")
		if r.Status == http.StatusOK && !strings.Contains(r.Body, `"backend":"v1"`) || !slices.Contains([]int{200, 400}, r.Status) {
			t.Errorf("%q: status %d: %s", smuggled, r.Status, r.Body)
		}
	}
}

// TestCanaryDocument: the page's example does what the page says of it.
func TestCanaryDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/canaries.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if example == nil {
		t.Fatal("docs/canaries.md shows nothing")
	}
	p, v1, v2 := idp(t), backend(t, "v1"), backend(t, "v2")
	g := start(t, setup{config: `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {users-v1: {endpoints: ["{{.v1}}"]}, users-v2: {endpoints: ["{{.v2}}"]}}
auth:
` + jwtMain + string(example[1]), values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr(), "issuer": p.Issuer()}})
	url, alice := g.url("public", "/users/1"), bearer(token(t, p, "sub=alice"))
	if e := get(t, url, alice, header{"Cookie", "canary=always"}).ok(t).echo(t); e.Backend != "v2" || e.header("X-Side") != "new" {
		t.Errorf("always: %+v", e)
	}
	if e := get(t, url, alice, header{"Cookie", "canary=never"}).ok(t).echo(t); e.Backend != "v1" || e.header("X-Side") != "" {
		t.Errorf("never: %+v", e)
	}
	first := get(t, url, alice).ok(t).echo(t).Backend
	for i := range 20 {
		if side := get(t, url, alice, header{"Cookie", fmt.Sprintf("session=%d", i)}).ok(t).echo(t).Backend; side != first {
			t.Errorf("alice came to %s, and then to %s", first, side)
		}
	}
}
