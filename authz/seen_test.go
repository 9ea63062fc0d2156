package authz

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestSeenTokensAreJudgedAsNewOnes: over steps of time, rotations of keys and
// revocations, a server that remembers tokens answers every request as one that
// remembers none. The table is so small that tokens come and go.
func TestSeenTokensAreJudgedAsNewOnes(t *testing.T) {
	t.Parallel()
	inline := config.JWKS{Inline: jwksOf(rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk())}
	main := mainJWT()
	main.JWKS = inline
	strict := mainJWT()
	strict.Name, strict.Audiences, strict.Algorithms, strict.ClockSkew, strict.JWKS = "strict", []string{"strict"}, []string{"ES256"}, config.Duration(time.Second), inline
	foreign := mainJWT()
	foreign.Name, foreign.Issuer, foreign.JWKS = "foreign", "https://other.example.com/", config.JWKS{Inline: jwksOf(otherRSA().jwk())}
	keys := keySetsFor(t, main, strict, foreign)

	sets := [][]map[string]any{
		{rsaSigner().jwk(), ecSigner().jwk(), edSigner().jwk()},
		{otherRSA().jwk(), ecSigner().jwk()}, // another key of the same kid
		{edSigner().jwk()},
	}
	both := []any{testAudience, "strict"}
	var tokens []string
	for _, s := range []signer{rsaSigner(), otherRSA(), ecSigner(), edSigner()} {
		tokens = append(tokens,
			s.token(nil), s.token(map[string]any{"sub": "bob", "aud": both}), s.token(map[string]any{"sub": "taken-back"}),
			s.token(map[string]any{"sub": "long", "about": strings.Repeat("x", 1500)}),
			s.token(map[string]any{"exp": noon.Add(2 * time.Minute).Unix(), "aud": both}), s.token(map[string]any{"nbf": noon.Add(time.Minute).Unix(), "aud": both}),
			s.token(map[string]any{"iss": foreign.Issuer}), s.token(nil)[:40], s.token(nil)+"x")
	}
	policies := []*Policy{
		{AnyOf: []Requirement{{JWT: main}}}, {AnyOf: []Requirement{{JWT: strict}, {JWT: main, Scopes: []string{"users:read"}}}},
		{AnyOf: []Requirement{{JWT: foreign}, {JWT: main}}}, {AnyOf: []Requirement{{JWT: strict}}},
	}
	rapid.Check(t, func(t *rapid.T) {
		now, revoked := noon, false
		known := knownPolicies{}
		o := Options{
			Policies: known, KeySets: keys, Clock: func() time.Time { return now },
			TokenRevoked: func(c map[string]any) (bool, error) { return revoked && c["sub"] == "taken-back", nil },
		}
		fresh := New(o)
		o.Tokens = rapid.SampledFrom([]int{1, 32, 1000}).Draw(t, "entries")
		remembering := New(o)
		rotate(keys, inline, sets[0])
		t.Repeat(map[string]func(*rapid.T){
			"check": func(t *rapid.T) {
				p := rapid.SampledFrom(policies).Draw(t, "policy")
				known[p.Hash()] = p
				m := ask(p.Hash(), "/", withToken(rapid.SampledFrom(tokens).Draw(t, "token")))
				want, _ := fresh.Check(t.Context(), m)
				got, _ := remembering.Check(t.Context(), m)
				if !proto.Equal(got, want) {
					t.Fatalf("remembering: %v\nfresh: %v", got, want)
				}
			},
			"rotate": func(t *rapid.T) { rotate(keys, inline, rapid.SampledFrom(sets).Draw(t, "set")) },
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(-60, 90).Draw(t, "seconds")) * time.Second)
			},
			"revoke": func(*rapid.T) { revoked = !revoked },
		})
	})
}

// rotate gives a source another set, as a fetch does.
func rotate(keys *KeySets, place config.JWKS, set []map[string]any) {
	parsed, _, err := parseKeySet([]byte(jwksOf(set...)))
	if err != nil {
		panic(err)
	}
	keys.all()[keyPlace{JWKS: place}].current.Store(parsed)
}

// TestSeenTokenIsNotVerifiedAgain: neither taken apart nor verified, on any of
// the routes that take it, and not after a rotation that leaves its key.
func TestSeenTokenIsNotVerifiedAgain(t *testing.T) {
	t.Parallel()
	provider := mainJWT()
	keys := keySetsFor(t, provider)
	s := New(Options{KeySets: keys, Clock: func() time.Time { return noon }, Tokens: 100})
	raw := rsaSigner().token(nil)
	for range 3 {
		shown := &credentials{hasToken: true, rawToken: raw}
		if _, refused := s.claimsFrom(t.Context(), shown, provider, noon); refused != nil {
			t.Fatal(refused.reason)
		}
		rotate(keys, provider.JWKS, []map[string]any{edSigner().jwk(), rsaSigner().jwk()})
	}
	if hits, misses := testutil.ToFloat64(s.tokens.metrics.hits), testutil.ToFloat64(s.tokens.metrics.misses); hits != 2 || misses != 1 {
		t.Errorf("%v hits and %v misses, want 2 and 1", hits, misses)
	}
	if key := s.tokens.find(sumOf(raw)).key; !sameKey(key, rsaSigner().priv.Public()) {
		t.Error("the key that is remembered is not the one that has signed")
	}
}

