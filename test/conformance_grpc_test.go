package test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const callRoutes = `
  - {name: gx-echo, match: {hosts: [exact.grpc.test], grpc: {service: echo.GrpcEcho, method: Echo}}, auth: public, to: [{backend: g1}]}
  - {name: gx-two, match: {hosts: [exact.grpc.test], grpc: {service: echo.GrpcEcho, method: EchoTwo}}, auth: public, to: [{backend: g2}]}
  - {name: gh-one, match: {hosts: [headers.grpc.test], grpc: {}, headers: {version: one}}, auth: public, to: [{backend: g1}]}
  - {name: gh-two, priority: 1, match: {hosts: [headers.grpc.test], grpc: {}, headers: {version: two}}, auth: public, to: [{backend: g2}]}
  - {name: gh-orange, priority: 2, match: {hosts: [headers.grpc.test], grpc: {}, headers: {version: two, color: orange}}, auth: public, to: [{backend: g1}]}
  - {name: gh-blue, match: {hosts: [headers.grpc.test], grpc: {}, headers: {color: blue}}, auth: public, to: [{backend: g1}]}
  - {name: gh-green, match: {hosts: [headers.grpc.test], grpc: {}, headers: {color: green}}, auth: public, to: [{backend: g1}]}
  - {name: gh-red, match: {hosts: [headers.grpc.test], grpc: {}, headers: {color: red}}, auth: public, to: [{backend: g2}]}
  - {name: gh-yellow, match: {hosts: [headers.grpc.test], grpc: {}, headers: {color: yellow}}, auth: public, to: [{backend: g2}]}
  - {name: gl-bar, match: {hosts: [bar.grpc], grpc: {}}, auth: public, to: [{backend: g1}]}
  - {name: gl-foo-bar, match: {hosts: [foo.bar.grpc], grpc: {}}, auth: public, to: [{backend: g2}]}
  - {name: gl-wild, match: {hosts: ["*.bar.grpc", "*.foo.grpc"], grpc: {}}, auth: public, to: [{backend: g3}]}
  - {name: gm-set, match: {hosts: [set.grpc.test], grpc: {service: echo.GrpcEcho}}, auth: public, to: [{backend: g1}], request: {set: {X-Header-Set: set-overwrites-values}}}
  - {name: gm-add, match: {hosts: [add.grpc.test], grpc: {service: echo.GrpcEcho}}, auth: public, to: [{backend: g1}], request: {add: {X-Header-Add: add-appends-values}}}
  - {name: gm-remove, match: {hosts: [remove.grpc.test], grpc: {service: echo.GrpcEcho}}, auth: public, to: [{backend: g1}], request: {remove: [X-Header-Remove]}}
  - {name: gm-multiple, match: {hosts: [multiple.grpc.test], grpc: {service: echo.GrpcEcho, method: EchoTwo}}, auth: public, to: [{backend: g2}], request: {set: {X-Header-Set-1: header-set-1, X-Header-Set-2: header-set-2}, add: {X-Header-Add-1: header-add-1, X-Header-Add-2: header-add-2}, remove: [X-Header-Remove-1, X-Header-Remove-2]}}
  - {name: gw, match: {hosts: [weight.grpc.test], grpc: {}}, auth: public, to: [{backend: g1, weight: 70}, {backend: g2, weight: 30}, {backend: g3, weight: 0}]}
`

// grpcConformer is a gRPC server that answers every unary call, and sends back
// its name and the metadata that it got, each name under "saw-".
func grpcConformer(t testing.TB, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		answer := metadata.Pairs("backend", name)
		if got, ok := metadata.FromIncomingContext(stream.Context()); ok {
			for key, values := range got {
				if strings.HasPrefix(key, "x-header-") || strings.HasPrefix(key, "some-") {
					answer.Append("saw-"+key, values...)
				}
			}
		}
		if err := stream.SendHeader(answer); err != nil {
			return err
		}
		return stream.SendMsg(new(emptypb.Empty))
	}))
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

// call is one call and what must become of it: the host and method, its metadata
// ("Name: value", apart by " | "), the backend that answers ("" for
// Unimplemented, of no route), and the metadata that the backend must see.
type call struct{ ask, with, want, seen string }

