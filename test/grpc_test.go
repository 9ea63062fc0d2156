package test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const calls = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  service: {endpoints: ["{{.service}}"], protocol: grpc}
  method: {endpoints: ["{{.method}}"], protocol: grpc}
  vip: {endpoints: ["{{.vip}}"], protocol: grpc}
  web: {endpoints: ["{{.web}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - {name: service, match: {grpc: {service: grpc.health.v1.Health}}, auth: public, to: [{backend: service}], timeout: 24h}
  - {name: method, match: {grpc: {service: grpc.health.v1.Health, method: Check}}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: method}]}
  - {name: vip, match: {grpc: {service: grpc.health.v1.Health, method: Check}, headers: {X-Plan: gold}}, auth: public, to: [{backend: vip}]}
  - {name: old, match: {grpc: {service: old.Health}}, auth: public, to: [{backend: service}], rewrite: {path: "/grpc.health.v1.Health/{method}"}}
  - {name: web, match: {path: /grpc.health.v1.Health/**}, auth: public, to: [{backend: web}]}
`

// healthService is a gRPC server with the standard health service, which tells
// of the status by which a test knows the server again.
func healthService(t testing.TB, status healthv1.HealthCheckResponse_ServingStatus) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), health.NewServer()
	service.SetServingStatus("", status)
	healthv1.RegisterHealthServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("the gRPC server ended with %v", err)
		}
	})
	return listener.Addr().String()
}

// TestGRPC: calls are routed by service and method, unary and streaming; what is
// refused is refused with a status of gRPC; and what is no gRPC call goes by its
// path.
func TestGRPC(t *testing.T) {
	t.Parallel()
	const inMethod, inService, inVIP = healthv1.HealthCheckResponse_SERVING, healthv1.HealthCheckResponse_NOT_SERVING, healthv1.HealthCheckResponse_UNKNOWN
	g := start(t, setup{config: calls, values: map[string]string{
		"service": healthService(t, inService), "method": healthService(t, inMethod), "vip": healthService(t, inVIP),
		"web": backend(t, "web").Addr(),
	}})
	conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := healthv1.NewHealthClient(conn)

	if _, err := client.Check(ctx, nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a key: %v, want Unauthenticated", err)
	}
	keyed := metadata.AppendToOutgoingContext(ctx, "x-api-key", g.createKey().Key)
	if got, err := client.Check(keyed, nil); err != nil || got.GetStatus() != inMethod {
		t.Errorf("the method: %v, %v", got, err)
	}
	gold := metadata.AppendToOutgoingContext(ctx, "x-plan", "gold")
	if got, err := client.Check(gold, nil); err != nil || got.GetStatus() != inVIP {
		t.Errorf("the method with the header: %v, %v", got, err)
	}
	watch, err := client.Watch(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != inService {
		t.Errorf("another method of the service, which streams: %v, %v", got, err)
	}
	var renamed healthv1.HealthCheckResponse
	if err := conn.Invoke(ctx, "/old.Health/Check", &healthv1.HealthCheckRequest{}, &renamed); err != nil || renamed.GetStatus() != inService {
		t.Errorf("the rewritten service: %v, %v", &renamed, err)
	}
	if err := conn.Invoke(ctx, "/no.Health/Check", &healthv1.HealthCheckRequest{}, &renamed); status.Code(err) != codes.Unimplemented {
		t.Errorf("a service of no route: %v, want Unimplemented", err)
	}

	const path = "/grpc.health.v1.Health/Check"
	for _, r := range []reply{
		get(t, g.url("public", path)),
		get(t, g.url("public", path), header{"Content-Type", "application/grpc"}),
		do(t, http.MethodPost, g.url("public", path)),
		do(t, http.MethodPost, g.url("public", path), header{"Content-Type", "application/json"}),
		do(t, http.MethodPost, g.url("public", path), header{"Content-Type", "application/grpc-web+proto"}),
	} {
		if e := r.ok(t).echo(t); e.Backend != "web" {
			t.Errorf("what is no gRPC call went to %s", e.Backend)
		}
	}
}
