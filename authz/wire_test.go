package authz

import (
	"context"
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

var (
	_ encoding.BinaryUnmarshaler = (*wireRequest)(nil)
	_ encoding.BinaryMarshaler   = wireReply(nil)
)

// asEnvoySends is a CheckRequest with all that Envoy fills in.
func asEnvoySends(m *authv3.CheckRequest) *authv3.CheckRequest {
	m = proto.Clone(m).(*authv3.CheckRequest)
	socket := func(port uint32) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Service: "s", Principal: "spiffe://a/b", Certificate: "cert", Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}}
	}
	m.Attributes.Source, m.Attributes.Destination = socket(40000), socket(8443)
	m.Attributes.MetadataContext, m.Attributes.RouteMetadataContext = &corev3.Metadata{}, &corev3.Metadata{}
	m.Attributes.Request.Time = timestamppb.New(noon)
	http := m.Attributes.Request.Http
	http.Id, http.Scheme, http.Host, http.Protocol, http.Size = "17", "https", "api.example.com", "HTTP/2", -1
	return m
}

// TestScannerKnowsWhatEnvoysSend: else it would be slow, and no test would fail.
func TestScannerKnowsWhatEnvoysSend(t *testing.T) {
	t.Parallel()
	var many []line
	for range 60 {
		many = append(many, line{"x-many", "\xff"})
	}
	for name, m := range map[string]*authv3.CheckRequest{
		"raw": asEnvoySends(ask("0123", "/a?b=c", withToken("a.b.c"))), "joined": asEnvoySends(askJoined("0123", "/", withToken("a.b.c"))),
		"unrouted": asEnvoySends(askUnrouted()), "many headers": asEnvoySends(ask("0123", "/", many...)), "empty": {},
	} {
		w := &wireRequest{text: string(must(proto.Marshal(m)))}
		if !w.scan() {
			t.Errorf("%s: the scanner gave up", name)
		}
		if want := newRequest(m); !reflect.DeepEqual(&w.request, want) {
			t.Errorf("%s: scanned %+v, want %+v", name, w.request, want)
		}
	}
}

func askUnrouted() *authv3.CheckRequest {
	m := ask("", "/")
	m.Attributes.ContextExtensions = nil
	return m
}

// FuzzScanner: of any bytes, what is read from the wire is what the generated
// code reads, or both refuse.
func FuzzScanner(f *testing.F) {
	odd := asEnvoySends(ask("0123", "/"))
	odd.Attributes.MetadataContext.FilterMetadata = map[string]*structpb.Struct{"a": {}}
	twice := must(proto.Marshal(asEnvoySends(ask("1", "/1"))))
	f.Add(append(slices.Clone(twice), twice...))
	for _, m := range []*authv3.CheckRequest{{}, odd, asEnvoySends(ask("0123", "/", withToken("a.b.c"), line{"x", "\xff"})), asEnvoySends(askJoined("0123", "/")), asEnvoySends(askUnrouted())} {
		f.Add(must(proto.Marshal(m)))
	}
	for _, text := range []string{"\x0a", "\x0a\x00\x0a\x00", "\x0a\x02\x52\x00", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0a\x80\x00", "\x8a\x00\x00", "\x08\x01", "\x0a\x04\x22\x02\x12\x00", "\x0b\x0c"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { scannedLikeGenerated(t, data) })
}

func scannedLikeGenerated(t interface{ Fatalf(string, ...any) }, data []byte) {
	var m authv3.CheckRequest
	refused := proto.Unmarshal(data, &m)
	w := &wireRequest{}
	_ = w.UnmarshalBinary(data)
	got, err := w.read()
	if (err == nil) != (refused == nil) {
		t.Fatalf("%q: read from the wire: %v, by the generated code: %v", data, err, refused)
	}
	if err != nil {
		return
	}
	if want := newRequest(&m); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: scanned %+v, want %+v", data, got, want)
	}
}

// TestScannerOnBrokenMessages: every cut, every changed byte of a real message.
func TestScannerOnBrokenMessages(t *testing.T) {
	t.Parallel()
	for _, m := range []*authv3.CheckRequest{asEnvoySends(ask("0123", "/", line{"x", "\xff"})), asEnvoySends(askJoined("0123", "/"))} {
		data := must(proto.Marshal(m))
		for i := range data {
			scannedLikeGenerated(t, data[:i])
			for _, c := range []byte{0, 1, 2, 0x7f, 0x80, 0xff, data[i] + 1, data[i] - 1, data[i] ^ 7, data[i] ^ 8} {
				changed := slices.Clone(data)
				changed[i] = c
				scannedLikeGenerated(t, changed)
			}
		}
	}
}

