package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

const streamSides = `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends:
  app: {endpoints: ["{{.app}}"]}
  chat: {endpoints: ["{{.chat}}"]}
  calls-v1: {endpoints: ["{{.calls1}}"], protocol: grpc}
  calls-v2: {endpoints: ["{{.calls2}}"], protocol: grpc}
auth:
` + jwtMain + `      forward: {sub: X-Tenant-ID}
routes:
- name: chat
  match: {path: /chat}
  auth: {anyOf: [{jwt: main}]}
  to: [{backend: app, weight: 1}, {backend: chat, weight: 0}]
  pin: {claim: group, values: {testers: chat}}
  upgrades: [websocket]
  timeout: 200ms
  idleTimeout: 1s
- name: calls
  match: {grpc: {service: grpc.health.v1.Health}}
  auth: {anyOf: [{jwt: main}]}
  to: [{backend: calls-v1, weight: 1}, {backend: calls-v2, weight: 0}]
  pin: {claim: group, values: {testers: calls-v2}}
`

// TestStreamsTakeTheSideThatCheckSays: an upgraded connection, with the times that the
// route allows it, and calls of gRPC, unary and streaming.
func TestStreamsTakeTheSideThatCheckSays(t *testing.T) {
	t.Parallel()
	p := idp(t)
	g := start(t, setup{config: streamSides, values: map[string]string{
		"app": backend(t, "app").Addr(), "chat": chat(t), "issuer": p.Issuer(),
		"calls1": healthService(t, healthv1.HealthCheckResponse_NOT_SERVING), "calls2": healthService(t, healthv1.HealthCheckResponse_SERVING),
	}})
	tester := bearer(token(t, p, "sub=alice", "group=testers"))
	other := bearer(token(t, p, "sub=bob"))

	ws, err := g.dial("/chat", tester)
	if err != nil {
		t.Fatal(err)
	}
	said(t, ws, "hello alice")
	for begun := time.Now(); time.Since(begun) < 500*time.Millisecond; { // beyond the timeout
		if err := websocket.Message.Send(ws, "ping"); err != nil {
			t.Fatal(err)
		}
		said(t, ws, "ping")
	}
	begun := time.Now()
	if err := websocket.Message.Receive(ws, new(string)); err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("an idle connection was kept for %v (%v)", time.Since(begun), err)
	}
	if r := get(t, g.url("public", "/chat"), append([]header{other}, handshake...)...); r.Status == http.StatusSwitchingProtocols {
		t.Error("somebody else came to the chat")
	}

	conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := healthv1.NewHealthClient(conn)
	for caller, want := range map[header]healthv1.HealthCheckResponse_ServingStatus{
		tester: healthv1.HealthCheckResponse_SERVING, other: healthv1.HealthCheckResponse_NOT_SERVING,
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), strings.ToLower(caller.name), caller.value)
		if r, err := client.Check(ctx, &healthv1.HealthCheckRequest{}); err != nil || r.GetStatus() != want {
			t.Errorf("unary: %v, %v, want %v", r.GetStatus(), err, want)
		}
		stream, err := client.Watch(ctx, &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || r.GetStatus() != want {
			t.Errorf("streaming: %v, %v, want %v", r.GetStatus(), err, want)
		}
	}
}
