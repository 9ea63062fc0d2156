package plan

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
	"github.com/gatewright/gatewright/xds"
)

const reroutes = `
listeners: [{name: public, address: "ENVOY"}]
backends: {a: {endpoints: ["A"]}, b: {endpoints: ["B"]}, c: {endpoints: ["C"]}, copies: {endpoints: ["COPIES"]}}
auth: {apiKey: {keys: {from: {query: api_key}}}}
routes:
- name: shop
  match: {path: /shop/**, headers: {X-Version: {present: true}}, query: {full: {present: true}}}
  auth: public
  to: [{backend: a, weight: 1, request: {set: {X-Side: a}}, response: {set: {X-Side: a}}}, {backend: c, weight: 0, request: {set: {X-Side: c}}, response: {set: {X-Side: c}}}]
  pin: {header: X-Pin, values: {c: c}}
  timeout: 1s
  retry: {attempts: 1, on: [5xx]}
  rewrite: {path: /v2/**, host: shop.internal}
  mirror: {backend: copies}
  request: {set: {X-Via: gateway}}
  cors: {origins: ["https://shop.example"]}
- {name: plain, match: {hosts: ["*.example.org"], path: /plain/**}, auth: public, to: [{backend: a}]}
- {name: other, match: {path: /shop/**}, auth: public, respond: {status: 418}}
`

// request is one that a backend got, with so many bytes of body.
type request struct {
	*http.Request
	body int
}

const bodySize = 100_000

// upstream is a backend that remembers requests, and fails as often as it is told to.
type upstream struct {
	*httptest.Server
	mu       sync.Mutex // guards all below
	fail     int
	requests []request
}

func startUpstream(t *testing.T, name string) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.requests = append(u.requests, request{r, len(body)})
		failing := u.fail > 0
		u.fail--
		u.mu.Unlock()
		if failing {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/slow") {
			<-r.Context().Done()
		}
		_, _ = fmt.Fprint(w, name)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) fails(times int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fail = times
}

func (u *upstream) addr() string { return strings.TrimPrefix(u.URL, "http://") }

// seen are the requests since the last look.
func (u *upstream) seen() (all []request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all, u.requests = u.requests, nil
	return all
}

// openBreakers denies the requests to some backends.
type openBreakers struct {
	mu   sync.Mutex // guards open
	open map[string]bool
}

func (o *openBreakers) Admit(_, backend string) authz.Admission {
	o.mu.Lock()
	defer o.mu.Unlock()
	return authz.Admission{Denied: o.open[backend], RetryAfter: 7 * time.Second}
}

func (o *openBreakers) Cancel(string) {}

func (o *openBreakers) only(backends ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = map[string]bool{}
	for _, b := range backends {
		o.open[b] = true
	}
}

// startEnvoy runs a real Envoy with a plan's resources, and Check as it judges by
// the plan and the breakers.
func startEnvoy(t *testing.T, p *Plan, breakers authz.Breaker) {
	t.Helper()
	socket := filepath.Join(testenv.ShortDir(t), "grpc")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, authz.New(authz.Options{Policies: p, Breaker: breakers}))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	j, err := protojson.Marshal(staticAt(t, p.Resources, "unix:"+socket))
	if err != nil {
		t.Fatal(err)
	}
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: j})
}

// rerouted is a running gateway whose backends fall back on each other.
type rerouted struct {
	url             string
	breakers        *openBreakers
	a, b, c, copies *upstream
}

