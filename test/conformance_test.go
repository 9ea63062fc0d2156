package test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// The tests of conformance_*_test.go say again what those of the Kubernetes
// Gateway API say of requests (conformance/tests of v1.6's HTTPRoute and
// GRPCRoute), in the language of this gateway: which routes there are, what is
// asked, and what must become of it. What a test there asks of statuses of
// Kubernetes objects has no counterpart here. docs/gateway-api.md says field by
// field how one language becomes the other.

// conformance is one of those tests: routes, and what is asked of them.
type conformance struct {
	// name is that of the test there, without its kind of route.
	name string
	// routes are lines of a config. Their hosts keep them apart from those of
	// the other tests: all are served by one gateway at once.
	routes string
	checks []check
}

// check is one request and what must become of it.
type check struct {
	// ask is METHOD HOST/PATH; without a method it is GET.
	ask string
	// with are header lines to send, apart by " | ".
	with string
	// want is the backend that answers 200 (v1), another status (404), or a
	// redirect (302 LOCATION).
	want string
	// seen are what the backend must see: path=PATH, host=HOST,
	// protocol=PROTOCOL, "Name: value" (several lines of a name joined by commas) or
	// "!Name" for none; and behind a ">" what the client must see of the answer.
	// Apart by " | ".
	seen string
}

// each are the checks that want the same of several requests.
func each(want string, asks ...string) []check {
	var out []check
	for _, ask := range asks {
		out = append(out, check{ask: ask, want: want})
	}
	return out
}

const conformanceHead = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
  v3: {endpoints: ["{{.v3}}"], connections: {retryBudget: {percent: 100, minConcurrent: 100}}} # all tests repeat at once
  h2c: {endpoints: ["{{.v1}}"], protocol: http2}
  sockets: {endpoints: ["{{.sockets}}"]}
  g1: {endpoints: ["{{.g1}}"], protocol: grpc}
  g2: {endpoints: ["{{.g2}}"], protocol: grpc}
  g3: {endpoints: ["{{.g3}}"], protocol: grpc}