// testCalls are the tests of GRPCRoute.
func (w conformanceWorld) testCalls(t *testing.T) {
	for _, c := range []call{
		{"exact.grpc.test/echo.GrpcEcho/Echo", "", "g1", ""},
		{"exact.grpc.test/echo.GrpcEcho/EchoTwo", "", "g2", ""},
		{"exact.grpc.test/echo.GrpcEcho/EchoThree", "", "", ""},
		{"exact.grpc.test/echo.Other/Echo", "", "", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "version: one", "g1", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "version: two", "g2", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "version: two | color: orange", "g1", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "version: two | color: blue", "g2", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: orange", "", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "some-other-header: one", "", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: blue", "g1", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: green", "g1", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: red", "g2", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: yellow", "g2", ""},
		{"headers.grpc.test/echo.GrpcEcho/Echo", "color: purple", "", ""},
		{"bar.grpc/echo.GrpcEcho/Echo", "", "g1", ""},
		{"foo.bar.grpc/echo.GrpcEcho/Echo", "", "g2", ""},
		{"baz.bar.grpc/echo.GrpcEcho/Echo", "", "g3", ""},
		{"boo.bar.grpc/echo.GrpcEcho/Echo", "", "g3", ""},
		{"multiple.prefixes.bar.grpc/echo.GrpcEcho/Echo", "", "g3", ""},
		{"multiple.prefixes.foo.grpc/echo.GrpcEcho/Echo", "", "g3", ""},
		{"foo.grpc/echo.GrpcEcho/Echo", "", "", ""},
		{"no.matching.host/echo.GrpcEcho/Echo", "", "", ""},
		{"set.grpc.test/echo.GrpcEcho/Echo", "some-other-header: val", "g1", "some-other-header: val | x-header-set: set-overwrites-values"},
		{"set.grpc.test/echo.GrpcEcho/Echo", "x-header-set: overwritten", "g1", "x-header-set: set-overwrites-values"},
		{"add.grpc.test/echo.GrpcEcho/Echo", "", "g1", "x-header-add: add-appends-values"},
		{"add.grpc.test/echo.GrpcEcho/Echo", "x-header-add: appended-to", "g1", "x-header-add: appended-to,add-appends-values"},
		{"remove.grpc.test/echo.GrpcEcho/Echo", "x-header-remove: val", "g1", "!x-header-remove"},
		{"multiple.grpc.test/echo.GrpcEcho/EchoTwo", "x-header-set-2: a | x-header-add-2: b | x-header-remove-2: c | some-other-header: d", "g2",
			"x-header-set-1: header-set-1 | x-header-set-2: header-set-2 | x-header-add-1: header-add-1 | x-header-add-2: b,header-add-2 | !x-header-remove-1 | !x-header-remove-2 | some-other-header: d"},
	} {
		w.call(t, c)
	}
	counts := map[string]int{}
	const n = 400
	for range n {
		counts[w.called(t, "weight.grpc.test/echo.GrpcEcho/Echo", "").Get("backend")[0]]++
	}
	if !near(counts["g1"], n, 0.7) || !near(counts["g2"], n, 0.3) || counts["g3"] != 0 {
		t.Errorf("70, 30 and 0 of 100: %v", counts)
	}
}

// called is the metadata of an answer, or nil where no route took the call.
func (w conformanceWorld) called(t *testing.T, ask, with string) metadata.MD {
	t.Helper()
	host, method, _ := strings.Cut(ask, "/")
	conn, err := grpc.NewClient(w.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(host))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, line := range parts(with) {
		name, value, _ := strings.Cut(line, ": ")
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	var answer metadata.MD
	err = conn.Invoke(ctx, "/"+method, new(emptypb.Empty), new(emptypb.Empty), grpc.Header(&answer))
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	if err != nil {
		t.Fatalf("%s with %q: %v", ask, with, err)
	}
	return answer
}

func (w conformanceWorld) call(t *testing.T, c call) {
	t.Helper()
	got := w.called(t, c.ask, c.with)
	if name := strings.Join(got.Get("backend"), ","); name != c.want {
		t.Errorf("%s with %q: answered by %q, want %q", c.ask, c.with, name, c.want)
		return
	}
	for _, part := range parts(c.seen) {
		name, want, _ := strings.Cut(strings.TrimPrefix(part, "!"), ": ")
		if seen := strings.Join(got.Get("saw-"+name), ","); seen != want {
			t.Errorf("%s with %q: of %q the backend sees %q", c.ask, c.with, part, seen)
		}
	}
}