// startRerouting has a falling back on b, which no route names, and c on a, which the
// route of both does.
func startRerouting(t *testing.T, form xds.Form) rerouted {
	t.Helper()
	r := rerouted{breakers: &openBreakers{}, a: startUpstream(t, "a"), b: startUpstream(t, "b"), c: startUpstream(t, "c"), copies: startUpstream(t, "copies")}
	addr := testenv.Addr(t)
	r.url = "http://" + addr
	text := strings.NewReplacer("ENVOY", addr, `"A"`, r.a.addr(), `"B"`, r.b.addr(), `"C"`, r.c.addr(), `"COPIES"`, r.copies.addr()).Replace(reroutes)
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"a": "b", "c": "a"} {
		c.Backends[from].Breaker = &config.Breaker{Fallback: &config.BreakerFallback{Backend: to}}
	}
	c.Backends["b"].Breaker = &config.Breaker{}
	p, err := Compile(c, Options{Form: form})
	if err != nil {
		t.Fatal(err)
	}
	startEnvoy(t, p, r.breakers)
	testenv.Eventually(t, "Envoy serves", func() error {
		resp, err := http.Get(r.url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	return r
}

// answer is what a client got.
type answer struct {
	status int
	body   string
	header http.Header
}

func (r rerouted) ask(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(strings.Repeat("x", bodySize)) // more than Envoy keeps for a retry
	}
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Version", "1")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// TestFallbackThroughEnvoy: a request that a breaker turns away comes to the fallback
// with all that its route says, in either form of routes.
func TestFallbackThroughEnvoy(t *testing.T) {
	t.Parallel()
	for _, form := range []xds.Form{xds.Table, xds.Scoped} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			r := startRerouting(t, form)
			const path = "/shop/x?full=1"
			for _, step := range []struct {
				open   []string
				pin    string // X-Pin
				to     string
				side   string // the backend whose changes of headers hold
				status int
			}{
				{nil, "", "a", "a", 200},
				{nil, "c", "c", "c", 200},
				{[]string{"a"}, "", "b", "", 200},
				{[]string{"c"}, "c", "a", "a", 200}, // pinned, and yet: the other is broken
				{[]string{"a"}, "c", "c", "c", 200},
				{[]string{"a", "b"}, "", "", "", 503},
				{[]string{"a", "c"}, "c", "", "", 503}, // the fallback's fallback takes nothing
				{nil, "", "a", "a", 200},
			} {
				r.breakers.only(step.open...)
				for _, u := range []*upstream{r.a, r.b, r.c, r.copies} {
					u.seen()
				}
				got := r.ask(t, http.MethodPost, path, "X-Pin", step.pin, "Origin", "https://shop.example", "X-Gatewright-To", "shop/c", "Host", "Any.Example")
				if got.status != step.status || got.header.Get("Access-Control-Allow-Origin") != "https://shop.example" {
					t.Fatalf("%+v: %+v", step, got)
				}
				if step.status == 503 {
					if got.header.Get("Retry-After") != "7" || !strings.Contains(got.body, "circuit-open") || len(r.copies.seen()) > 0 {
						t.Errorf("%+v: %+v", step, got)
					}
					continue
				}
				if got.body != step.to || got.header.Get("X-Side") != step.side {
					t.Errorf("%+v: answered by %s, as the side %q", step, got.body, got.header.Get("X-Side"))
				}
				served := map[string]*upstream{"a": r.a, "b": r.b, "c": r.c}[step.to].seen()
				testenv.Eventually(t, "the copy has come", func() error {
					if copies := r.copies.seen(); len(copies) > 0 {
						served = append(served, copies...)
						return nil
					}
					return fmt.Errorf("none has")
				})
				for _, q := range served {
					if q.URL.Path != "/v2/x" || q.URL.RawQuery != "full=1" || !strings.HasPrefix(q.Host, "shop.internal") || q.Header.Get("X-Via") != "gateway" || q.Header.Get("X-Side") != step.side || q.Header.Get(config.RerouteHeader) != "" || q.body != bodySize {
						t.Errorf("%+v: a backend got %s %s%s %v", step, q.Method, q.Host, q.URL, q.Header)
					}
				}
			}
			r.breakers.only("a")
			r.b.seen()
			r.b.fails(1)
			if got := r.ask(t, http.MethodGet, path); got.status != 200 || got.body != "b" || len(r.b.seen()) != 2 {
				t.Errorf("a fallback that fails once is not asked again: %+v", got)
			}
			r.b.fails(9)
			if got := r.ask(t, http.MethodGet, path); got.status != 500 || len(r.b.seen()) != 2 {
				t.Errorf("a fallback that fails twice: %+v", got)
			}
			r.b.fails(0)
			if got := r.ask(t, http.MethodGet, "/shop/slow?full=1"); got.status != http.StatusGatewayTimeout {
				t.Errorf("the route's timeout does not hold: %+v", got)
			}
			if got := r.ask(t, http.MethodGet, "/shop/x", "X-Gatewright-To", "shop/b"); got.status != http.StatusTeapot {
				t.Errorf("a forged way: %+v", got)
			}
			for _, host := range []string{"a.example.org", "A.EXAMPLE.org"} {
				if got := r.ask(t, http.MethodGet, "/plain/x", "Host", host); cmp.Or(got.body, "none") != "b" {
					t.Errorf("%s: %+v", host, got)
				}
			}
		})
	}
}

// TestFallbackIsInRoutesAtOnce: a config in which a backend has got a fallback, and no
// route has changed, has the way to it; and one without has nothing of it.
func TestFallbackIsInRoutesAtOnce(t *testing.T) {
	t.Parallel()
	var before *Plan
	for i, fallback := range []string{"", "two", "three", ""} {
		c := guarded(t, func(c *config.Config) {
			c.Backends["one"].Breaker = &config.Breaker{}
			if fallback != "" {
				c.Backends["one"].Breaker.Fallback = &config.BreakerFallback{Backend: fallback}
			}
		})
		if before != nil {
			config.Adopt(c, before.Config)
		}
		p, err := Compile(c, Options{Previous: before})
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Resources.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"two", "three"} {
			if has := strings.Contains(string(text), "split/"+way+":"); has != (way == fallback) {
				t.Errorf("step %d: a way to %s: %t", i, way, has)
			}
		}
		if has := strings.Contains(string(text), "clear_route_cache") && strings.Contains(string(text), config.RerouteHeader); has != (fallback != "") {
			t.Errorf("step %d: Envoy looks again: %t", i, has)
		}
		fresh, err := Compile(c, Options{})
		if err != nil || fresh.Version != p.Version {
			t.Errorf("step %d: version %s, compiled from nothing %s (%v)", i, p.Version, fresh.Version, err)
		}
		before = p
	}
}
