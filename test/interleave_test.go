package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The changes that are drawn: each version of the config gives each path a
// route, under some name, with some protection, to some place.
const (
	drawnPaths    = 4
	drawnNames    = 6
	drawnVersions = 40
)

// protections are what a route may ask, and which credentials it answers how.
var protections = []struct {
	auth   string
	answer map[string]int // by credential; 0 is to pass
}{
	{"public", map[string]int{"none": 0, "key": 0, "reader": 0, "writer": 0}},
	{"{anyOf: [{apiKey: partners}]}", map[string]int{"none": 401, "key": 0, "reader": 401, "writer": 401}},
	{"{anyOf: [{jwt: main, scopes: [read]}]}", map[string]int{"none": 401, "key": 401, "reader": 0, "writer": 403}},
	{"{anyOf: [{jwt: main, scopes: [write]}]}", map[string]int{"none": 401, "key": 401, "reader": 403, "writer": 0}},
	{"{anyOf: [{jwt: main, scopes: [write]}, {apiKey: partners}]}", map[string]int{"none": 401, "key": 0, "reader": 403, "writer": 0}},
}

// places are where a route may lead: the last answers by itself.
var places = []string{"one", "two", "here"}

// drawnRoute is what a version does with a path.
type drawnRoute struct {
	name       int
	protection int
	limited    bool // by a bucket that is empty
	place      string
}

// drawnVersion is a config: the routes by path.
type drawnVersion [drawnPaths]drawnRoute

func drawVersion(random *rand.Rand) (v drawnVersion) {
	names := random.Perm(drawnNames)
	for path := range v {
		v[path] = drawnRoute{
			name: names[path], protection: random.IntN(len(protections)),
			limited: random.IntN(4) == 0, place: pick(random, places),
		}
	}
	return v
}

// text is a version as the file says it. Each route tells its version to the
// client and to the backend.
func (v drawnVersion) text(number int, head string) string {
	var b strings.Builder
	b.WriteString(head)
	fmt.Fprintf(&b, "  - {name: version, match: {path: /version}, auth: public, respond: {status: 200, body: \"%d\"}}\n", number)
	for path, r := range v {
		limits, to := "", ""
		if r.limited {
			limits = "limits: [empty], "
		}
		if r.place == "here" {
			to = fmt.Sprintf("respond: {status: 200, body: \"here %d\"}", number)
		} else {
			to = fmt.Sprintf("to: [{backend: %s}], request: {set: {X-Version: \"%d\"}}", r.place, number)
		}
		fmt.Fprintf(&b, "  - {name: r%d, match: {path: /p%d}, auth: %s, %s%s, response: {set: {X-Version: \"%d\"}}}\n",
			r.name, path, protections[r.protection].auth, limits, to, number)
	}
	return b.String()
}

// answers are what a version may answer to a credential on a path.
func (v drawnVersion) answers(path int, credential string) int {
	r := v[path]
	denied := protections[r.protection].answer[credential]
	switch {
	case r.limited: // by the address, which goes before who it is
		return http.StatusTooManyRequests
	case denied != 0:
		return denied
	}
	return http.StatusOK
}

// interleaved is what all versions have. A token is always asked for by some route: the
// first that is judged inside Envoy, and the last, change the listener, and that closes
// connections.
const interleaved = `listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  one: {endpoints: ["{{.one}}"]}
  two: {endpoints: ["{{.two}}"]}
auth:
  jwt:
    main: {issuer: "{{.issuer}}", audiences: [api], jwks: {url: "{{.issuer}}/.well-known/jwks.json"}}
  apiKey: {partners: {}}
limits:
  empty: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/d}}
routes:
  - {name: token, match: {path: /token}, auth: {anyOf: [{jwt: main}]}, to: [{backend: one}]}
`

// drawnWorld is what the workers share: the versions, and which of them may
// answer now.
type drawnWorld struct {
	t           *testing.T
	base        string // URL
	versions    []drawnVersion
	credentials map[string][]header
	// written is the newest version that any Envoy may have.
	written atomic.Int64
	served  atomic.Int64 // answers of 200
	denied  atomic.Int64 // and others
}

// door is an Envoy, and the oldest version that it may still answer by.
type door struct {
	client *http.Client
	oldest atomic.Int64
}

// ask sends a request and judges its answer.
func (w *drawnWorld) ask(d *door, random *rand.Rand) error {
	path := random.IntN(drawnPaths)
	credential := pick(random, []string{"none", "key", "reader", "writer"})
	query := ""
	if random.IntN(8) == 0 {
		query = "?delay=150ms" // longer than a change takes
	}
	first := d.oldest.Load()
	r, err := tryBy(d.client, fmt.Sprintf("%s/p%d%s", w.base, path, query), "", w.credentials[credential]...)
	last := w.written.Load()
	if err != nil {
		return err
	}
	if r.Status == http.StatusOK {
		w.served.Add(1)
		return w.judgeOK(r, path, credential, first, last)
	}
	w.denied.Add(1)
	for n := first; n <= last; n++ {
		if w.versions[n].answers(path, credential) == r.Status {
			return nil
		}
	}
	return fmt.Errorf("/p%d with %s: %w; no version from %d to %d says so", path, credential, errStatus(r), first, last)
}

