package xds

import (
	"encoding/base64"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// Three policies: one of main alone, behind a breaker, one of main or partner, and one of
// everybody, behind the same breaker.
func somePolicies() []*PlacedPolicy {
	main := PlacedCaller{Provider: &config.JWT{Name: "main", Issuer: "http://main"}, Key: "m"}
	partner := PlacedCaller{Provider: &config.JWT{Name: "partner", Issuer: "http://partner"}, Key: "p"}
	return []*PlacedPolicy{
		{Hash: "guarded", Callers: []PlacedCaller{main}, Breakers: []string{"app"}},
		{Hash: "either", Callers: []PlacedCaller{main, partner}},
		{Hash: "public", Public: true, Breakers: []string{"app"}},
	}
}

// TestWhatIsLetPass: by what is known, which rules and which providers' keys an Envoy has.
// A rule that is not there lets nobody pass; and for each that is not, a reason is told.
func TestWhatIsLetPass(t *testing.T) {
	t.Parallel()
	key := []PlacedKey{{ID: "1", Algorithms: []string{"ES256"}, Members: map[string]string{"kty": "EC"}}}
	both, none := map[string][]PlacedKey{"m": key, "p": key}, map[string]bool{}
	const all, alone, pair = "-public either either.1 guarded", "gatewright.jwt.main:m", "gatewright.jwt.main+partner:m,p"
	for name, c := range map[string]struct {
		state     PlacedState
		rules     string
		providers string
		reasons   string
	}{
		"nothing is known":    {PlacedState{}, "-public", "gatewright.jwt.main: gatewright.jwt.main+partner:", "it is not known which breakers are closed; no keys of jwt main are known; no keys of jwt partner are known"},
		"no breaker is known": {PlacedState{Keys: both}, "-public either either.1", alone + " " + pair, "it is not known which breakers are closed"},
		"all is well":         {PlacedState{Open: none, Keys: both}, all, alone + " " + pair, ""},
		"a breaker is open":   {PlacedState{Keys: both, Open: map[string]bool{"app": true, "other": true}}, "-public either either.1", alone + " " + pair, "the breaker of backend app is not closed"},
		"another is open":     {PlacedState{Keys: both, Open: map[string]bool{"other": true}}, all, alone + " " + pair, ""},
		"no keys of main": {
			PlacedState{Open: none, Keys: map[string][]PlacedKey{"p": key}}, "-public either.1", "gatewright.jwt.main: gatewright.jwt.main+partner:p", "no keys of jwt main are known",
		},
		"main's have no kid": {
			PlacedState{Open: none, Keys: map[string][]PlacedKey{"p": key}, Nameless: map[string]int{"m": 1}}, "-public either.1", "gatewright.jwt.main: gatewright.jwt.main+partner:p", "the keys of jwt main have no kid",
		},
		"some have no kid": {
			PlacedState{Open: none, Keys: both, Nameless: map[string]int{"m": 1}}, all, alone + " " + pair, "tokens of jwt main may be signed by keys that have no kid: 1 in its key set",
		},
		"revocations": {PlacedState{Open: none, Keys: both, Revoked: revokedTokens("http://partner", 64)}, all, alone + " " + pair, ""},
		"too many revocations": {
			PlacedState{Open: none, Keys: both, Revoked: revokedTokens("http://partner", 65)}, "-public either guarded", alone + " " + pair, "more than 64 revocations of issuer http://partner are in force",
		},
		"nobody knows what is revoked": {
			PlacedState{Open: none, Keys: both, RevocationsUnknown: true}, "-public", alone + " " + pair, "it is not known which tokens have been revoked",
		},
	} {
		rules, providers := servedRules(t, c.state)
		if rules != c.rules || providers != c.providers {
			t.Errorf("%s: rules %q and providers %q, want %q and %q", name, rules, providers, c.rules, c.providers)
		}
		var reasons []string
		for _, a := range WhyAskedNow(somePolicies(), c.state) {
			reasons = append(reasons, a.Reason)
		}
		if got := strings.Join(reasons, "; "); got != c.reasons {
			t.Errorf("%s: the reasons are %q, want %q", name, got, c.reasons)
		}
		if rules != all && len(reasons) == 0 {
			t.Errorf("%s: some are asked about for no reason", name)
		}
	}
}

// servedRules are the names of the rules, and by filter the providers, that are served.
func servedRules(t *testing.T, state PlacedState) (rules, providers string) {
	t.Helper()
	return servedRulesOf(t, somePolicies(), state)
}

func servedRulesOf(t *testing.T, policies []*PlacedPolicy, state PlacedState) (rules, providers string) {
	t.Helper()
	s := set{next: Resources{}}
	addPlaced(&s, policies, state)
	if len(s.errs) > 0 {
		t.Fatal(s.errs)
	}
	var filters []string
	for _, name := range sortedKeys(s.next[resource.ExtensionConfigType]) {
		served, err := s.next[resource.ExtensionConfigType][name].Message.(*corev3.TypedExtensionConfig).GetTypedConfig().UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch m := served.(type) {
		case *rbacfilterv3.RBAC:
			if m.GetRules() != nil {
				t.Error("it enforces rules: it would deny by itself")
			}
			if name == placeFilter {
				rules = strings.Join(sortedKeys(m.GetShadowRules().GetPolicies()), " ")
			}
		case *jwtauthnv3.JwtAuthentication:
			filters = append(filters, name+":"+strings.Join(sortedKeys(m.GetProviders()), ","))
		}
	}
	return rules, strings.Join(filters, " ")
}

// TestClaimsAreLookedAt: where there are few policies each looks at the form of claims
// itself, and where there are many one filter does it for them.
func TestClaimsAreLookedAt(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, fewCallers, fewCallers + 1} {
		var policies []*PlacedPolicy
		keys := map[string][]PlacedKey{"k": {{ID: "1", Algorithms: []string{"RS256"}}}}
		for i := range n {
			policies = append(policies, &PlacedPolicy{Hash: strconv.Itoa(i), Callers: []PlacedCaller{{Provider: &config.JWT{Name: "a"}, Key: "k"}}})
		}
		filter, rules := jsonFilterFor(policies), placement(policies, PlacedState{Keys: keys}).GetShadowRules().GetPolicies()
		if one := filter.GetShadowRules() != nil; one != (n > fewCallers) {
			t.Errorf("%d policies: a filter looks at claims for all: %v", n, one)
		}
		if len(rules) != n {
			t.Fatalf("%d policies have %d rules", n, len(rules))
		}
		for name, r := range rules {
			itself := false
			for _, id := range r.GetPrincipals()[0].GetAndIds().GetIds() {
				itself = itself || proto.Equal(id, strictClaims())
			}
			if of := strings.Contains(r.String(), jsonResult); itself == of || itself != (n <= fewCallers) {
				t.Errorf("%d policies: rule %s looks itself %v, and asks the filter %v", n, name, itself, of)
			}
		}
	}
}

