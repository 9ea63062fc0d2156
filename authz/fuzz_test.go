package authz

import (
	"maps"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/gatewright/gatewright/config"
	"google.golang.org/protobuf/proto"
)

// FuzzCheck: no bytes of a request make a protected route pass, or make Check
// fail to answer. The route takes a token or a key, and no fuzzer can sign one
// or guess one.
func FuzzCheck(f *testing.F) {
	keys := keySetsFor(f, mainJWT())
	s := New(Options{
		Policies: knownPolicies{}, KeySets: keys, KeyFinder: &fakeStore{}, Limiter: &fakeLimiter{answer: LimitResult{Allowed: true}},
		Clock: func() time.Time { return noon },
	})
	byQuery := &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}}
	p := &Policy{
		AnyOf:  []Requirement{{JWT: mainJWT()}, {APIKey: partnersKey()}, {APIKey: byQuery}},
		Limits: []*config.Limit{everyPart()},
	}
	hash := p.Hash()
	maps.Copy(s.policies.(knownPolicies), map[string]*Policy{hash: p})

	expired := withToken(rsaSigner().token(map[string]any{"exp": 1}))
	for _, m := range []*authv3.CheckRequest{
		{}, ask(hash, "/"), askJoined(hash, "/"), ask(hash, "/?key=x&k%65y=%zz", expired, withKey("x")),
		askJoined(hash, "/?key=x", expired, withKey("a,b")), ask(hash, "/", expired, line{"x-foo", "\xff"}),
	} {
		f.Add(must(proto.Marshal(m)), "authorization", []byte("Bearer a.b.c"))
	}
	fuzzDenied(f, s, hash)
}

// FuzzRuledCheck: no bytes of a request make a rule hold that asks for another
// caller, though the token and the key are good, and what the route has in
// shadow would let them pass.
func FuzzRuledCheck(f *testing.F) {
	const ofRequest = `request.path.matches("^/[a-z]*$") || request.headers.exists(h, request.headers[h].contains("x")) || request.query.size() > 3 || request.host == "a"`
	p := &Policy{
		AnyOf: []Requirement{
			{JWT: mainJWT(), Rule: `claims.sub == "root" && (` + ofRequest + `)`},
			{JWT: mainJWT(), Rule: `(` + ofRequest + `) && "root" in claims.roles`},
		},
		AllOf:  []Requirement{{APIKey: partnersKey(), Rule: `key.owner == "nobody" && (` + ofRequest + `)`}},
		Shadow: []Requirement{{JWT: mainJWT(), Rule: ofRequest}, {APIKey: partnersKey()}},
		Limits: []*config.Limit{everyPart()},
	}
	for _, all := range [][]Requirement{p.AnyOf, p.AllOf, p.Shadow} {
		for i := range all {
			if all[i].compile(); all[i].Rule != "" && all[i].compiled == nil {
				f.Fatalf("%s is no rule", all[i].Rule)
			}
		}
	}
	hash := p.Hash()
	s := New(Options{
		Policies: knownPolicies{hash: p}, KeySets: keySetsFor(f, mainJWT()), KeyFinder: newFakeStore(),
		Limiter: &fakeLimiter{answer: LimitResult{Allowed: true}}, Clock: func() time.Time { return noon },
	})
	good := withToken(rsaSigner().token(map[string]any{"roles": []string{"reader"}}))
	for _, m := range []*authv3.CheckRequest{
		ask(hash, "/abc?d=e", good, withKey("gw_good")), ask(hash, "/", good, withKey("gw_bare"), line{"x-foo", "x"}),
		askJoined(hash, "/?key=x", good, withKey("gw_good")), ask(hash, "/", withKey("gw_good")), ask(hash, "/x"),
	} {
		f.Add(must(proto.Marshal(m)), "x-foo", []byte("bar"))
	}
	fuzzDenied(f, s, hash)
}

// fuzzDenied sends what a fuzzer makes up to a route, which must deny it.
func fuzzDenied(f *testing.F, s *Server, hash string) {
	f.Fuzz(func(t *testing.T, message []byte, name string, value []byte) {
		m := &authv3.CheckRequest{}
		if proto.Unmarshal(message, m) != nil {
			m = askWith(hash, string(message))
		}
		// The route is set by Envoy. All else is the client's.
		if m.Attributes == nil {
			m.Attributes = askWith(hash, "/").Attributes
		}
		m.Attributes.ContextExtensions = map[string]string{"route": "r", "policy": hash}
		if http := m.Attributes.GetRequest().GetHttp(); http != nil && http.HeaderMap != nil {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: value})
		}
		r, err := s.Check(t.Context(), m)
		if err != nil || allows(r) {
			t.Fatalf("%v, %v", r, err)
		}
		if reasonOf(r) == ReasonInternal {
			t.Fatalf("it panicked: %v", r)
		}
		if _, err := proto.Marshal(r); err != nil {
			t.Fatalf("the answer cannot be sent: %v", err)
		}
	})
}

// FuzzToken: no bytes pass for a token but the one that was signed, in its one
// spelling, with a provider that has public keys or one that has a secret.
func FuzzToken(f *testing.F) {
	bySecret := secretJWT("HS256", "HS384", "HS512")
	keys := secretSets(f, map[string]string{"S": secret64}, mainJWT(), bySecret)
	signed := map[string]bool{}
	for alg := range macs {
		raw := macToken(alg, secret64)
		signed[raw] = true
		f.Add(raw)
	}
	for _, s := range []signer{rsaSigner(), ecSigner(), edSigner()} {
		raw := s.token(nil)
		signed[raw] = true
		f.Add(raw)
	}
	for _, h := range ours().Hostile("http://127.0.0.1/") {
		f.Add(h.Raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		allowed := 0
		for _, provider := range []*config.JWT{mainJWT(), bySecret} {
			_, reason := verifyRaw(t.Context(), keys, provider, raw, noon)
			if _, known := problems[reason]; !known && reason != ReasonAllowed {
				t.Fatalf("refused for %q", reason)
			}
			if reason == ReasonAllowed && !signed[raw] && !isMalleableES256(raw) {
				t.Fatalf("accepted a token that nobody signed: %q", raw)
			}
			if reason == ReasonAllowed {
				allowed++
			}
		}
		if allowed > 1 {
			t.Fatalf("accepted by a key and by a secret: %q", raw)
		}
	})
}

// isMalleableES256 reports whether the token is ECDSA: from one signature
// anybody can make another one for the same content (s and n-s), by design of
// the algorithm.
func isMalleableES256(raw string) bool {
	t, refused := parseToken(raw)
	return refused == nil && t.alg == "ES256"
}