// judgeOK holds an answer to the one version that it says it is of.
func (w *drawnWorld) judgeOK(r reply, path int, credential string, first, last int64) error {
	var of int64
	if _, err := fmt.Sscan(r.Header.Get("X-Version"), &of); err != nil || of < first || of > last {
		return fmt.Errorf("/p%d with %s: an answer of version %q, want %d to %d", path, credential, r.Header.Get("X-Version"), first, last)
	}
	v := w.versions[of]
	if want := v.answers(path, credential); want != http.StatusOK {
		return fmt.Errorf("/p%d with %s: passed by version %d, which says %d", path, credential, of, want)
	}
	if place := v[path].place; place == "here" {
		if want := fmt.Sprintf("here %d", of); r.Body != want {
			return fmt.Errorf("/p%d: %q, want %q", path, r.Body, want)
		}
		return nil
	}
	var e echo
	if err := json.Unmarshal([]byte(r.Body), &e); err != nil || e.Backend != v[path].place || e.header("X-Version") != fmt.Sprint(of) {
		return fmt.Errorf("/p%d: the answer is of version %d, which leads to %s; it came from %q, asked by version %q", path, of, v[path].place, e.Backend, e.header("X-Version"))
	}
	return nil
}

// TestRequestsAreJudgedByTheirRoute: protections, limits, names and backends
// swap between routes, and requests go on meanwhile through two Envoys, one of
// each variant of xDS. Every answer is one that a single version of the config
// gives: the route that was taken, the credential that was asked, the backend.
func TestRequestsAreJudgedByTheirRoute(t *testing.T) {
	t.Parallel()
	const workers = 4
	random := rand.New(rand.NewPCG(3, 4))
	issuer := idp(t)
	w := &drawnWorld{t: t}
	for range drawnVersions {
		w.versions = append(w.versions, drawVersion(random))
	}
	w.versions[0][0].limited = true
	g := start(t, setup{
		config: w.versions[0].text(0, interleaved),
		values: map[string]string{"one": backend(t, "one").Addr(), "two": backend(t, "two").Addr(), "issuer": issuer.Issuer()},
	})
	w.base = g.url("public", "")
	w.credentials = map[string][]header{
		"none": nil, "key": {g.createKey().header()},
		"reader": {bearer(token(t, issuer, "scope=read"))}, "writer": {bearer(token(t, issuer, "scope=write"))},
	}
	second := startSecondEnvoy(t, g, "GRPC")
	doors := []*door{{client: pinned(t, g, "public", g.stdout, second.log)}, {client: pinned(t, g, "public", second.log, g.stdout)}}
	w.emptyTheBucket(doors[0])

	ended := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(ended); wg.Wait() })
	defer end()
	for i := range workers {
		d, random := doors[i%len(doors)], rand.New(rand.NewPCG(5, uint64(i)))
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if err := w.ask(d, random); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := 1; n < drawnVersions && !t.Failed(); n++ {
		w.written.Store(int64(n))
		g.write(w.versions[n].text(n, interleaved))
		for _, d := range doors {
			w.waitVersion(d, n)
		}
	}
	end()
	if served, denied := w.served.Load(), w.denied.Load(); served < 200 || denied < 200 {
		t.Errorf("%d answers and %d denials prove little", served, denied)
	}
	if e := g.stderr.String(); strings.Contains(e, "envoys do not answer") || strings.Contains(e, "envoy refused") {
		t.Error("an Envoy did not answer, or refused")
	}
}

// emptyTheBucket takes the only token there is, on the first path of the first
// version: whatever the answer to the first request is, the others find none.
func (w *drawnWorld) emptyTheBucket(d *door) {
	w.t.Helper()
	first := true
	for credential, headers := range w.credentials {
		r, err := tryBy(d.client, w.base+"/p0", "", headers...)
		if err != nil {
			w.t.Fatal(err)
		}
		if want := w.versions[0].answers(0, credential); !first && r.Status != want {
			w.t.Fatalf("with %s: %v, want %d", credential, errStatus(r), want)
		}
		first = false
	}
}

// waitVersion waits until an Envoy serves a version: none before it answers
// what is asked from then on. An Envoy has one worker here, and one table.
func (w *drawnWorld) waitVersion(d *door, n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("version %d is served", n), func() error {
		r, err := tryBy(d.client, w.base+"/version", "")
		if err == nil && r.Body != fmt.Sprint(n) {
			err = errStatus(r)
		}
		return err
	})
	d.oldest.Store(int64(n))
}