func revokedTokens(issuer string, n int) []PlacedRevocation {
	return slices.Repeat([]PlacedRevocation{{Issuer: issuer, ID: "1"}}, n)
}

// TestSpellingsOfTokens: which Authorization headers a rule can take at all.
func TestSpellingsOfTokens(t *testing.T) {
	t.Parallel()
	keys := []PlacedKey{{ID: "k.1", Algorithms: []string{"RS256", "PS256"}}}
	compiled := func(p *config.JWT, claims string) *regexp.Regexp {
		return regexp.MustCompile("^(?:" + spellings(p, keys, claims) + ")$")
	}
	plain, typed := compiled(&config.JWT{}, segment), compiled(&config.JWT{TokenType: "logout+jwt"}, segment)
	common := map[*regexp.Regexp]*regexp.Regexp{plain: compiled(&config.JWT{}, commonSegment), typed: compiled(&config.JWT{TokenType: "logout+jwt"}, commonSegment)}
	token := func(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".e30.c2ln" }
	const usual = `{"alg":"RS256","kid":"k.1","typ":"JWT"}`
	for name, c := range map[string]struct {
		header string
		of     *regexp.Regexp
		want   bool
	}{
		"usual":                   {"Bearer " + token(usual), plain, true},
		"another order":           {"Bearer " + token(`{"typ":"JWT","kid":"k.1","alg":"PS256"}`), plain, true},
		"an access token":         {"Bearer " + token(`{"alg":"RS256","kid":"k.1","typ":"at+jwt"}`), plain, true},
		"without a type":          {"Bearer " + token(`{"alg":"RS256","kid":"k.1"}`), plain, true},
		"Keycloak's":              {"Bearer " + token(`{"alg":"RS256","typ" : "JWT","kid" : "k.1"}`), plain, true},
		"Entra's":                 {"Bearer " + token(`{"typ":"JWT","alg":"RS256","x5t":"k.1","kid":"k.1"}`), plain, true},
		"of the type":             {"Bearer " + token(`{"alg":"RS256","kid":"k.1","typ":"logout+jwt"}`), typed, true},
		"of another type":         {"Bearer " + token(usual), typed, false},
		"of none":                 {"Bearer " + token(`{"alg":"RS256","kid":"k.1"}`), typed, false},
		"critical extensions":     {"Bearer " + token(`{"alg":"RS256","kid":"k.1","typ":"JWT","crit":["x"]}`), plain, false},
		"another algorithm":       {"Bearer " + token(`{"alg":"none","kid":"k.1","typ":"JWT"}`), plain, false},
		"another key":             {"Bearer " + token(`{"alg":"RS256","kid":"kx1","typ":"JWT"}`), plain, false},
		"no key":                  {"Bearer " + token(`{"alg":"RS256","typ":"JWT"}`), plain, false},
		"lower case":              {"bearer " + token(usual), plain, false},
		"two spaces":              {"Bearer  " + token(usual), plain, false},
		"behind another":          {"Basic eA==, Bearer " + token(usual), plain, false},
		"a fourth segment":        {"Bearer " + token(usual) + ".", plain, false},
		"text behind":             {"Bearer " + token(usual) + " x", plain, false},
		"padding":                 {"Bearer " + token(usual) + "==", plain, false},
		"two bytes at the end":    {"Bearer " + strings.TrimSuffix(token(usual), "ln") + "k", plain, true},
		"bits of no byte":         {"Bearer " + strings.TrimSuffix(token(usual), "ln") + "l", plain, false},
		"a character too many":    {"Bearer " + token(usual) + "B", plain, false},
		"a line break at the end": {"Bearer " + token(usual) + "\n", plain, false},
	} {
		if got := c.of.MatchString(c.header); got != c.want {
			t.Errorf("%s: %q: %v, want %v", name, c.header, got, c.want)
		}
		if got := common[c.of].MatchString(c.header); got != c.want {
			t.Errorf("%s: %q: %v by the expression for claims of a common length, want %v", name, c.header, got, c.want)
		}
	}
	for bytes, short := range map[int]bool{700: true, 752: true, 753: false, 5000: false} {
		h := "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(usual)) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, bytes)) + ".c2ln"
		if !plain.MatchString(h) || common[plain].MatchString(h) != short {
			t.Errorf("%d bytes of claims: found %v, and of a common length %v, want true and %v", bytes, plain.MatchString(h), !short, short)
		}
	}
	if long := spellings(&config.JWT{}, []PlacedKey{{ID: strings.Repeat("k", maxHead), Algorithms: []string{"RS256"}}}, segment); len(long) > 200 {
		t.Error("a token's header that is longer than maxHead is not left out")
	}
}

