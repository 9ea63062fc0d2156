package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/gatewright/gatewright/internal/testenv"
)

// shop is a gRPC server of internal/transcoding/testdata/shop.proto, which knows
// its messages by the descriptors alone.
type shop struct {
	addr  string
	set   []byte
	files *protoregistry.Files
	// last is what the last call came with.
	last atomic.Pointer[metadata.MD]
}

func newShop(t testing.TB) *shop {
	t.Helper()
	source, err := os.ReadFile("../internal/transcoding/testdata/shop.proto")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{}
	s.set, s.files = testenv.Descriptors(t, map[string]string{"shop.proto": string(source)})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(s.serve), grpc.MaxRecvMsgSize(64<<20))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("the gRPC server ended with %v", err)
		}
	})
	s.addr = listener.Addr().String()
	return s
}

// method is the descriptor of a call's method, and whether there is one.
func (s *shop) method(path string) (protoreflect.MethodDescriptor, bool) {
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	found, err := s.files.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	m, ok := found.(protoreflect.MethodDescriptor)
	return m, err == nil && ok
}

// serve answers with the request in JSON, or as the method's name asks.
func (s *shop) serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	m, ok := s.method(path)
	if !ok {
		return status.Errorf(codes.Unimplemented, "no method %s", path)
	}
	headers, _ := metadata.FromIncomingContext(stream.Context())
	s.last.Store(&headers)
	in := dynamicpb.NewMessage(m.Input())
	count := 0
	for {
		next := dynamicpb.NewMessage(m.Input())
		if err := stream.RecvMsg(next); err != nil {
			if count == 0 && !m.IsStreamingClient() {
				return err
			}
			break
		}
		in = next
		if count++; !m.IsStreamingClient() {
			break
		}
	}
	get := func(name protoreflect.Name) protoreflect.Value { return in.Get(m.Input().Fields().ByName(name)) }
	out := dynamicpb.NewMessage(m.Output())
	fill := func(json string) error { return protojson.Unmarshal([]byte(json), out) }
	switch m.Name() {
	case "Get", "Unbound":
		if err := fill(fmt.Sprintf(`{"id": "%d", "customerName": %q, "state": "SHIPPED"}`, get("id").Int(), get("customer").String())); err != nil {
			return err
		}
	case "Create":
		out = get("order").Message().Interface().(*dynamicpb.Message)
	case "Replace":
		out = in
	case "List":
		for i := range get("count").Int() {
			if err := fill(fmt.Sprintf(`{"id": "%d"}`, i+1)); err != nil {
				return err
			}
			if err := stream.SendMsg(out); err != nil {
				return err
			}
		}
		return nil
	case "Import":
		if err := fill(fmt.Sprintf(`{"count": "%d"}`, count)); err != nil {
			return err
		}
	case "Receipt":
		if err := fill(`{"contentType": "text/plain", "data": "cGFpZA=="}`); err != nil { // paid
			return err
		}
	case "Attach":
		file := get("file").Message()
		fields := file.Descriptor().Fields()
		kind, data := file.Get(fields.ByName("content_type")).String(), file.Get(fields.ByName("data")).Bytes()
		if err := fill(fmt.Sprintf(`{"count": "%d", "text": "%s of %d"}`, len(data), kind, get("id").Int())); err != nil {
			return err
		}
	case "File":
		if err := fill(fmt.Sprintf(`{"text": %q}`, get("name").String())); err != nil {
			return err
		}
	case "Fail", "FailLate":
		if m.IsStreamingServer() {
			if err := stream.SendMsg(out); err != nil {
				return err
			}
		}
		failed := status.New(codes.Code(get("code").Int()), get("message").String())
		failed, err := failed.WithDetails(&errdetails.RequestInfo{RequestId: "r-1"})
		if err != nil {
			return err
		}
		return failed.Err()
	}
	return stream.SendMsg(out)
}

const transcoded = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  shop: {endpoints: ["{{.shop}}"], protocol: grpc}
  other: {endpoints: ["{{.other}}"]}
