package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// held is a backend that answers no request before it is released.
type held struct {
	*httptest.Server
	gate chan struct{}

	mu sync.Mutex // guards all below
	// asked are the requests that have come, and from the addresses they came from.
	asked int
	from  map[string]bool
	// connections are those that have been made.
	connections int
}

func startHeld(t *testing.T) *held {
	t.Helper()
	b := &held{gate: make(chan struct{}), from: map[string]bool{}}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		b.mu.Lock()
		b.asked++
		b.from[host] = true
		b.mu.Unlock()
		select {
		case <-b.gate:
		case <-r.Context().Done():
		}
	}))
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	b.Config.Protocols = &both
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			b.mu.Lock()
			b.connections++
			b.mu.Unlock()
		}
	}
	b.Start()
	t.Cleanup(b.Close)
	return b
}

func (b *held) addr() string { return b.Listener.Addr().String() }

func (b *held) counts() (asked, connections int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked, b.connections
}

const parameters = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  bounded: {endpoints: ["{{.a}}", "{{.b}}", "{{.c}}"], loadBalancing: {policy: ring_hash, hash: [header:X-Room], maxLoad: 150}}
  bound: {endpoints: ["{{.d}}", "{{.e}}", "{{.f}}"], loadBalancing: {policy: ring_hash, hash: [header:X-Room]}}
  one-stream: {endpoints: ["{{.one}}"], protocol: http2, connections: {http2: {maxConcurrentStreams: 1}}}
  streams: {endpoints: ["{{.many}}"], protocol: http2}
  ready: {endpoints: ["{{.ready}}"], connections: {preconnect: 2}}
  from: {endpoints: ["{{.from}}"], connections: {sourceAddress: 127.0.0.2}}
  tight: {endpoints: [{{.ranks}}], loadBalancing: {policy: round_robin, overprovisioning: 100}, healthCheck: &probe {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}}
  roomy: {endpoints: [{{.ranks}}], loadBalancing: {policy: round_robin, overprovisioning: 200}, healthCheck: *probe}
routes:
  - {name: bounded, match: {path: /bounded}, auth: public, timeout: 5m, to: [{backend: bounded}]}
  - {name: bound, match: {path: /bound}, auth: public, timeout: 5m, to: [{backend: bound}]}
  - {name: one-stream, match: {path: /one-stream}, auth: public, timeout: 5m, to: [{backend: one-stream}]}
  - {name: streams, match: {path: /streams}, auth: public, timeout: 5m, to: [{backend: streams}]}
  - {name: ready, match: {path: /ready}, auth: public, timeout: 5m, to: [{backend: ready}]}
  - {name: from, match: {path: /from}, auth: public, timeout: 5m, to: [{backend: from}]}
  - {name: tight, match: {path: /tight}, auth: public, to: [{backend: tight}]}
  - {name: roomy, match: {path: /roomy}, auth: public, to: [{backend: roomy}]}
`

// TestBackendParameters: what the numbers of a backend do, where that may be mistaken.
func TestBackendParameters(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	backends := map[string]*held{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "one", "many", "ready", "from"} {
		backends[name] = startHeld(t)
		values[name] = backends[name].addr()
	}
	well, ill, second := backend(t, "well"), backend(t, "ill"), backend(t, "second")
	values["ranks"] = fmt.Sprintf("%q, %q, {address: %q, priority: 1}", well.Addr(), ill.Addr(), second.Addr())
	g := start(t, setup{config: parameters, values: values})

	// One connection, so that all is up to one worker of Envoy's.
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	caller := &http.Client{Transport: transport}
	var asking sync.WaitGroup
	t.Cleanup(func() {
		for _, b := range backends {
			close(b.gate)
		}
		asking.Wait()
		transport.CloseIdleConnections()
	})
	// ask asks so many times, one after the other has come to one of these backends.
	ask := func(t *testing.T, path string, times int, to ...string) {
		t.Helper()
		for n := range times {
			asking.Go(func() {
				r, err := http.NewRequest(http.MethodGet, g.url("public", path), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Room", "one")
				if answer, err := caller.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			})
			eventually(t, "a request comes", func() error {
				all := 0
				for _, name := range to {
					asked, _ := backends[name].counts()
					all += asked
				}
				if all != n+1 {
					return fmt.Errorf("%d have, of %d", all, n+1)
				}
				return nil
			})
		}
	}
	most := func(names ...string) (n int) {
		for _, name := range names {
			asked, _ := backends[name].counts()
			n = max(n, asked)
		}
		return n
	}

	t.Run("maxLoad is beside the average of all endpoints", func(t *testing.T) {
		ask(t, "/bound", 9, "d", "e", "f")
		ask(t, "/bounded", 9, "a", "b", "c")
		// Of 9 in flight at three endpoints the average is 3, and half more is 5, rounded
		// up: who has that many gets one more, and who has more none.
		if without, with := most("d", "e", "f"), most("a", "b", "c"); without != 9 || with > 6 {
			t.Errorf("of 9 requests for one room an endpoint has %d, and with maxLoad %d; want 9, and at most 6", without, with)
		}
	})
	t.Run("maxConcurrentStreams is of each connection to the backend", func(t *testing.T) {
		ask(t, "/one-stream", 3, "one")
		ask(t, "/streams", 3, "many")
		_, one := backends["one"].counts()
		_, many := backends["many"].counts()
		if one != 3 || many != 1 {
			t.Errorf("3 requests at once have %d connections where a connection has one, and %d where it has many; want 3 and 1", one, many)
		}
	})
	t.Run("preconnect keeps a connection ready for each that is in use", func(t *testing.T) {
		ask(t, "/ready", 1, "ready")
		eventually(t, "there are two connections", func() error {
			if _, n := backends["ready"].counts(); n != 2 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
	})
	t.Run("sourceAddress is where connections come from", func(t *testing.T) {
		ask(t, "/from", 1, "from")
		b := backends["from"]
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.from) != 1 || !b.from["127.0.0.2"] {
			t.Errorf("they come from %v", b.from)
		}
	})
	t.Run("overprovisioning is what the endpoints of a rank that are left can take", func(t *testing.T) {
		ill.SetHealthy(false)
		for _, path := range []string{"/tight", "/roomy"} {
			eventually(t, "the endpoint that is not well has nothing", func() error {
				if n := shares(t, g.url("public", path), 10)["ill"]; n > 0 {
					return fmt.Errorf("it has %d of 10", n)
				}
				return nil
			})
		}
		// Half of the first rank is left: it takes half at 100 %, and all at 200 %.
		if n := shares(t, g.url("public", "/tight"), 60)["second"]; n < 10 || n > 50 {
			t.Errorf("with 100 %% the second rank has %d of 60, want about half", n)
		}
		if n := shares(t, g.url("public", "/roomy"), 60)["second"]; n > 0 {
			t.Errorf("with 200 %% the second rank has %d of 60, want none", n)
		}
	})
}
