package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/websocket"
)

const drained = `
listeners:
  - {name: public, address: "{{listen "public"}}", bounds: {maxHeaders: 50}}
backends:
  app: {endpoints: ["{{.app}}"]}
  chat: {endpoints: ["{{.chat}}"]}
auth: {apiKey: {keys: {}}}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1000/s}}
routes:
  - {name: stream, match: {path: /stream/**}, auth: public, limits: [plenty], to: [{backend: app}], stream: true}
  - {name: chat, match: {path: /chat}, auth: public, to: [{backend: chat}], upgrades: [websocket]}
`

// gatewayPair is gateways alike, one of which a client picks for each request: a load
// balancer that asks each whether it is ready, and repeats nothing.
type gatewayPair struct {
	gateways []*gateway
	ready    []atomic.Bool
	next     atomic.Uint64
}

// watch follows /readyz of each gateway until the test ends.
func (f *gatewayPair) watch(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	probe := &http.Client{Timeout: time.Second}
	for i, g := range f.gateways {
		go func() {
			for {
				resp, err := probe.Get("http://" + g.admin + "/readyz")
				f.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
				if err == nil {
					resp.Body.Close()
				}
				select {
				case <-ended:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
	}
}

// pick is the next one that is ready.
func (f *gatewayPair) pick() *gateway {
	for range 2 * len(f.gateways) {
		i := int(f.next.Add(1)) % len(f.gateways)
		if f.ready[i].Load() {
			return f.gateways[i]
		}
	}
	return f.gateways[0] // its answer tells
}

// posts is a request that no client repeats by itself: it has a body that is gone
// when it is sent.
func (f *gatewayPair) posts(client *http.Client, path, want string) func() error {
	return func() error {
		g := f.pick()
		r, err := http.NewRequest(http.MethodPost, g.url("public", path), io.MultiReader(strings.NewReader("body")))
		if err != nil {
			return err
		}
		got, err := readAll(client.Do(r))
		if err != nil || !strings.HasPrefix(got, want) {
			return fmt.Errorf("%s: %.100q, %w", path, got, err)
		}
		if path == "/stream/events" && strings.Count(got, "data: ") != 12 {
			return fmt.Errorf("%s: cut after %d events", path, strings.Count(got, "data: "))
		}
		return nil
	}
}

// TestRollingRestart: of two gateways, Envoy and judge, each is restarted in turn under
// load: on connections that are kept and new ones, of HTTP/1.1 and HTTP/2, with quick
// answers, slow ones and streams. No request fails.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	values := map[string]string{"app": streamer(t), "chat": chat(t)}
	f := &gatewayPair{ready: make([]atomic.Bool, 2)}
	for range 2 {
		f.gateways = append(f.gateways, start(t, setup{config: drained, values: values, env: []string{"GATEWRIGHT_DRAIN_DELAY=700ms"}}))
	}
	f.watch(t)
	eventually(t, "both are ready", func() error {
		if !f.ready[0].Load() || !f.ready[1].Load() {
			return errors.New("they are not")
		}
		return nil
	})
	kept := bothClients(t)
	fresh := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var sends []func() error
	for _, client := range []*http.Client{kept["http1"], kept["http2"], fresh} {
		sends = append(sends, f.posts(client, "/stream/expect", "4"), f.posts(client, "/stream/events", "data: 0\n"), f.posts(client, "/stream/slow", "slow"))
	}
	load := steady(sends...)
	for _, g := range f.gateways {
		g.stop()
		g.launch("run")
		g.waitReady()
		eventually(t, "the load balancer has noticed", func() error {
			if !f.ready[0].Load() || !f.ready[1].Load() {
				return errors.New("it has not")
			}
			return nil
		})
	}
	load.stop(t)
}

// TestListenerChangesUnderStreams: a listener that changes lets what is under way go
// on: streams to their end, upgraded connections for GATEWRIGHT_LISTENER_DRAIN; and
// clients are told to leave. New connections meet the new listener.
func TestListenerChangesUnderStreams(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: drained, values: map[string]string{"app": streamer(t), "chat": chat(t)}, env: []string{"GATEWRIGHT_LISTENER_DRAIN=4s"}})
	ws, err := g.dial("/chat")
	if err != nil {
		t.Fatal(err)
	}
	said(t, ws, "hello ")
	f := g.frames("public")
	if err := f.Ask(f.Next(), "GET", "/stream/events", true); err != nil {
		t.Fatal(err)
	}
	if got := f.status(t, 1); got != "200" {
		t.Fatalf("the stream begins with %s", got)
	}
	kept := g.connect("public")
	if err := askOn(kept, "/stream/head"); err != nil {
		t.Fatal(err)
	}

	g.write(strings.Replace(drained, "maxHeaders: 50", "maxHeaders: 20", 1))
	many := "GET /stream/head HTTP/1.1\r\nHost: a\r\n" + headerLines(30) + "\r\n"
	eventually(t, "new connections meet the new listener", func() error {
		if r := g.bytesTo("public", many); r.Status != http.StatusRequestHeaderFieldsTooLarge {
			return errStatus(r)
		}
		return nil
	})
	changed := time.Now()
	f.until(t, func(frame http2.Frame) bool {
		return frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream)
	})
	if err := websocket.Message.Send(ws, "still here"); err != nil {
		t.Fatal(err)
	}
	said(t, ws, "still here")
	told := false
	for !told && time.Since(changed) < 10*time.Second {
		switch err := askOn(kept, "/stream/head"); {
		case errors.Is(err, errCloses), errors.Is(err, io.EOF):
			told = true
		case err != nil:
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !told {
		t.Error("a client of HTTP/1.1 is not told to leave")
	}
	var nothing string
	if err := websocket.Message.Receive(ws, &nothing); err == nil || time.Since(changed) < 3*time.Second {
		t.Errorf("an upgraded connection ended after %v: %q, %v", time.Since(changed), nothing, err)
	}
}

// TestListenerGoesUnderStreams: a listener that a config takes away lets streams that are
// under way go on to their end, and takes no new connections; its sibling is not touched.
func TestListenerGoesUnderStreams(t *testing.T) {
	t.Parallel()
	const side = `  - {name: side, address: "{{listen "side"}}"}` + "\n"
	both := strings.Replace(drained, "backends:\n", side+"backends:\n", 1)
	g := start(t, setup{config: both, values: map[string]string{"app": streamer(t), "chat": chat(t)}})
	f, kept := g.frames("side"), g.connect("public")
	if err := errors.Join(f.Ask(f.Next(), "GET", "/stream/events", true), askOn(kept, "/stream/head")); err != nil {
		t.Fatal(err)
	}
	if got := f.status(t, 1); got != "200" {
		t.Fatalf("the stream begins with %s", got)
	}
	g.write(drained)
	eventually(t, "it takes no new connections", func() error {
		conn, err := net.Dial("tcp", g.listeners["side"])
		if err != nil {
			return nil
		}
		conn.Close()
		return errors.New("it does")
	})
	if f.until(t, func(frame http2.Frame) bool {
		return frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream)
	}) == nil {
		t.Error("the stream is cut")
	}
	if err := askOn(kept, "/stream/head"); err != nil {
		t.Errorf("on the other listener: %v", err)
	}
}

// askOn asks for a path on a connection, for an answer with a length.
func askOn(conn io.ReadWriter, path string) error {
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return io.EOF
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return io.EOF
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case resp.Close:
		return errCloses
	}
	return nil
}
