package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/demo"
	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/testenv"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/ratelimit"
)

// TestMemoryHoldsNoCredential: when requests have been answered, nothing refers
// to a key, a token or another secret that they showed, whatever is remembered
// of them: the tables of keys and tokens, the limits, the metrics.
func TestMemoryHoldsNoCredential(t *testing.T) {
	signer, err := demo.NewIDP("https://id.example.com", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	j := newMemoryJudge(t, signer)
	control := testenv.NewCanary("this-is-remembered-on-purpose-0123456789")
	remembered := []byte(control.Reveal())

	canaries := map[string]testenv.Canary{"": control}
	done := make(chan struct{})
	go func() { // its stack goes with it
		defer close(done)
		j.askAll(t, signer, canaries)
	}()
	<-done
	j.server.GracefulStop() // what was read last is in the buffers of connections
	var names []string
	var all []testenv.Canary
	for name, c := range canaries {
		names, all = append(names, name), append(all, c)
	}
	for i, n := range testenv.InMemory(t, all...) {
		switch {
		case names[i] == "" && n == 0:
			t.Error("what is remembered on purpose is not found: the test looks in the wrong place")
		case names[i] != "" && n > 0:
			t.Errorf("%s stands in memory %d times", names[i], n)
		}
	}
	runtime.KeepAlive(remembered)
	runtime.KeepAlive(j)
}

// memoryJudge is a judge as serve puts it together, behind a port.
type memoryJudge struct {
	store  *keys.Store
	server *door.Server
	addr   string
	policy string
}

func newMemoryJudge(t *testing.T, signer *demo.IDP) *memoryJudge {
	t.Helper()
	jwks := httptest.NewRecorder()
	signer.ServeHTTP(jwks, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	c, err := config.Parse("gateway.yaml", fmt.Appendf(nil, `
listeners: [{name: public, address: 127.0.0.1:8080}]
backends: {app: {endpoints: [127.0.0.1:80]}}
auth:
  jwt: {main: {issuer: "https://id.example.com", audiences: [api], jwks: {inline: '%s'}}}
  apiKey: {inHeader: {}, inQuery: {from: {query: api_key}}}
limits:
  each: {key: [apiKey, user, "header:X-Api-Key", "header:X-Secret"], tokenBucket: {capacity: 100000, refill: 100000/s}}
routes:
- name: r
  match: {path: /}
  auth: {anyOf: [{apiKey: inHeader}, {apiKey: inQuery}, {jwt: main}]}
  limits: [each]
  to: [{backend: app}]
`, jwks.Body))
	if err != nil {
		t.Fatal(err)
	}
	settings := keys.Settings{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "keys.db"), StaleFor: time.Minute}
	store, err := keys.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	cache, err := keys.NewCache(store, settings, time.Now, log, registry)
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.Open(ratelimit.Settings{}, log, registry)
	if err != nil {
		t.Fatal(err)
	}
	keySets := authz.NewKeySets(authz.KeySetsOptions{})
	keySets.Ensure(t.Context(), []*config.JWT{c.Auth.JWT["main"]})
	t.Cleanup(keySets.Close)
	policy := authz.NewPolicy(c, c.Routes[0], false)
	judge := authz.New(authz.Options{
		Policies: onePolicy{policy}, KeySets: keySets, Limiter: limiter{limits}, KeyFinder: keyFinder{cache},
		Tokens: 1000, Registerer: registry, KnownRoute: func(string) bool { return true },
	})
	d, err := door.New(door.Settings{}, log, registry)
	if err != nil {
		t.Fatal(err)
	}
	server := d.NewServer()
	server.Handle(authv3.Authorization_Check_FullMethodName, judge.Answer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = cache.Run(ctx) })
	running.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		cancel()
		running.Wait()
	})
	return &memoryJudge{store: store, server: server, addr: listener.Addr().String(), policy: policy.Hash()}
}

// onePolicy is the one that there is.
type onePolicy struct{ policy *authz.Policy }

func (p onePolicy) Policy(string) *authz.Policy { return p.policy }

// askAll shows secrets of all kinds, and remembers which.
func (j *memoryJudge) askAll(t *testing.T, signer *demo.IDP, canaries map[string]testenv.Canary) {
	conn, err := grpc.NewClient(j.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close() // what it last read is in its buffers, and the server's
	client := authv3.NewAuthorizationClient(conn)
	show := func(what, secret, path string, wantPass bool, lines ...string) {
		canaries[what] = testenv.NewCanary(secret)
		for range 3 { // new, and known
			r, err := client.Check(t.Context(), j.request(path, lines...))
			if err != nil || (r.GetStatus().GetCode() == int32(codes.OK)) != wantPass {
				t.Errorf("%s: %v, %v; want it to pass: %t", what, r, err, wantPass)
			}
		}
	}
	made := func() string {
		_, secret, err := j.store.Create(t.Context(), keys.Spec{Name: "n", Owner: "o"})
		if err != nil {
			t.Error(err)
		}
		return strings.Clone(secret.Reveal())
	}
	key := made()
	show("a key", key, "/", true, "x-api-key", key)
	inQuery := made()
	show("a key in the query", inQuery, "/?api_key="+inQuery, true)
	unmade, err := keys.New(zeros{})
	if err != nil {
		t.Error(err)
	}
	unknown := unmade.Secret.Reveal()
	show("a key that nobody made", unknown, "/", false, "x-api-key", unknown)
	show("a text that is no key", "c4n4ry-of-another-gateway-0123456789", "/", false, "x-api-key", "c4n4ry-of-another-gateway-0123456789")
	other := made()
	spoilt := key[:20] + other[20:]
	show("a key with a typing error", spoilt, "/", false, "x-api-key", spoilt)

	good := signer.Token(map[string]any{"sub": "alice"})
	show("a token", good, "/", true, "authorization", "Bearer "+good)
	expired := signer.Token(map[string]any{"sub": "bob", "exp": 1})
	show("an expired token", expired, "/", false, "authorization", "Bearer "+expired)
	strange := signer.Token(nil, demo.WithUnknownKeyID())
	show("a token of an unknown key", strange, "/", false, "authorization", "Bearer "+strange)
	show("the signature of the token", good[strings.LastIndexByte(good, '.'):], "/", true, "authorization", "Bearer "+good)

	again := made()
	secret := "c4n4ry-in-a-header-that-is-counted-0123456789"
	show("a header that a limit counts by", secret, "/", true, "x-api-key", again, "x-secret", secret)
	show("a cookie", "c4n4ry-in-a-cookie-0123456789", "/", true, "x-api-key", again, "cookie", "s=c4n4ry-in-a-cookie-0123456789")
	show("the query", "c4n4ry-in-the-query-0123456789", "/?q=c4n4ry-in-the-query-0123456789", true, "x-api-key", again)
}

func (j *memoryJudge) request(path string, lines ...string) *authv3.CheckRequest {
	headers := &corev3.HeaderMap{}
	for i := 0; i < len(lines); i += 2 {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: lines[i], RawValue: []byte(lines[i+1])})
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request:           &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path, HeaderMap: headers}},
		ContextExtensions: map[string]string{"route": "r", "policy": j.policy},
	}}
}

// zeros are what nobody draws.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
