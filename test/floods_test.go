package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/floods"
	"github.com/gatewright/gatewright/internal/testenv"
)

// Attackers that wait for a time-out come to the listener hasty, whose times are short;
// everybody else is at another of the same Envoy, with the same thread and backend, so
// that no time-out can meet who does no harm.
const flooded = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - name: hasty
    address: "{{listen "hasty"}}"
    bounds: {headersTimeout: 700ms, requestTimeout: 700ms, streamIdleTimeout: 700ms, idleTimeout: 700ms}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 30s}
`

// floodedQUIC is the same by TLS, with HTTP/3.
const floodedQUIC = `
listeners:
  - {name: public, address: "{{listen "public"}}", http3: true, tls: &tls {certificates: [{cert: {{.certs}}/edge.crt, key: {{.certs}}/edge.key}]}}
  - name: hasty
    address: "{{listen "hasty"}}"
    http3: true
    tls: *tls
    bounds: {headersTimeout: 700ms, requestTimeout: 700ms, streamIdleTimeout: 700ms, idleTimeout: 700ms}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 30s}
`

// attackTime is when a test gives up waiting for the end of an attack.
const attackTime = floods.Patience

// envoyAllocated is the memory that an Envoy has in use, in bytes.
func envoyAllocated(temporary string) (int, error) {
	socket, err := adminSocket(temporary)
	if err != nil {
		return 0, err
	}
	text, err := readAll(adminClient(socket).Get("http://envoy/memory"))
	if err != nil {
		return 0, err
	}
	var said struct{ Allocated string }
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return 0, err
	}
	return strconv.Atoi(said.Allocated)
}

// othersMeanwhile is how many requests of each other client an attack goes on for.
const othersMeanwhile = 10

// TestFloods: the gateway ends each attack, whatever the attacker goes on to do; an
// attacker who comes back at once holds no more memory than is said of it; and everybody
// else is served meanwhile.
func TestFloods(t *testing.T) {
	t.Parallel()
	for version, attacks := range map[string][]floods.Attack{"HTTP1": floods.HTTP1(), "HTTP2": floods.HTTP2()} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			temporary := testenv.ShortDir(t)
			g := start(t, setup{config: flooded, values: map[string]string{"app": longOrShort(t)}, env: []string{"TMPDIR=" + temporary}})
			kept := bothClients(t)
			g.standsFloods(t, attacks, temporary, g.url("public", "/good"), kept["http1"], kept["http2"], &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
		})
	}
	t.Run("HTTP3", func(t *testing.T) {
		t.Parallel()
		temporary, p := testenv.ShortDir(t), newPEMs(t)
		p.server("edge", "api.example.com")
		g := start(t, setup{config: floodedQUIC, values: map[string]string{"app": longOrShort(t), "certs": p.folder}, env: []string{"TMPDIR=" + temporary}})
		g.standsFloods(t, floods.HTTP3(), temporary, g.secureURL("public", "/good"), p.threeClient("api.example.com"), p.client("api.example.com", true))
	})
}

// standsFloods has a gateway attacked in each way, while others ask it for something.
func (g *gateway) standsFloods(t *testing.T, attacks []floods.Attack, temporary, url string, others ...*http.Client) {
	t.Helper()
	for _, client := range others {
		client.Timeout = attackTime
		if err := servedAlso(client, url); err != nil {
			t.Fatal(err)
		}
	}
	envoy, worst := g.envoyPIDs()[0], 0
	before := resident(t, envoy) >> 20
	for _, a := range attacks {
		t.Run(a.Name, func(t *testing.T) { g.stands(t, a, temporary, url, others) })
		worst = max(worst, a.Connections*a.Holds)
	}
	// What an attack leaves is free for the next.
	if after := resident(t, envoy) >> 20; after > before+worst>>20 {
		t.Errorf("Envoy had %d MiB at first, and has %d", before, after)
	}
	if pids := g.envoyPIDs(); len(pids) != 1 {
		t.Errorf("Envoys: %v", pids)
	}
}

// stands has a gateway attacked until others have been served often enough.
func (g *gateway) stands(t *testing.T, a floods.Attack, temporary, url string, others []*http.Client) {
	before, err := envoyAllocated(temporary)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	most := before // guarded by mu
	var served sync.WaitGroup
	for _, client := range others {
		served.Go(func() {
			for range othersMeanwhile {
				err := servedAlso(client, url)
				n, unknown := envoyAllocated(temporary)
				if err := errors.Join(err, unknown); err != nil {
					t.Errorf("somebody else: %v", err)
					return
				}
				mu.Lock()
				most = max(most, n)
				mu.Unlock()
			}
		})
	}
	addr := g.listeners["public"]
	if a.Hasty {
		addr = g.listeners["hasty"]
	}
	var enough atomic.Bool
	var attackers sync.WaitGroup
	for range a.Connections {
		attackers.Go(func() {
			for again := true; again; again = !enough.Load() {
				if err := a.One(addr, func() {}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	served.Wait()
	enough.Store(true)
	attackers.Wait()
	grown := most - before
	t.Logf("%d connections at once, %d KiB of at most %d", a.Connections, grown>>10, a.Connections*a.Holds>>10)
	if grown > a.Connections*a.Holds {
		t.Errorf("Envoy has taken %d KiB for %d connections", grown>>10, a.Connections)
	}
}

// longOrShort is a backend whose answer for /long is a megabyte.
func longOrShort(t *testing.T) string {
	long := strings.Repeat("long ", 200_000)
	return backendThat(t, "app", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/long" {
			_, _ = io.WriteString(w, long) // the attacker does not want it
		}
		return r.URL.Path == "/long"
	}).Addr()
}

// servedAlso is a request of somebody who does no harm.
func servedAlso(client *http.Client, url string) error {
	got, err := readAll(client.Get(url))
	if err == nil && !strings.Contains(got, `"/good"`) {
		err = fmt.Errorf("%.100q", got)
	}
	return err
}

const flooding = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], connections: {max: 60, maxPending: 60, maxRequests: 60}}
limits:
  each: {key: [clientIP], tokenBucket: {capacity: 40, refill: 1/h}}
routes:
  - {name: all, match: {path: /**}, auth: public, limits: [each], to: [{backend: app}], timeout: 60s}
`