auth:
  apiKey: {keys: {forward: {tenant: X-Tenant-ID}}}
limits:
  one: {key: ["header:X-One"], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - name: orders
    match: {path: /api/v1/**}
    auth: public
    to: [{backend: shop}]
    grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders]}
  - name: other
    match: {path: "/shop.v1.Orders/**"}
    auth: public
    to: [{backend: other}]
  - name: kept
    match: {path: "/api/v1/orders/{id}/attachment"}
    auth: {anyOf: [{apiKey: keys}]}
    to: [{backend: shop}]
    grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders], maxRequest: 1000}
  - name: limited
    match: {path: "/api/v1/files/**"}
    auth: public
    limits: [one]
    to: [{backend: shop}]
    grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders], unknownQuery: ignore}
  - name: grpc
    match: {hosts: [grpc.example.com], path: /**}
    priority: 1
    auth: public
    to: [{backend: shop}]
    grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders], unbound: true, streams: lines, enumNumbers: true, protoNames: true, defaultValues: true, errorDetails: true}
  - name: sse
    match: {hosts: [sse.example.com], path: /**}
    priority: 1
    auth: public
    to: [{backend: shop}]
    grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders], streams: sse, ignoreQuery: [trace]}
`

func startShop(t testing.TB) (*gateway, *shop) {
	t.Helper()
	s := newShop(t)
	g := prepared(t, setup{config: transcoded, values: map[string]string{"shop": s.addr, "other": backend(t, "other").Addr()}})
	g.writeFile("orders.pb", s.set)
	g.launch("run")
	g.waitReady()
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("standard error of the gateway:\n%s", g.stderr)
		}
	})
	return g, s
}

// writeFile replaces a file beside the config in one step.
func (g *gateway) writeFile(name string, content []byte) {
	g.t.Helper()
	testenv.ReplaceFile(g.t, filepath.Join(g.dir, name), content)
}

// send sends a body of JSON.
func send(t testing.TB, method, url, body string, headers ...header) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		if h.name == "Host" {
			req.Host = h.value
		} else {
			req.Header.Set(h.name, h.value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: out.String()}
}

// TestTranscode: requests of REST are calls of gRPC, and their answers JSON; each
// in every way in which google.api.http can say it.
func TestTranscode(t *testing.T) {
	t.Parallel()
	g, s := startShop(t)
	url := func(path string) string { return g.url("public", path) }
	grpcHost, sseHost := header{"Host", "grpc.example.com"}, header{"Host", "sse.example.com"}

	for _, c := range []struct {
		what, want string
		got        reply
	}{
		{"a variable of the path", `{"id":"7","state":"SHIPPED"}`, get(t, url("/api/v1/orders/7"))},
		{"an additional binding, escaped", `{"id":"7","customerName":"a b","state":"SHIPPED"}`, get(t, url("/api/v1/customers/a%20b/orders/7"))},
		{"a field in the query", `{"id":"7","customerName":"x y","state":"SHIPPED"}`, get(t, url("/api/v1/orders/7?customer=x+y"))},
		{"a body that is a field", `{"id":"9","customerName":"ann"}`, send(t, "POST", url("/api/v1/orders?dry_run=true"), `{"id": 9, "customerName": "ann"}`)},
		{"a body that is the message", `{"id":"3","customerName":"bo","items":[{"sku":"a","count":2}]}`, send(t, "PUT", url("/api/v1/orders/3"), `{"customer_name": "bo", "items": [{"sku": "a", "count": 2}]}`)},
		{"a stream as an array", `[{"id":"1"},{"id":"2"}]`, get(t, url("/api/v1/orders?count=2"))},
		{"an empty stream", `[]`, get(t, url("/api/v1/orders"))},
		{"a field of a field in the query", `[{"id":"1"}]`, get(t, url("/api/v1/orders?count=1&like.sku=a"))},
		{"a stream of the client's", `{"count":"3"}`, send(t, "POST", url("/api/v1/orders:import"), `[{"id": 1}, {"id": 2}, {"id": 3}]`)},
		{"a body of any kind", "paid", get(t, url("/api/v1/orders/7/receipt"))},
		{"a field that there is not, which Envoy passes over", `{"id":"9"}`, send(t, "POST", url("/api/v1/orders"), `{"id": 9, "colour": "red"}`)},
		{"a variable of several segments", `{"text":"shelves/1/2"}`, get(t, url("/api/v1/files/shelves/1/2?nobody=knows"), header{"X-One", "a"})},
		{"a parameter that is to be ignored", `{"id":"7","state":"SHIPPED"}`, get(t, url("/api/v1/orders/7?trace=1"), sseHost)},
		{"a variable of several segments, of which there is none", `{"text":"shelves"}`, get(t, url("/api/v1/files/shelves"), header{"X-One", "c"})},
		{"a method without a binding", `{"id":"4","customer_name":"","state":2,"items":[]}`, send(t, "POST", url("/shop.v1.Orders/Unbound"), `{"id": "4"}`, grpcHost)},
		{"a stream as lines", "{\"id\":\"1\",\"customer_name\":\"\",\"state\":0,\"items\":[]}\n{\"id\":\"2\",\"customer_name\":\"\",\"state\":0,\"items\":[]}\n", get(t, url("/api/v1/orders?count=2"), grpcHost)},
		{"a stream of events", "data: {\"id\":\"1\"}\n\ndata: {\"id\":\"2\"}\n\n", get(t, url("/api/v1/orders?count=2"), sseHost)},
	} {
		if c.got.Status != 200 || c.got.Body != c.want {
			t.Errorf("%s: %d %s, want %s", c.what, c.got.Status, c.got.Body, c.want)
		}
	}
	if kind := get(t, url("/api/v1/orders/7/receipt")).Header.Get("Content-Type"); kind != "text/plain" {
		t.Errorf("the body of any kind is of the kind %q", kind)
	}
	if kind := get(t, url("/api/v1/orders?count=2"), sseHost).Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("events are %q", kind)
	}
	key := header{"X-API-Key", g.createKey("--tenant", "acme").Key}
	if got := send(t, "POST", url("/api/v1/orders/8/attachment"), "PDF…", key, header{"Content-Type", "application/pdf"}).ok(t); got.Body != `{"count":"6","text":"application/pdf of 8"}` {
		t.Errorf("a body of any kind: %s", got.Body)
	}
	if headers := *s.last.Load(); strings.Join(headers.Get("x-tenant-id"), "") != "acme" || len(headers.Get("x-api-key")) > 0 {
		t.Errorf("what the backend is told of the caller: %v", headers)
	}

	t.Run("grpc", func(t *testing.T) { testNativeCalls(t, g, s) })
	t.Run("refused", func(t *testing.T) { testNotTranscoded(t, g) })
	t.Run("failed", func(t *testing.T) { testFailedCalls(t, g) })
	t.Run("judged", func(t *testing.T) { testTranscodedIsJudged(t, g) })
}

// testNativeCalls: a call of gRPC on the same route goes on as it is.
func testNativeCalls(t *testing.T, g *gateway, s *shop) {
	conn, err := grpc.NewClient("passthrough:///"+g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("grpc.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, _ := s.method("/shop.v1.Orders/Get")
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	in.Set(m.Input().Fields().ByName("id"), protoreflect.ValueOfInt64(5))
	if err := conn.Invoke(ctx, "/shop.v1.Orders/Get", in, out); err != nil || out.Get(m.Output().Fields().ByName("id")).Int() != 5 {
		t.Errorf("a call of gRPC: %v, %v", out, err)
	}
	m, _ = s.method("/shop.v1.Orders/Fail")
	failing := dynamicpb.NewMessage(m.Input())
	failing.Set(m.Input().Fields().ByName("code"), protoreflect.ValueOfInt32(int32(codes.Aborted)))
	if err := conn.Invoke(ctx, "/shop.v1.Orders/Fail", failing, out); status.Code(err) != codes.Aborted {
		t.Errorf("a call of gRPC that fails: %v", err)
	}
}

// testNotTranscoded: what is no call is told so, with the place of the fault.
func testNotTranscoded(t *testing.T, g *gateway) {
	url := func(path string) string { return g.url("public", path) }
	for _, c := range []struct {
		what   string
		got    reply
		status int
		reason string
		detail string
	}{
		{"a path of no method", get(t, url("/api/v1/nothing")), 404, "method-not-bound", "/api/v1/nothing"},
		{"a verb of no method", do(t, "DELETE", url("/api/v1/orders/7")), 404, "method-not-bound", ""},
		{"a parameter that is no field", get(t, url("/api/v1/orders/7?colour=red")), 400, "message-invalid", "colour"},
		{"a variable of the wrong kind", get(t, url("/api/v1/orders/seven")), 400, "message-invalid", "seven"},
		{"a parameter of the wrong kind", get(t, url("/api/v1/orders?count=many")), 400, "message-invalid", "many"},
		{"malformed JSON", send(t, "POST", url("/api/v1/orders"), `{"id": 9, "customerName": `), 400, "message-invalid", ""},
		{"JSON with a fault in it", send(t, "POST", url("/api/v1/orders"), `{"id": 9,, "x": 1}`), 400, "message-invalid", ""},
		{"a field of the wrong kind", send(t, "POST", url("/api/v1/orders"), `{"id": "nine"}`), 400, "message-invalid", "nine"},
		{"a body that says something else than the path", send(t, "PUT", url("/api/v1/orders/3"), `{"id": "4"}`), 400, "message-invalid", ""},
		{"a body that is no JSON", send(t, "POST", url("/api/v1/orders"), "\x00\xff<xml/>"), 400, "message-invalid", ""},
	} {
		if p := c.got.denied(t, c.status, c.reason); !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s: %s, want %q in it", c.what, p.Detail, c.detail)
		}
	}
	key := header{"X-API-Key", g.createKey().Key}
	send(t, "POST", url("/api/v1/orders/8/attachment"), strings.Repeat("x", 2000), key).denied(t, 413, "message-too-large")
}

// testFailedCalls: what a call fails with is a problem of HTTP.
func testFailedCalls(t *testing.T, g *gateway) {
	url := func(path string) string { return g.url("public", path) }
	for code, want := range map[int]struct {
		status int
		reason string
	}{
		1: {499, "grpc-cancelled"}, 2: {500, "grpc-unknown"}, 3: {400, "grpc-invalid-argument"}, 4: {504, "grpc-deadline-exceeded"},
		5: {404, "grpc-not-found"}, 6: {409, "grpc-already-exists"}, 7: {403, "grpc-permission-denied"}, 8: {429, "grpc-resource-exhausted"},
		9: {400, "grpc-failed-precondition"}, 10: {409, "grpc-aborted"}, 11: {400, "grpc-out-of-range"}, 12: {501, "grpc-unimplemented"},
		13: {500, "grpc-internal"}, 14: {503, "grpc-unavailable"}, 15: {500, "grpc-data-loss"}, 16: {401, "grpc-unauthenticated"},
	} {
		got := get(t, url(fmt.Sprintf("/api/v1/fail/%d?message=no%%20%%22such%%22%%20%%C3%%A4%%0Aorder", code)))
		if p := got.denied(t, want.status, want.reason); p.Detail != "no \"such\" ä\norder" {
			t.Errorf("code %d: the message is %q", code, p.Detail)
		}
		if got.Header.Get("Grpc-Status") != fmt.Sprint(code) || got.Header.Get("Grpc-Message") != "" || strings.Contains(got.Body, "r-1") {
			t.Errorf("code %d: %v %s", code, got.Header, got.Body)
		}
	}
	detailed := get(t, url("/api/v1/fail/5?message=gone"), header{"Host", "grpc.example.com"})
	detailed.denied(t, 404, "grpc-not-found")
	var body struct {
		Details []map[string]string `json:"details"`
	}
	if err := json.Unmarshal([]byte(detailed.Body), &body); err != nil || len(body.Details) != 1 || body.Details[0]["request_id"] != "r-1" {
		t.Errorf("the details: %s (%v)", detailed.Body, err)
	}
	// What has begun cannot be another status any more.
	if late := get(t, url("/api/v1/fail/5/late")); late.Status != 200 || late.Body != "[{}]" {
		t.Errorf("a stream that fails when it has begun: %d %s", late.Status, late.Body)
	}
}

// testTranscodedIsJudged: what is judged, counted, routed and logged is the
// request of the client, not the call that is made of it. The path of the call is
// that of another route, which must not get it.
func testTranscodedIsJudged(t *testing.T, g *gateway) {
	url := func(path string) string { return g.url("public", path) }
	send(t, "POST", url("/api/v1/orders/8/attachment"), "x").denied(t, 401, "credential-missing")
	one := header{"X-One", "b"}
	get(t, url("/api/v1/files/shelves/1"), one).ok(t)
	get(t, url("/api/v1/files/shelves/1"), one).denied(t, 429, "rate-limited")
	get(t, url("/api/v1/orders/71?customer=secret")).ok(t)
	line := g.logged("/api/v1/orders/71")
	if line["route"] != "orders" || line["backend"] != "shop" || line["method"] != "GET" || line["status"] != float64(200) {
		t.Errorf("the log has %v", line)
	}
	if strings.Contains(g.stdout.String(), "secret") {
		t.Error("the query is logged")
	}
}

// TestTranscodeFollowsTheDescriptor: a descriptor set that is replaced is served,
// one that is bad is not, and a gateway starts when it is gone.
func TestTranscodeFollowsTheDescriptor(t *testing.T) {
	t.Parallel()
	g, s := startShop(t)
	orders := g.url("public", "/api/v1/orders/7")
	get(t, orders).ok(t)

	g.writeFile("orders.pb", []byte("half a f"))
	eventually(t, "the bad file is told of", func() error {
		if !strings.Contains(g.stderr.String(), "must be a google.protobuf.FileDescriptorSet") {
			return fmt.Errorf("%s", g.stderr)
		}
		return nil
	})
	get(t, orders).ok(t)
	// Another change is served meanwhile.
	g.write(transcoded + "  - {name: new, match: {path: /new}, auth: public, respond: {status: 204}}\n")
	eventually(t, "the new route is served", func() error {
		if got := get(t, g.url("public", "/new")); got.Status != 204 {
			return fmt.Errorf("%d", got.Status)
		}
		return nil
	})
	get(t, orders).ok(t)

	source, err := os.ReadFile("../internal/transcoding/testdata/shop.proto")
	if err != nil {
		t.Fatal(err)
	}
	moved, _ := testenv.Descriptors(t, map[string]string{"shop.proto": strings.Replace(string(source), `get: "/api/v1/orders/{id}"`, `get: "/api/v1/moved/{id}"`, 1)})
	g.writeFile("orders.pb", moved)
	eventually(t, "the new descriptor set is served", func() error {
		if got := get(t, g.url("public", "/api/v1/moved/7")); got.Status != 200 {
			return fmt.Errorf("%d %s", got.Status, got.Body)
		}
		return nil
	})
	get(t, orders).denied(t, 404, "method-not-bound")

	g.stop()
	if err := os.Remove(filepath.Join(g.dir, "orders.pb")); err != nil {
		t.Fatal(err)
	}
	g.launch("run")
	g.waitReady()
	get(t, g.url("public", "/api/v1/moved/7")).ok(t)
	g.writeFile("orders.pb", s.set)
	eventually(t, "the descriptor set that is there again is served", func() error {
		if got := get(t, orders); got.Status != 200 {
			return fmt.Errorf("%d %s", got.Status, got.Body)
		}
		return nil
	})
}
