package authz

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/gatewright/gatewright/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	testIssuer   = "https://id.example.com/"
	testAudience = "api"
)

// payloadOf is a payload that holds at noon, with members set or, by nil, taken out.
func payloadOf(changed map[string]any) string {
	claims := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "alice",
		"exp": noon.Add(time.Hour).Unix(), "iat": noon.Add(-time.Minute).Unix(),
		"scope": "users:read orders:write", "role": "buyer", "tenant": "acme",
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(claims)))
}

// mainJWT is a provider that trusts the three test keys.
func mainJWT() *config.JWT {
	return &config.JWT{
		Name: "main", Issuer: testIssuer, Audiences: []string{testAudience},
		Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
		JWKS:       config.JWKS{Inline: jwksOf(rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk())},
		Forward:    map[string]string{"sub": "X-User-ID", "role": "X-User-Role"},
	}
}

func partnersKey() *config.APIKey {
	return &config.APIKey{Name: "partners", Forward: map[string]string{"tenant": "X-Tenant-ID"}}
}

// keySetsFor returns key sets with the providers' loaded, closed with the test.
func keySetsFor(t testing.TB, providers ...*config.JWT) *KeySets {
	t.Helper()
	k := NewKeySets(KeySetsOptions{})
	t.Cleanup(k.Close)
	k.Ensure(t.Context(), providers)
	return k
}

// verifyRaw runs a raw token through all gates at a time.
func verifyRaw(ctx context.Context, keys *KeySets, provider *config.JWT, raw string, now time.Time) (claims, Reason) {
	t, refused := parseToken(raw)
	if refused == nil {
		var c claims
		if c, _, refused = verifyToken(ctx, keys, provider, t, now); refused == nil {
			return c, ReasonAllowed
		}
	}
	return nil, refused.reason
}

// gate is a Server behind a real gRPC connection, with its fakes.
type gate struct {
	client   authv3.AuthorizationClient
	server   *Server
	policies knownPolicies
	store    *fakeStore
	limiter  *fakeLimiter
}

// newGate serves the providers' keys; change may replace any option.
func newGate(t testing.TB, keySets *KeySets, change func(*Options)) *gate {
	t.Helper()
	g := &gate{
		policies: knownPolicies{},
		store:    newFakeStore(),
		limiter:  &fakeLimiter{answer: LimitResult{Allowed: true, Limit: "per-user", Capacity: 20, Remaining: 19, ResetAfter: 100 * time.Millisecond}},
	}
	o := Options{
		Policies: g.policies, KeySets: keySets, Limiter: g.limiter, KeyFinder: g.store,
		Clock:      func() time.Time { return noon },
		KnownRoute: func(route string) bool { return route == "get-users" },
	}
	if change != nil {
		change(&o)
	}
	g.server = New(o)
	g.client = authv3.NewAuthorizationClient(dialBuf(t, func(s *grpc.Server) {
		authv3.RegisterAuthorizationServer(s, g.server)
	}))
	return g
}

func dialBuf(t testing.TB, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///buf",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-served
	})
	return conn
}

// publish makes a policy known, and returns its hash.
func (g *gate) publish(p *Policy) string {
	maps.Copy(g.policies, map[string]*Policy{p.Hash(): p})
	return p.Hash()
}

// check asks as an Envoy would.
func (g *gate) check(t testing.TB, m *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	response, err := g.client.Check(t.Context(), m)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	return response
}

// line is one header line of a request.
type line struct{ name, value string }

// ask is a request as our Envoys send it: encode_raw_headers.
func ask(hash, path string, lines ...line) *authv3.CheckRequest {
	all := []*corev3.HeaderValue{
		{Key: ":method", RawValue: []byte("GET")},
		{Key: ":path", RawValue: []byte(path)},
	}
	for _, l := range lines {
		all = append(all, &corev3.HeaderValue{Key: l.name, RawValue: []byte(l.value)})
	}
	m := askWith(hash, path)
	m.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: all}
	return m
}

// askJoined is a request as other Envoys send it: a map, duplicates joined.
func askJoined(hash, path string, lines ...line) *authv3.CheckRequest {
	joined := map[string]string{":method": "GET", ":path": path}
	for _, l := range lines {
		if before, there := joined[l.name]; there {
			joined[l.name] = before + "," + l.value
		} else {
			joined[l.name] = l.value
		}
	}
	m := askWith(hash, path)
	m.Attributes.Request.Http.Headers = joined
	return m
}

func askWith(hash, path string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7"}}}},
		Request:           &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path}},
		ContextExtensions: map[string]string{"route": "get-users", "backend": "users-v1", "policy": hash},
	}}
}

// allows reports what Envoy makes of a response: an absent status and OK both
// let the request pass, whatever else is in the message (envoy-facts.md).
func allows(r *authv3.CheckResponse) bool {
	return r.GetStatus().GetCode() == int32(codes.OK)
}

// reasonOf reads the reason where the access log reads it.
func reasonOf(r *authv3.CheckResponse) Reason {
	return Reason(r.GetDynamicMetadata().GetFields()["reason"].GetStringValue())
}

// statusOf is the HTTP status that the client gets; 200 where it is let pass.
func statusOf(r *authv3.CheckResponse) int {
	if allows(r) {
		return 200
	}
	return int(r.GetDeniedResponse().GetStatus().GetCode())
}

func headersOf(options []*corev3.HeaderValueOption) map[string]string {
	all := map[string]string{}
	for _, o := range options {
		all[o.GetHeader().GetKey()] = o.GetHeader().GetValue()
	}
	return all
}

func deniedHeader(r *authv3.CheckResponse, name string) string {
	return headersOf(r.GetDeniedResponse().GetHeaders())[name]
}

// vectors is the folder of public test data; without it the test is skipped.
func vectors(t testing.TB, path ...string) string {
	t.Helper()
	root := os.Getenv("VECTORS")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "vectors")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no public test vectors: set VECTORS to their folder (%v)", err)
	}
	return filepath.Join(append([]string{root}, path...)...)
}

func readJSON[T any](t testing.TB, path string) T {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// knownPolicies is a PolicySource.
type knownPolicies map[string]*Policy

func (k knownPolicies) Policy(hash string) *Policy { return k[hash] }
