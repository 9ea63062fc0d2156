package test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

const sockets = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  chat: {endpoints: ["{{.chat}}"]}
auth:
  apiKey: {keys: {forward: {tenant: X-Tenant-ID}}}
routes:
  - {name: chat, match: {path: /chat}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: chat}], upgrades: [websocket], timeout: 500ms}
  - {name: quiet, match: {path: /quiet}, auth: public, to: [{backend: chat}], upgrades: [websocket], idleTimeout: 1s}
  - {name: plain, match: {path: /plain}, auth: public, to: [{backend: chat}], timeout: 500ms}
  - {name: slow, match: {path: /slow}, auth: public, to: [{backend: chat}], idleTimeout: 500ms}
`

// chat is a service that greets with the tenant it is told of and then echoes,
// on any path but /slow, which never answers.
func chat(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", websocket.Handler(func(ws *websocket.Conn) {
		_ = websocket.Message.Send(ws, "hello "+ws.Request().Header.Get("X-Tenant-ID"))
		_, _ = io.Copy(ws, ws) // ends when the client goes
	}))
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// dial opens a WebSocket through the gateway.
func (g *gateway) dial(path string, headers ...header) (*websocket.Conn, error) {
	g.t.Helper()
	c, err := websocket.NewConfig("ws"+strings.TrimPrefix(g.url("public", path), "http"), "http://client.example")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range headers {
		c.Header.Set(h.name, h.value)
	}
	ws, err := websocket.DialConfig(c)
	if err == nil {
		g.t.Cleanup(func() { ws.Close() })
		err = ws.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return ws, err
}

// handshake is what asks for a WebSocket.
var handshake = []header{
	{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
	{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Origin", "http://client.example"},
}

// said is the next message, which must be this one.
func said(t testing.TB, ws *websocket.Conn, want string) {
	t.Helper()
	var got string
	if err := websocket.Message.Receive(ws, &got); err != nil || got != want {
		t.Fatalf("received %q, %v, want %q", got, err, want)
	}
}

// TestWebSockets: a connection is upgraded after the judgement, with the identity
// that we vouch for, and lives on beyond the route's timeout; and where a route
// does not say so, nothing is upgraded.
func TestWebSockets(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: sockets, values: map[string]string{"chat": chat(t)}})
	get(t, g.url("public", "/chat"), handshake...).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/plain"), handshake...).denied(t, 403, "upgrade-refused")
	get(t, g.url("public", "/quiet"), header{"Connection", "Upgrade"}, header{"Upgrade", "other"}).denied(t, 403, "upgrade-refused")

	ws, err := g.dial("/chat", g.createKey("--tenant", "acme").header(), header{"X-Tenant-ID", "forged"})
	if err != nil {
		t.Fatal(err)
	}
	said(t, ws, "hello acme")
	for begun := time.Now(); time.Since(begun) < time.Second; { // twice the timeout
		if err := websocket.Message.Send(ws, "ping"); err != nil {
			t.Fatal(err)
		}
		said(t, ws, "ping")
	}
	ws.Close()
	if line := g.logged("/chat"); line["route"] != "chat" {
		t.Errorf("access log: %v", line)
	}
}

// TestIdleTimeout: what has gone quiet is ended, upgraded or not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: sockets, values: map[string]string{"chat": chat(t)}})
	ws, err := g.dial("/quiet")
	if err != nil {
		t.Fatal(err)
	}
	said(t, ws, "hello ")
	var nothing string
	var timeout net.Error
	if err := websocket.Message.Receive(ws, &nothing); err == nil || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a quiet connection is not ended: %q, %v", nothing, err)
	}
	get(t, g.url("public", "/slow")).denied(t, 504, "backend-timeout")
}
