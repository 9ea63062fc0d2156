package test

import (
	"fmt"
	"math"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/websocket"
)

// trafficConformance are the tests of repeats, time-outs and what backends
// speak, as far as one request shows it.
func trafficConformance() []conformance {
	return []conformance{
		{"retry", `
  - {name: t-500, match: {hosts: [retry.test], path: /retry/code-500-attempts-3/**}, auth: public, to: [{backend: v3}], retry: {attempts: 3, codes: [500], backoff: {base: 1ms}}}
  - {name: t-all, match: {hosts: [retry.test], path: /retry/code-all-attempts-2/**}, auth: public, to: [{backend: v3}], retry: {attempts: 2, codes: [500, 502, 503, 504], backoff: {base: 1ms}}}
  - {name: t-none, match: {hosts: [retry.test], path: /retry/no-status-code-attempts-3/**}, auth: public, to: [{backend: v3}], retry: {attempts: 3, "on": [reset, connect-failure], backoff: {base: 1ms}}}
`, []check{
			{"retry.test/retry/code-500-attempts-3?code=500&fail=2&id=a", "", "v3", ""},
			{"retry.test/retry/code-500-attempts-3?code=500&fail=3&id=b", "", "v3", ""},
			{"retry.test/retry/code-500-attempts-3?code=500&fail=4&id=c", "", "500", ""},
			{"retry.test/retry/code-500-attempts-3?code=503&fail=2&id=d", "", "503", ""},
			{"retry.test/retry/code-all-attempts-2?code=500&fail=1&id=e", "", "v3", ""},
			{"retry.test/retry/code-all-attempts-2?code=500&fail=3&id=f", "", "500", ""},
			{"retry.test/retry/code-all-attempts-2?code=502&fail=1&id=g", "", "v3", ""},
			{"retry.test/retry/code-all-attempts-2?code=502&fail=3&id=h", "", "502", ""},
			{"retry.test/retry/code-all-attempts-2?code=503&fail=1&id=i", "", "v3", ""},
			{"retry.test/retry/code-all-attempts-2?code=503&fail=3&id=j", "", "503", ""},
			{"retry.test/retry/code-all-attempts-2?code=504&fail=1&id=k", "", "v3", ""},
			{"retry.test/retry/code-all-attempts-2?code=504&fail=3&id=l", "", "504", ""},
			{"retry.test/retry/no-status-code-attempts-3?drop=1&fail=2&id=m", "", "v3", ""},
			{"retry.test/retry/no-status-code-attempts-3?drop=1&fail=4&id=n", "", "503", ""},
		}},

		{"retry with timeouts", `
  - {name: w-backend, match: {hosts: [retry.test], path: /retry/backend-request-timeout/**}, auth: public, to: [{backend: v3}], retry: {attempts: 2, "on": [gateway-error], perTryTimeout: 500ms, backoff: {base: 1ms}}}
  - {name: w-request, match: {hosts: [retry.test], path: /retry/request-timeout/**}, auth: public, to: [{backend: v3}], timeout: 1s, retry: {attempts: 5, "on": [gateway-error], codes: [500], perTryTimeout: 800ms, backoff: {base: 1ms}}}
`, []check{
			{"retry.test/retry/backend-request-timeout?late=20s&fail=2&id=o", "", "v3", ""},
			{"retry.test/retry/backend-request-timeout?late=20s&fail=3&id=p", "", "504", ""},
			{"retry.test/retry/request-timeout?code=500&fail=1&id=q", "", "v3", ""},
			{"retry.test/retry/request-timeout?code=500&late=600ms&fail=4&id=r", "", "504", ""},
		}},

		// A time-out of 0s is none there; here it is the default, and the longest is
		// said for none.
		{"timeout request, timeout backend request", `
  - {name: to-request, match: {hosts: [timeout.test], path: /request-timeout/**}, auth: public, to: [{backend: v1}], timeout: 500ms}
  - {name: to-none, match: {hosts: [timeout.test], path: /disable-request-timeout/**}, auth: public, to: [{backend: v1}], timeout: 24h}
  - {name: to-backend, match: {hosts: [timeout.test], path: /backend-timeout/**}, auth: public, to: [{backend: v1}], retry: {attempts: 0, perTryTimeout: 500ms}}
`, []check{
			{"timeout.test/request-timeout", "", "v1", ""},
			{"timeout.test/request-timeout?delay=20s", "", "504", ""},
			{"timeout.test/disable-request-timeout?delay=1s", "", "v1", ""},
			{"timeout.test/backend-timeout", "", "v1", ""},
			{"timeout.test/backend-timeout?delay=20s", "", "504", ""},
		}},

		{"backend protocol h2c", `
  - {name: p-h2c, match: {hosts: [protocol.test], path: /h2c/**}, auth: public, to: [{backend: h2c}]}
  - {name: p-h1, match: {hosts: [protocol.test], path: /h1/**}, auth: public, to: [{backend: v1}]}
`, []check{
			{"protocol.test/h2c", "", "v1", "protocol=HTTP/2.0"},
			{"protocol.test/h1", "", "v1", "protocol=HTTP/1.1"},
		}},

		// What these routes do shows in many requests, and is asked by the tests below.
		{"weights, mirrors, websocket", `
  - {name: s-weights, match: {hosts: [weight.test], path: /**}, auth: public, to: [{backend: v1, weight: 70}, {backend: v2, weight: 30}, {backend: v3, weight: 0}]}
  - {name: s-sides, match: {hosts: [sides.test], path: /**}, auth: public, to: [{backend: v1, weight: 10, request: {set: {Backend: v1}}}, {backend: v2, weight: 10, request: {set: {Backend: v2}}}]}
  - {name: s-mirror, match: {hosts: [mirror.test], path: /mirror/**}, auth: public, to: [{backend: v1}], mirror: {backend: v2}}
  - {name: s-mirror-headers, match: {hosts: [mirror.test], path: /mirror-and-modify-headers/**}, auth: public, to: [{backend: v1}], mirror: {backend: v2}, ` + setAddRemove + `}
  - {name: s-multi, match: {hosts: [mirror.test], path: /multi-mirror/**}, auth: public, to: [{backend: v1}], mirrors: [{backend: v2}, {backend: v3}]}
  - {name: s-percent, match: {hosts: [mirror.test], path: /percent-mirror/**}, auth: public, to: [{backend: v1}], mirror: {backend: v2, percent: 20}}
  - {name: s-fraction, match: {hosts: [mirror.test], path: /percent-mirror-fraction/**}, auth: public, to: [{backend: v1}], mirror: {backend: v2, percent: 50}}
  - {name: s-sockets, match: {hosts: [ws.test], path: /ws/**}, auth: public, to: [{backend: sockets}], upgrades: [websocket]}
`, []check{
			{"mirror.test/mirror-and-modify-headers/seen", sentToBeSet, "v1", setAndAdded},
		}},
	}
}