// TestExpiredTokenIsForgotten, when it is shown.
func TestExpiredTokenIsForgotten(t *testing.T) {
	t.Parallel()
	provider := mainJWT()
	s := New(Options{KeySets: keySetsFor(t, provider), Tokens: 100})
	raw := rsaSigner().token(nil)
	for now, want := range map[time.Time]int{noon: 1, noon.Add(2 * time.Hour): 0} {
		s = New(Options{KeySets: s.keySets, Tokens: 100})
		for _, at := range []time.Time{noon, now} {
			_, _ = s.claimsFrom(t.Context(), &credentials{hasToken: true, rawToken: raw}, provider, at)
		}
		if got := s.tokens.len(); got != want {
			t.Errorf("at %v %d tokens are remembered, want %d", now, got, want)
		}
	}
}

// TestForgedTokensAreNotRemembered: what did not hold takes no room.
func TestForgedTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	provider := mainJWT()
	s := New(Options{KeySets: keySetsFor(t, provider), Tokens: 100})
	for _, raw := range []string{
		otherRSA().token(nil), "x", "", strings.Repeat("a", 9000), rsaSigner().token(map[string]any{"aud": "other"}),
		rsaSigner().token(map[string]any{"exp": 1}), rsaSigner().sign(`{"alg":"none"}`, payloadOf(nil)),
	} {
		if _, refused := s.claimsFrom(t.Context(), &credentials{hasToken: true, rawToken: raw}, provider, noon); refused == nil {
			t.Errorf("%.30s holds", raw)
		}
	}
	if n := s.tokens.len(); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

// TestTokenTableIsBounded by the weight of what is in it, whatever comes.
func TestTokenTableIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 400).Draw(t, "entries")
		table := newTokenTable(most, nil)
		model := map[tokenSum]bool{} // that have been added and not forgotten
		sum := rapid.Custom(func(t *rapid.T) tokenSum { return sumOf(fmt.Sprint(rapid.IntRange(0, 600).Draw(t, "token"))) })
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				one := sum.Draw(t, "sum")
				table.add(one, &seenToken{place: place{weight: rapid.IntRange(1, 8).Draw(t, "weight")}})
				model[one] = true
			},
			"find": func(t *rapid.T) {
				one := sum.Draw(t, "sum")
				if found := table.find(one); found != nil && (!model[one] || found.sum != one) {
					t.Fatal("found what was not there")
				}
			},
			"forget": func(t *rapid.T) {
				one := sum.Draw(t, "sum")
				table.forget(one)
				delete(model, one)
			},
			"": func(t *rapid.T) {
				for i := range table.shards {
					s, weight := &table.shards[i], 0
					for _, found := range s.entries {
						weight += found.weight
					}
					if weight > s.most || s.trial.weight+s.kept.weight > s.most {
						t.Fatalf("%d of weight %d, with queues of %d and %d", weight, s.most, s.trial.weight, s.kept.weight)
					}
				}
			},
		})
	})
}

// TestFloodOfNewTokens: tokens that hold and never come again push out others
// that never came again, and none that did.
func TestFloodOfNewTokens(t *testing.T) {
	t.Parallel()
	const most = 1600
	table := newTokenTable(most, nil)
	name := func(kind string, i int) tokenSum { return sumOf(fmt.Sprint(kind, i)) }
	one := func() *seenToken { return &seenToken{place: place{weight: 1}} }
	const regulars = most / 2
	for i := range regulars {
		table.add(name("regular", i), one())
		table.find(name("regular", i))
	}
	for i := range 20 * most {
		table.add(name("flood", i), one())
		if i%10 == 0 { // who is shown once in a while stays
			table.find(name("regular", i/10%regulars))
		}
	}
	lost := 0
	for i := range regulars {
		if table.find(name("regular", i)) == nil {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d regular tokens were pushed out", lost, regulars)
	}
	if n := table.len(); n > most {
		t.Errorf("%d entries, of %d at most", n, most)
	}
}

// TestTokenTableIsShared by many goroutines.
func TestTokenTableIsShared(t *testing.T) {
	t.Parallel()
	table := newTokenTable(64, nil)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				sum := sumOf(fmt.Sprint(i * (worker + 1) % 300))
				if table.find(sum) == nil {
					table.add(sum, &seenToken{place: place{weight: 1}})
				}
				if i%7 == 0 {
					table.forget(sum)
				}
			}
		})
	}
	wg.Wait()
	if n := table.len(); n > 64 {
		t.Errorf("%d entries", n)
	}
}

// TestSeenTokensKeepTheirType: a provider that asks for a type judges a token that
// another one has seen as it judges a new one.
func TestSeenTokensKeepTheirType(t *testing.T) {
	t.Parallel()
	plain, typed := mainJWT(), mainJWT()
	typed.Name, typed.TokenType = "typed", "at+jwt"
	s := New(Options{KeySets: keySetsFor(t, plain), Clock: func() time.Time { return noon }, Tokens: 100})
	raw := rsaSigner().token(nil) // its typ is JWT, or none
	for range 2 {
		for provider, want := range map[*config.JWT]Reason{plain: "", typed: ReasonTokenHeaderNotAllowed} {
			var got Reason
			if _, refused := s.claimsFrom(t.Context(), &credentials{hasToken: true, rawToken: raw}, provider, noon); refused != nil {
				got = refused.reason
			}
			if got != want {
				t.Errorf("%s: %q, want %q", provider.Name, got, want)
			}
		}
	}
}