// TestRulesOfOldTokens: where it is known that time has passed there is a rule for tokens
// that were issued before, in front of the one for all, and without CEL; but for policies
// whose own rule needs it.
func TestRulesOfOldTokens(t *testing.T) {
	t.Parallel()
	keys := map[string][]PlacedKey{"k": {{ID: "1", Algorithms: []string{"RS256"}}}}
	plain := &PlacedPolicy{Hash: "a", Callers: []PlacedCaller{{Provider: &config.JWT{Name: "a"}, Key: "k"}}}
	ruled := &PlacedPolicy{Hash: "b", Callers: []PlacedCaller{{Provider: &config.JWT{Name: "a"}, Key: "k", Rule: `claims.tier == "gold"`}}}
	many := slices.Repeat([]*PlacedPolicy{plain}, someCallers+1)
	if rules := placement(many, PlacedState{Keys: keys, IssuedBefore: time.Unix(1, 0)}).GetShadowRules().GetPolicies(); len(rules) != 1 || rules["a"].GetCondition() == nil {
		t.Errorf("%d policies have rules for old tokens", len(many))
	}
	for issued, want := range map[time.Time]string{{}: "a b", time.Unix(1_700_000_000, 0): "a a.any b"} {
		rules := placement([]*PlacedPolicy{plain, ruled}, PlacedState{Keys: keys, IssuedBefore: issued}).GetShadowRules().GetPolicies()
		if got := strings.Join(sortedKeys(rules), " "); got != want {
			t.Errorf("issued before %v: rules %s, want %s", issued, got, want)
		}
		for name, r := range rules {
			if needs := r.GetCondition() != nil; needs != (name != "a" || issued.IsZero()) {
				t.Errorf("issued before %v: rule %s needs CEL: %v", issued, name, needs)
			}
		}
	}
}