// testAttempts: a backend is asked as often as a route says, and no
// more.
func (w conformanceWorld) testAttempts(t *testing.T) {
	for _, c := range []struct {
		query string
		path  string
		want  int
	}{
		{"code=500&fail=2", "code-500-attempts-3", 3},
		{"code=500&fail=9", "code-500-attempts-3", 4},
		{"code=503&fail=9", "code-500-attempts-3", 1},
		{"code=504&fail=9", "code-all-attempts-2", 3},
		{"drop=1&fail=2", "no-status-code-attempts-3", 3},
	} {
		id := c.path + c.query
		do(t, "GET", w.url("public", "/retry/"+c.path+"?"+c.query+"&id="+c.path+"x"+fmt.Sprint(c.want)), header{"Host", "retry.test"})
		if got := w.backends["v3"].attempts(c.path + "x" + fmt.Sprint(c.want)); got != c.want {
			t.Errorf("%s: %d attempts, want %d", id, got, c.want)
		}
	}
}

// shares asks n times and counts who answers.
func (w conformanceWorld) shares(t *testing.T, n int, ask check) map[string]int {
	t.Helper()
	var mu sync.Mutex
	out := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				r, err := try("GET", w.url("public", "/"), header{"Host", ask.ask})
				if err != nil || r.Status != 200 {
					t.Errorf("%s: %v %d", ask.ask, err, r.Status)
					return
				}
				mu.Lock()
				out[r.Header.Get("X-Backend")]++
				if ask.seen != "" && r.echo(t).header(ask.seen) != r.Header.Get("X-Backend") {
					t.Errorf("%s: %s has the header of %s", ask.ask, r.Header.Get("X-Backend"), r.echo(t).header(ask.seen))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out
}

// near reports whether k of n is what a share comes to, within six standard
// deviations: once in 500 million runs it is not.
func near(k, n int, share float64) bool {
	return math.Abs(float64(k)-float64(n)*share) <= 6*math.Sqrt(float64(n)*share*(1-share))
}

// testWeights: backends get the shares that a route says, none where
// that is 0, and each side its own headers.
func (w conformanceWorld) testWeights(t *testing.T) {
	const n = 1000
	if got := w.shares(t, n, check{ask: "weight.test"}); !near(got["v1"], n, 0.7) || !near(got["v2"], n, 0.3) || got["v3"] != 0 {
		t.Errorf("70, 30 and 0 of 100: %v", got)
	}
	if got := w.shares(t, n, check{ask: "sides.test", seen: "Backend"}); !near(got["v1"], n, 0.5) || !near(got["v2"], n, 0.5) {
		t.Errorf("half each: %v", got)
	}
}

// testMirrors: copies go where a route says, as many as it says, with
// the headers that the backend gets.
func (w conformanceWorld) testMirrors(t *testing.T) {
	const n = 400
	host := header{"Host", "mirror.test"}
	get(t, w.url("public", "/mirror/one"), host).ok(t)
	w.backends["v1"].waitPath(t, "/mirror/one", 1)
	w.backends["v2"].waitPath(t, "/mirror/one", 1)
	get(t, w.url("public", "/multi-mirror/one"), host).ok(t)
	for _, name := range []string{"v1", "v2", "v3"} {
		w.backends[name].waitPath(t, "/multi-mirror/one", 1)
	}
	get(t, w.url("public", "/mirror-and-modify-headers/one"), host, header{"X-Header-Remove", "x"}, header{"X-Header-Add-Append", "append-val-1"}).ok(t)
	w.backends["v2"].waitPath(t, "/mirror-and-modify-headers/one", 1)
	if last := w.backends["v2"].headersOf("/mirror-and-modify-headers/one"); last.Get("X-Header-Remove") != "" || last.Get("X-Header-Set") != "set-overwrites-values" {
		t.Errorf("the copy has %v", last)
	}
	for path, share := range map[string]float64{"/percent-mirror/": 0.2, "/percent-mirror-fraction/": 0.5} {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range n / 4 {
					if r, err := try("GET", w.url("public", path), host); err != nil || r.Status != 200 {
						t.Errorf("%s: %v %d", path, err, r.Status)
						return
					}
				}
			})
		}
		wg.Wait()
		// A copy may be on its way yet: one that is known to come is behind the last.
		w.backends["v1"].waitPath(t, path, n)
		eventually(t, path+" is mirrored as often as it should be", func() error {
			if got := w.backends["v2"].requestsOf(path); !near(got, n, share) {
				return fmt.Errorf("%d of %d", got, n)
			}
			return nil
		})
	}
}

// testWebSockets: texts and bytes go both ways.
func (w conformanceWorld) testWebSockets(t *testing.T) {
	config, err := websocket.NewConfig("ws://ws.test/ws", "http://gateway.example")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", w.listeners["public"])
	if err != nil {
		t.Fatal(err)
	}
	ws, err := websocket.NewClient(config, conn)
	if err != nil {
		conn.Close()
		t.Fatal(err)
	}
	defer ws.Close()
	said(t, ws, "hello ")
	if err := websocket.Message.Send(ws, "Websocket Support!"); err != nil {
		t.Fatal(err)
	}
	said(t, ws, "Websocket Support!")
	if err := websocket.Message.Send(ws, []byte{1, 2, 3, 0, 255}); err != nil {
		t.Fatal(err)
	}
	said(t, ws, "\x01\x02\x03\x00\xff")
}