// TestEncodedReply is what the generated code makes of the same verdict.
func TestEncodedReply(t *testing.T) {
	t.Parallel()
	names := rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,200}`), 0, 4)
	reasons := rapid.SampledFrom([]Reason{ReasonAllowed, ReasonAllowed, ReasonRateLimited, ReasonTokenExpired, ""})
	rapid.Check(t, func(t *rapid.T) {
		v := anyVerdict(reasons).Draw(t, "verdict")
		v.removeHeaders, v.removeQuery = names.Draw(t, "removed"), names.Draw(t, "parameters")
		v.headers = append(v.headers, header{"x-long", strings.Repeat("v", rapid.IntRange(0, 20000).Draw(t, "long"))})
		data, err := encodeReply(v)
		if err != nil {
			t.Fatal(err)
		}
		var got authv3.CheckResponse
		if err := proto.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if want := reply(v); !sameButOverlapping(v, &got, want) {
			t.Fatalf("%+v\nwant %+v", &got, want)
		}
	})
}

// sameButOverlapping compares two replies. Limit keys, and plans, whose names become one by
// the replacement of invalid bytes have either value.
func sameButOverlapping(v Verdict, got, want *authv3.CheckResponse) bool {
	for field, named := range map[string]map[string]string{"limit_keys": v.LimitKeys, "limit_plans": v.LimitPlans} {
		names := map[string]bool{}
		for name := range named {
			names[validText(name)] = true
		}
		if len(names) != len(named) {
			delete(got.DynamicMetadata.Fields, field)
			delete(want.DynamicMetadata.Fields, field)
		}
	}
	return proto.Equal(got, want)
}

// TestCheckOverTheWire: both ways to serve Check answer alike, panics and
// messages that are none included.
func TestCheckOverTheWire(t *testing.T) {
	t.Parallel()
	keys := keySetsFor(t, mainJWT())
	p := &Policy{AnyOf: []Requirement{{JWT: mainJWT()}}}
	policies := knownPolicies{}
	maps.Copy(policies, map[string]*Policy{p.Hash(): p})
	s := New(Options{Policies: policies, KeySets: keys, Clock: func() time.Time { return noon }, Tokens: 10})
	broken := New(Options{Policies: faulty{}})
	for name, m := range map[string]*authv3.CheckRequest{
		"a token": ask(p.Hash(), "/", withToken(rsaSigner().token(nil))), "none": ask(p.Hash(), "/"),
		"forged": ask(p.Hash(), "/", withToken(otherRSA().token(nil))), "unknown policy": ask("x", "/"), "empty": {},
	} {
		for _, server := range []*Server{s, s, broken} {
			want := must(server.Check(t.Context(), m))
			var got authv3.CheckResponse
			if err := proto.Unmarshal(overTheWire(t, server, must(proto.Marshal(m)), nil), &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(&got, want) {
				t.Errorf("%s: %v, want %v", name, &got, want)
			}
			intercepted := 0
			overTheWire(t, server, must(proto.Marshal(m)), func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				if intercepted++; info.FullMethod != authv3.Authorization_Check_FullMethodName {
					t.Errorf("it is called %q", info.FullMethod)
				}
				return handler(ctx, req)
			})
			if intercepted != 1 {
				t.Errorf("%s: %d interceptions", name, intercepted)
			}
		}
	}
	_, err := handleCheck(s, t.Context(), func(m any) error { return m.(encoding.BinaryUnmarshaler).UnmarshalBinary([]byte("\xff")) }, nil)
	if err == nil {
		t.Error("bytes that are no message are judged")
	}
}

type faulty struct{}

func (faulty) Policy(string) *Policy { panic("a fault of the test's own") }

func overTheWire(t *testing.T, s *Server, data []byte, interceptor grpc.UnaryServerInterceptor) []byte {
	t.Helper()
	out, err := handleCheck(s, t.Context(), func(m any) error { return m.(encoding.BinaryUnmarshaler).UnmarshalBinary(data) }, interceptor)
	if err != nil {
		t.Fatal(err)
	}
	return must(out.(encoding.BinaryMarshaler).MarshalBinary())
}

// BenchmarkCheckOverTheWire is a token seen before, without gRPC.
func BenchmarkCheckOverTheWire(b *testing.B) {
	p := &Policy{AnyOf: []Requirement{{JWT: mainJWT(), Scopes: []string{"users:read"}}}}
	s := New(Options{Policies: knownPolicies{p.Hash(): p}, KeySets: keySetsFor(b, mainJWT()), Clock: func() time.Time { return noon }, Tokens: 10})
	data := must(proto.Marshal(asEnvoySends(ask(p.Hash(), "/", withToken(rsaSigner().token(nil))))))
	b.ReportAllocs()
	for b.Loop() {
		in := &wireRequest{}
		_ = in.UnmarshalBinary(data)
		if _, err := s.checkWire(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCheckAllocatesLittle: what the judgement of a caller seen before allocates,
// from the bytes of the question to those of the answer.
func TestCheckAllocatesLittle(t *testing.T) {
	p, byKey := requiring(Requirement{JWT: mainJWT(), Scopes: []string{"users:read"}}), requiring(Requirement{APIKey: partnersKey(), Permissions: []string{"users:read"}})
	s := New(Options{
		Policies: knownPolicies{p.Hash(): p, byKey.Hash(): byKey}, KeySets: keySetsFor(t, mainJWT()), KeyFinder: newFakeStore(),
		Clock: func() time.Time { return noon }, Tokens: 16,
	})
	for name, m := range map[string]*authv3.CheckRequest{
		"JWT seen before": ask(p.Hash(), "/", withToken(rsaSigner().token(nil))), "API key in cache": ask(byKey.Hash(), "/", withKey("gw_good")),
	} {
		data := must(proto.Marshal(asEnvoySends(m)))
		judge := func() {
			in := &wireRequest{}
			_ = in.UnmarshalBinary(data)
			out, err := s.checkWire(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var got authv3.CheckResponse
			if err := proto.Unmarshal(must(out.MarshalBinary()), &got); err != nil || !allows(&got) {
				t.Fatalf("%s: %v, %v", name, &got, err)
			}
		}
		judge()
		judged := testing.AllocsPerRun(100, func() {
			in := &wireRequest{}
			_ = in.UnmarshalBinary(data)
			_, _ = s.checkWire(t.Context(), in)
		})
		if judged > 13 { // and 2 of the port are 15
			t.Errorf("%s: %v allocations", name, judged)
		}
		t.Logf("%s: %v allocations", name, judged)
	}
}

// requiring is a policy as NewPolicy makes it.
func requiring(q Requirement) *Policy {
	q.forwarding = q.forwards()
	q.compile()
	return &Policy{AnyOf: []Requirement{q}}
}
