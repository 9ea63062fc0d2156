package test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/testenv"
)

const deniedCalls = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  calls: {endpoints: ["{{.calls}}"], protocol: grpc}
  away: {endpoints: ["{{.away}}"], protocol: grpc}
  pages: {endpoints: ["{{.pages}}"], protocol: http2}
auth: {apiKey: {keys: {}}}
limits: {few: {key: [header:X-Bucket], tokenBucket: {capacity: 1, refill: 1/h}}}
errors: [{status: [4xx, 5xx], contentType: text/html, body: "<p>${reason}</p>"}]
routes:
  - {name: closed, match: {grpc: {service: closed.Health}}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: calls}], rewrite: {path: "/grpc.health.v1.Health/{method}"}, grpcWeb: true}
  - {name: staff, match: {grpc: {service: staff.Health}}, auth: {anyOf: [{apiKey: keys, permissions: [staff]}]}, to: [{backend: calls}], grpcWeb: true}
  - {name: few, match: {grpc: {service: few.Health}}, auth: public, limits: [few], to: [{backend: calls}], rewrite: {path: "/grpc.health.v1.Health/{method}"}, grpcWeb: true}
  - {name: away, match: {grpc: {service: away.Health}}, auth: public, to: [{backend: away}], grpcWeb: true}
  - {name: pages, match: {grpc: {service: pages.Health}}, auth: public, to: [{backend: pages}], grpcWeb: true}
`

// TestGRPCWebDenials: whatever the gateway answers in a backend's place is an answer of
// gRPC-Web, with the status that a caller by gRPC has, to a client of another project
// and in bytes: limits are RESOURCE_EXHAUSTED, which clients do not try again.
func TestGRPCWebDenials(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: deniedCalls, values: map[string]string{
		"calls": healthService(t, healthv1.HealthCheckResponse_SERVING), "away": testenv.Addr(t), "pages": plainHTTP2(t),
	}})
	conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	key := g.createKey()
	for _, c := range []struct {
		service string
		headers []header
		want    codes.Code
		reason  string
	}{
		{"closed.Health", nil, codes.Unauthenticated, "credential-missing"},
		{"staff.Health", []header{key.header()}, codes.PermissionDenied, "permission-missing"},
		{"few.Health", nil, codes.ResourceExhausted, "rate-limited"},
		{"away.Health", nil, codes.Unavailable, "backend-failed"},
		{"pages.Health", nil, codes.Unavailable, ""},
		{"nowhere.Health", nil, codes.Unimplemented, ""},
	} {
		path := "/" + c.service + "/Check"
		bucket := func(client string) []header { return append(c.headers, header{"X-Bucket", client}) }
		if c.service == "few.Health" { // who has had what there is
			for _, client := range []string{"grpc", "connect", "application/grpc-web+proto", "application/grpc-web-text"} {
				if got := g.codeByConnect(path, bucket(client)); got != codes.OK {
					t.Errorf("%s: %v, want OK", path, got)
				}
			}
		}
		if got := codeByGRPC(t, conn, path, bucket("grpc")); got != c.want {
			t.Errorf("%s by gRPC: %v, want %v", path, got, c.want)
		}
		if got := g.codeByConnect(path, bucket("connect")); got != c.want {
			t.Errorf("%s by gRPC-Web of connect: %v, want %v", path, got, c.want)
		}
		if c.service == "nowhere.Health" {
			continue // no route says that it is a call: a 404, which clients take for UNIMPLEMENTED
		}
		for _, kind := range []string{"application/grpc-web+proto", "application/grpc-web-text"} {
			resp, body, _ := g.webCall(path, kind, bucket(kind)...)
			said, why := resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
			if resp.StatusCode != http.StatusOK || said != codeText(c.want) || len(body) > 0 || strings.Contains(why, "<p>") != (c.reason == "") {
				t.Errorf("%s by %s: status %d, grpc-status %q, grpc-message %q, body %q", path, kind, resp.StatusCode, said, why, body)
			}
			if c.reason != "" && !strings.Contains(why, `"reason":"`+c.reason+`"`) {
				t.Errorf("%s by %s: grpc-message %q, want the reason %s", path, kind, why, c.reason)
			}
			if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, strings.TrimSuffix(kind, "+proto")) {
				t.Errorf("%s by %s: content type %q", path, kind, got)
			}
		}
	}
}

func codeText(c codes.Code) string {
	return map[codes.Code]string{7: "7", 8: "8", 14: "14", 16: "16"}[c]
}

// codeByGRPC is what a call of gRPC ends with.
func codeByGRPC(t testing.TB, conn *grpc.ClientConn, path string, headers []header) codes.Code {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, h := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, h.name, h.value)
	}
	return status.Code(conn.Invoke(ctx, path, &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{}))
}

// codeByConnect is what a call ends with of the client that the Connect project has for
// gRPC-Web.
func (g *gateway) codeByConnect(path string, headers []header) codes.Code {
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	caller := connect.NewClient[healthv1.HealthCheckRequest, healthv1.HealthCheckResponse](client, g.url("public", path), connect.WithGRPCWeb())
	request := connect.NewRequest(&healthv1.HealthCheckRequest{})
	for _, h := range headers {
		request.Header().Set(h.name, h.value)
	}
	if _, err := caller.CallUnary(ctx, request); err != nil {
		return codes.Code(connect.CodeOf(err))
	}
	return codes.OK
}

// plainHTTP2 is a backend that knows no gRPC, and answers with an error page.
func plainHTTP2(t testing.TB) string {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<p>down</p>", http.StatusBadGateway)
	}))
	server.Config.Protocols = &protocols
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