// TestFloodOfRequests: of a client that has more requests under way at once than a
// backend takes of all together, those beyond its limit are denied, and everybody else
// is served. Without a limit there would be no room for others: nothing in a request says
// who has sent the many.
func TestFloodOfRequests(t *testing.T) {
	t.Parallel()
	const connections, streams, limit = 3, 100, 40
	release := make(chan struct{})
	app := backendThat(t, "app", func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/held" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return false
	})
	g := start(t, setup{config: flooding, values: map[string]string{"app": app.Addr()}})
	statuses := make(chan string, connections*streams)
	for range connections {
		f, err := floods.Talk(connectFrom(t, "127.0.0.77", g.listeners["public"]))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Conn.SetDeadline(time.Now().Add(attackTime)); err != nil {
			t.Fatal(err)
		}
		for range streams {
			if err := f.Ask(f.Next(), "GET", "/held", true); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				if headers, is := frame.(*http2.MetaHeadersFrame); is {
					statuses <- headers.PseudoValue("status")
				}
			}
		}()
	}
	count := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			select {
			case status := <-statuses:
				got[status]++
			case <-time.After(attackTime):
				t.Fatalf("of %d answers there are these: %v", n, got)
			}
		}
		return got
	}
	if got := count(connections*streams - limit); got["429"] != connections*streams-limit {
		t.Errorf("while the others are held: %v", got)
	}
	for _, client := range bothClients(t) {
		for range limit / 4 {
			if err := servedAlso(client, g.url("public", "/good")); err != nil {
				t.Errorf("somebody else: %v", err)
			}
		}
	}
	close(release)
	if got := count(limit); got["200"] != limit {
		t.Errorf("those within the limit: %v", got)
	}
}