// TestKeysInPlace: a key is served once for each algorithm that it may be used with, and
// says which.
func TestKeysInPlace(t *testing.T) {
	t.Parallel()
	members := map[string]string{"kty": "RSA", "n": "AQ", "e": "AQAB"}
	before := maps.Clone(members)
	got := string(keySet([]PlacedKey{{ID: "1", Algorithms: []string{"RS256", "PS256"}, Members: members}}))
	want := `{"keys":[{"alg":"RS256","e":"AQAB","kid":"1","kty":"RSA","n":"AQ","use":"sig"},{"alg":"PS256","e":"AQAB","kid":"1","kty":"RSA","n":"AQ","use":"sig"}]}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !reflect.DeepEqual(members, before) {
		t.Errorf("the key itself has changed: %v", members)
	}
}

// TestRevocationsInPlace: a token is let pass that was issued in a later second than the
// last that is meant; of others, and of those that do not say when, Check is asked.
func TestRevocationsInPlace(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 500)
	rules := revocations{{ID: "5f2c"}, {Subject: "alice", IssuedBefore: at}, {IssuedBefore: at}}.none("m")
	if len(rules) != 3 {
		t.Fatalf("%d conditions", len(rules))
	}
	jti := rules[0].GetNotId().GetSourcedMetadata().GetMetadataMatcher()
	if jti.GetPath()[1].GetKey() != "jti" || jti.GetValue().GetStringMatch().GetExact() != "5f2c" {
		t.Errorf("of one token: %v", rules[0])
	}
	either := rules[1].GetOrIds().GetIds()
	if len(either) != 2 || either[1].GetNotId().GetSourcedMetadata().GetMetadataMatcher().GetValue().GetStringMatch().GetExact() != "alice" {
		t.Errorf("of a subject: %v", rules[1])
	}
	later := rules[2].GetSourcedMetadata().GetMetadataMatcher()
	if later.GetPath()[1].GetKey() != "iat" || later.GetValue().GetDoubleMatch().GetRange().GetStart() != 1_700_000_001 {
		t.Errorf("of all: %v", rules[2])
	}
}

// TestWhomThePublicRuleLetsPass: routes that say that they are public, but for those that
// have a breaker that is open, or any while it is not known which are.
func TestWhomThePublicRuleLetsPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open map[string]bool
		want []string // what must not be among a route's breakers
	}{
		"all are closed":   {map[string]bool{}, nil},
		"nothing is known": {nil, []string{"(?s).*"}},
		"two are open":     {map[string]bool{"b": true, "app": true, "closed": false}, []string{"app", "b"}},
	} {
		rules := publicPolicy(somePolicies(), PlacedState{Open: c.open}).GetPermissions()[0].GetAndRules().GetRules()
		said := rules[0].GetSourcedMetadata()
		if m := said.GetMetadataMatcher(); said.GetMetadataSource() != rbacv3.MetadataSource_ROUTE || m.GetPath()[0].GetKey() != metadataPublic || !m.GetValue().GetPresentMatch() {
			t.Errorf("%s: it is of %v", name, said)
		}
		var got []string
		for _, r := range rules[1:] {
			text := r.GetNotRule().GetSourcedMetadata().GetMetadataMatcher().GetValue().GetListMatch().GetOneOf().GetStringMatch()
			got = append(got, text.GetExact()+text.GetSafeRegex().GetRegex())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: not with %q, want %q", name, got, c.want)
		}
	}
	if got := publicPolicy(somePolicies()[:2], PlacedState{}); got != nil {
		t.Errorf("where no policy lets everybody pass there is %v", got)
	}
	if publicRule >= "0" {
		t.Error("the rule comes behind others")
	}
}