routes:
`

// conformanceWorld is a gateway with the routes of all the tests, and what is
// behind it.
type conformanceWorld struct {
	*gateway
	backends map[string]*conformer
}

// TestConformance asks all there is to ask of a gateway that serves its routes in
// one table, and of one that has so many that it serves them host by host.
func TestConformance(t *testing.T) {
	t.Parallel()
	for form, filler := range map[string]string{"table": "", "scoped": manyRoutes(10, 100)} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			w := startConformance(t, filler)
			for name, run := range map[string]func(*testing.T){
				"requests": w.testRequests, "calls": w.testCalls, "attempts": w.testAttempts,
				"weights": w.testWeights, "mirrors": w.testMirrors, "websockets": w.testWebSockets,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					run(t)
				})
			}
		})
	}
}

func startConformance(t *testing.T, filler string) conformanceWorld {
	t.Helper()
	w := conformanceWorld{backends: map[string]*conformer{}}
	values := map[string]string{"sockets": chat(t)}
	for _, name := range []string{"v1", "v2", "v3"} {
		w.backends[name] = newConformer(t, name)
		values[name] = w.backends[name].Addr()
	}
	for _, name := range []string{"g1", "g2", "g3"} {
		values[name] = grpcConformer(t, name)
	}
	text := conformanceHead
	for _, c := range allConformance() {
		text += c.routes
	}
	w.gateway = start(t, setup{config: text + filler, values: values})
	return w
}

func allConformance() []conformance {
	return slices.Concat(matchingConformance(), redirectConformance(), filterConformance(), corsConformance(), trafficConformance(),
		[]conformance{{name: "calls", routes: callRoutes}})
}

func (w conformanceWorld) testRequests(t *testing.T) {
	for _, c := range allConformance() {
		for i, k := range c.checks {
			t.Run(fmt.Sprintf("%s/%d", c.name, i), func(t *testing.T) {
				t.Parallel()
				w.check(t, k)
			})
		}
	}
}

// check asks, and compares.
func (w conformanceWorld) check(t *testing.T, k check) {
	t.Helper()
	method, target, named := strings.Cut(k.ask, " ")
	if !named {
		method, target = http.MethodGet, k.ask
	}
	host, path, _ := strings.Cut(target, "/")
	headers := []header{{"Host", host}}
	for _, line := range parts(k.with) {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, header{name, value})
	}
	r := do(t, method, w.url("public", "/"+path), headers...)
	say := fmt.Sprintf("%s with %q", k.ask, k.with)
	wanted, location, redirected := strings.Cut(k.want, " ")
	switch status, err := strconv.Atoi(wanted); {
	case err != nil:
		w.answeredBy(t, say, r, k)
	case r.Status != status:
		t.Errorf("%s: got %d, want %s; body: %s", say, r.Status, k.want, r.Body)
	case redirected && r.Header.Get("Location") != location:
		t.Errorf("%s: sent to %q, want %q", say, r.Header.Get("Location"), location)
	default:
		for _, p := range parts(k.seen) {
			w.seen(t, say, r, echo{}, p)
		}
	}
}

func (w conformanceWorld) answeredBy(t *testing.T, say string, r reply, k check) {
	t.Helper()
	if r.Status != http.StatusOK || r.Header.Get("X-Backend") != k.want {
		t.Errorf("%s: got %d of %q, want %s; body: %s", say, r.Status, r.Header.Get("X-Backend"), k.want, r.Body)
		return
	}
	if k.seen == "" {
		return
	}
	e := r.echo(t)
	for _, p := range parts(k.seen) {
		w.seen(t, say, r, e, p)
	}
}

// seen compares one part of what backend and client must see.
func (w conformanceWorld) seen(t *testing.T, say string, r reply, e echo, part string) {
	t.Helper()
	headers, of := http.Header(e.Headers), "the backend sees"
	if after, ok := strings.CutPrefix(part, ">"); ok {
		headers, of, part = r.Header, "the client sees", after
	}
	got, want := "", ""
	if name, absent := strings.CutPrefix(part, "!"); absent {
		got = strings.Join(headers.Values(name), ",")
	} else if name, value, ok := strings.Cut(part, ": "); ok {
		got, want = strings.Join(headers.Values(name), ","), value
	} else {
		name, value, _ := strings.Cut(part, "=")
		got, want = map[string]string{"path": e.Path, "host": e.Host, "protocol": e.Protocol}[name], value
	}
	if got != want {
		t.Errorf("%s: of %q %s %q", say, part, of, got)
	}
}

func parts(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, " | ")
}

// conformer is a backend that answers with what it saw, and as it is told:
//
//	?fail=2&code=500&id=ID   the first two requests of that id get that status
//	?fail=2&late=300ms&id=ID the first two are answered that much later
//	?fail=2&drop=1&id=ID     the first two get no answer, and no connection
//	?delay=1s                the answer comes that much later
//	X-Answer: A: b; C: d     the answer has these headers
type conformer struct {
	service
	mu    sync.Mutex
	tries map[string]int         // requests by id
	paths map[string]int         // requests by path
	heads map[string]http.Header // of the newest request by path
}

func newConformer(t testing.TB, name string) *conformer {
	t.Helper()
	c := &conformer{tries: map[string]int{}, paths: map[string]int{}, heads: map[string]http.Header{}}
	c.service = backendThat(t, name, c.unusual)
	return c
}

// unusual does what a request asks for beyond an echo, and reports whether that
// was all.
func (c *conformer) unusual(w http.ResponseWriter, r *http.Request) (answered bool) {
	query := r.URL.Query()
	c.mu.Lock()
	c.paths[r.URL.Path]++
	c.heads[r.URL.Path] = r.Header
	c.tries[query.Get("id")]++
	try := c.tries[query.Get("id")]
	c.mu.Unlock()
	for _, line := range strings.Split(r.Header.Get("X-Answer"), "; ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			w.Header().Set(name, value)
		}
	}
	if fail, err := strconv.Atoi(query.Get("fail")); err != nil || try > fail {
		return false
	}
	if query.Has("drop") {
		panic(http.ErrAbortHandler) // closes the connection without a word
	}
	if late, err := time.ParseDuration(query.Get("late")); err == nil {
		select {
		case <-time.After(late):
		case <-r.Context().Done():
			return true
		}
	}
	code, err := strconv.Atoi(query.Get("code"))
	if err != nil {
		return false
	}
	w.WriteHeader(code)
	return true
}

func (c *conformer) attempts(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[id]
}

func (c *conformer) requestsOf(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paths[path]
}

// headersOf are the headers of the newest request of a path.
func (c *conformer) headersOf(path string) http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads[path]
}

// waitPath waits until the backend has had so many requests of a path.
func (c *conformer) waitPath(t testing.TB, path string, want int) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%d requests of %s", want, path), func() error {
		if got := c.requestsOf(path); got != want {
			return fmt.Errorf("there were %d", got)
		}
		return nil
	})
}
