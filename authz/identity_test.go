package authz

import (
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/gatewright/gatewright/config"
)

// The credentials that tests show.

func withToken(raw string) line { return line{"authorization", "Bearer " + raw} }

func withKey(key string) line { return line{"x-api-key", key} }

// twoIssuers are main and another one, with a key of its own under the same kid.
func twoIssuers() (*config.JWT, *config.JWT) {
	other := mainJWT()
	other.Name, other.Issuer = "other", "https://other.example.com/"
	other.JWKS.Inline = jwksOf(otherRSA().jwk())
	return mainJWT(), other
}

// readersOnly is a route for tokens with a scope and a role, or keys with a permission.
func readersOnly() *Policy {
	c := shop()
	r := shopRoute()
	r.Limits = nil
	r.Auth.AnyOf[0].Claims = map[string][]string{"role": {"buyer"}}
	return NewPolicy(c, r, false)
}

func TestAnyOf(t *testing.T) {
	main, other := twoIssuers()
	g := newGate(t, keySetsFor(t, main, other), nil)
	readers := g.publish(readersOnly())
	tokens := g.publish(&Policy{AnyOf: []Requirement{{JWT: main, Scopes: []string{"users:read"}}}})
	keys := g.publish(&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}})
	both := g.publish(&Policy{AnyOf: []Requirement{{JWT: main}, {JWT: other}}})
	twice := g.publish(&Policy{AnyOf: []Requirement{{JWT: main, Scopes: []string{"nobody:has"}}, {JWT: main, Scopes: []string{"users:read"}}}})
	impossible := g.publish(&Policy{AnyOf: []Requirement{{}}})

	rs := rsaSigner()
	good := withToken(rs.token(nil))
	narrow := withToken(rs.token(map[string]any{"scope": "orders:write"}))
	seller := withToken(rs.token(map[string]any{"role": "seller"}))
	expired := withToken(rs.token(map[string]any{"exp": noon.Add(-time.Hour).Unix()}))
	ofOther := withToken(otherRSA().token(map[string]any{"iss": other.Issuer}))
	ofOtherExpired := withToken(otherRSA().token(map[string]any{"iss": other.Issuer, "exp": noon.Add(-time.Hour).Unix()}))

	const bearer, apiKey = `Bearer realm="gateway"`, `ApiKey realm="gateway"`
	const invalid = bearer + `, error="invalid_token"`
	for name, c := range map[string]struct {
		policy    string
		lines     []line
		want      Reason
		challenge string
	}{
		"a good token":                     {readers, []line{good}, ReasonAllowed, ""},
		"a good key":                       {readers, []line{withKey("gw_good")}, ReasonAllowed, ""},
		"both good":                        {readers, []line{good, withKey("gw_good")}, ReasonAllowed, ""},
		"nothing":                          {readers, nil, ReasonCredentialMissing, bearer + ", " + apiKey},
		"another scheme":                   {readers, []line{{"authorization", "Basic dXNlcjpwYXNz"}}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"an empty header":                  {readers, []line{{"authorization", ""}, withKey("")}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"a bad token beside a good key":    {readers, []line{expired, withKey("gw_good")}, ReasonAllowed, ""},
		"a good token beside a bad key":    {readers, []line{good, withKey("gw_none")}, ReasonAllowed, ""},
		"a narrow token beside a good key": {readers, []line{narrow, withKey("gw_good")}, ReasonAllowed, ""},
		"both bad":                         {readers, []line{expired, withKey("gw_revoked")}, ReasonTokenExpired, invalid + ", " + apiKey},
		"a bad key alone":                  {readers, []line{withKey("gw_revoked")}, ReasonAPIKeyRevoked, bearer + ", " + apiKey},
		"a bad token beside a weak key":    {readers, []line{expired, withKey("gw_bare")}, ReasonPermissionMissing, bearer + ", " + apiKey},
		"a narrow token beside a bad key":  {readers, []line{narrow, withKey("gw_none")}, ReasonScopeMissing, bearer + `, error="insufficient_scope", scope="users:read", ` + apiKey},
		"a seller's token":                 {readers, []line{seller}, ReasonClaimMismatch, bearer + `, error="insufficient_scope", ` + apiKey},
		"tokens only, nothing":             {tokens, nil, ReasonCredentialMissing, bearer},
		"tokens only, a key":               {tokens, []line{withKey("gw_good")}, ReasonCredentialMissing, bearer},
		"tokens only, no scope":            {tokens, []line{narrow}, ReasonScopeMissing, bearer + `, error="insufficient_scope", scope="users:read"`},
		"tokens only, not a token":         {tokens, []line{withToken("abc")}, ReasonTokenMalformed, invalid},
		"tokens only, two spaces":          {tokens, []line{{"authorization", "Bearer  " + good.value[7:]}}, ReasonTokenMalformed, invalid},
		"tokens only, scheme in capitals":  {tokens, []line{{"authorization", "BEARER " + good.value[7:]}}, ReasonAllowed, ""},
		"keys only, nothing":               {keys, nil, ReasonCredentialMissing, apiKey},
		"keys only, a token":               {keys, []line{good}, ReasonCredentialMissing, apiKey},
		"keys only, expired":               {keys, []line{withKey("gw_expired")}, ReasonAPIKeyExpired, apiKey},
		"keys only, malformed":             {keys, []line{withKey("gw_odd")}, ReasonAPIKeyInvalid, apiKey},
		"keys only, unknown":               {keys, []line{withKey("gw_none")}, ReasonAPIKeyInvalid, apiKey},
		"keys only, bytes":                 {keys, []line{withKey("gw_\xff")}, ReasonAPIKeyInvalid, apiKey},
		"keys only, huge":                  {keys, []line{withKey(strings.Repeat("k", 513))}, ReasonAPIKeyInvalid, apiKey},
		"the second issuer's":              {both, []line{ofOther}, ReasonAllowed, ""},
		"the first issuer's":               {both, []line{good}, ReasonAllowed, ""},
		"the second issuer's, expired":     {both, []line{ofOtherExpired}, ReasonTokenExpired, invalid},
		"a third issuer's":                 {both, []line{withToken(rs.token(map[string]any{"iss": "x"}))}, ReasonTokenIssuerMismatch, invalid},
		"another issuer's on this route":   {tokens, []line{ofOther}, ReasonTokenIssuerMismatch, invalid},
		"one provider twice":               {twice, []line{good}, ReasonAllowed, ""},
		"a requirement that asks nothing":  {impossible, []line{good, withKey("gw_good")}, ReasonInternal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.check(t, ask(c.policy, "/api", c.lines...))
			if got := reasonOf(r); got != c.want || allows(r) != (c.want == ReasonAllowed) {
				t.Fatalf("got %s (allows %t), want %s", got, allows(r), c.want)
			}
			if got := deniedHeader(r, "www-authenticate"); got != c.challenge {
				t.Errorf("challenge %q, want %q", got, c.challenge)
			}
		})
	}
}

// The matrix of three issuers and three routes: a token is for its own issuer's
// route, whatever keys and kids they share.
func TestIssuersAreApart(t *testing.T) {
	issuers := make([]*config.JWT, 3)
	for i, name := range []string{"a", "b", "c"} {
		p := mainJWT()
		p.Name, p.Issuer, p.Audiences = name, "https://"+name+".example.com/", []string{"api-" + name}
		issuers[i] = p
	}
	issuers[1].JWKS.Inline = jwksOf(otherRSA().jwk()) // a and c share their keys
	g := newGate(t, keySetsFor(t, issuers...), nil)
	for _, at := range issuers {
		hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: at}}})
		for _, from := range issuers {
			for _, s := range []signer{rsaSigner(), otherRSA()} {
				token := s.token(map[string]any{"iss": from.Issuer, "aud": from.Audiences})
				ownKey := (s.priv == otherRSA().priv) == (from == issuers[1])
				want := at == from && ownKey
				r := g.check(t, ask(hash, "/", withToken(token)))
				if allows(r) != want || !want && statusOf(r) != 401 {
					t.Errorf("a token of %s (own key: %t) on a route of %s: %s", from.Name, ownKey, at.Name, reasonOf(r))
				}
			}
		}
	}
}

func TestDuplicateCredentials(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	readers := g.publish(readersOnly())
	byQuery := g.publish(&Policy{AnyOf: []Requirement{{APIKey: &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}}}}})
	good, other := withToken(rsaSigner().token(nil)), withToken("x")
	upper := line{"Authorization", good.value}
	for name, c := range map[string]struct {
		m    *authv3.CheckRequest
		want Reason
	}{
		"two tokens":                       {ask(readers, "/", good, other), ReasonDuplicateCredential},
		"the same token twice":             {ask(readers, "/", good, good), ReasonDuplicateCredential},
		"two spellings of the header":      {ask(readers, "/", good, upper), ReasonDuplicateCredential},
		"two tokens, joined":               {askJoined(readers, "/", good, other), ReasonDuplicateCredential},
		"two tokens, as Envoy joins lines": {ask(readers, "/", line{"authorization", good.value + "," + good.value}), ReasonDuplicateCredential},
		"two keys in one line":             {ask(readers, "/", withKey("gw_good,gw_good")), ReasonDuplicateCredential},
		"two schemes, joined":              {askJoined(readers, "/", line{"authorization", "Basic x"}, good), ReasonDuplicateCredential},
		"an empty one and a token, joined": {askJoined(readers, "/", line{"authorization", ""}, good), ReasonDuplicateCredential},
		"two keys":                         {ask(readers, "/", withKey("gw_good"), withKey("gw_bare")), ReasonDuplicateCredential},
		"two keys beside a good token":     {ask(readers, "/", good, withKey("gw_good"), withKey("gw_good")), ReasonDuplicateCredential},
		"two keys, joined":                 {askJoined(readers, "/", withKey("gw_good"), withKey("gw_good")), ReasonDuplicateCredential},
		"a key twice in the query":         {ask(byQuery, "/?key=gw_good&key=gw_good"), ReasonDuplicateCredential},
		"a key with its name escaped":      {ask(byQuery, "/?k%65y=gw_good"), ReasonMalformedQuery},
		"one, joined":                      {askJoined(readers, "/", good), ReasonAllowed},
		"two headers that nobody reads":    {ask(byQuery, "/?key=gw_good", good, other), ReasonAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.check(t, c.m)
			if reasonOf(r) != c.want || c.want != ReasonAllowed && statusOf(r) != 400 {
				t.Errorf("%d %s, want %s", statusOf(r), reasonOf(r), c.want)
			}
		})
	}
}

// What cannot be said now is a 503, and never a pass.
func TestProvidersThatAreDown(t *testing.T) {
	down := mainJWT()
	down.Name, down.JWKS = "down", config.JWKS{Inline: "{}"}
	main := mainJWT()
	g := newGate(t, keySetsFor(t, main, down), nil)
	g.store.err = errStoreDown
	good := withToken(rsaSigner().token(nil))
	for name, c := range map[string]struct {
		policy *Policy
		lines  []line
		want   Reason
	}{
		"no keys":                         {&Policy{AnyOf: []Requirement{{JWT: down}}}, []line{good}, ReasonJWKSUnavailable},
		"no keys, and no token either":    {&Policy{AnyOf: []Requirement{{JWT: down}}}, nil, ReasonCredentialMissing},
		"no key store":                    {&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}}, []line{withKey("gw_good")}, ReasonKeyStoreUnavailable},
		"no key store, and no key either": {&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}}, nil, ReasonCredentialMissing},
		"no key store, a good token":      {&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}, {JWT: main}}}, []line{good, withKey("gw_good")}, ReasonAllowed},
		"no key store, a bad token":       {&Policy{AnyOf: []Requirement{{JWT: main}, {APIKey: partnersKey()}}}, []line{withToken("x"), withKey("gw_good")}, ReasonKeyStoreUnavailable},
		"no key store, a narrow token":    {&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}, {JWT: main, Scopes: []string{"x"}}}}, []line{good, withKey("gw_good")}, ReasonScopeMissing},
	} {
		r := g.check(t, ask(g.publish(c.policy), "/", c.lines...))
		if reasonOf(r) != c.want {
			t.Errorf("%s: %s, want %s", name, reasonOf(r), c.want)
		}
		if c.want == ReasonJWKSUnavailable && statusOf(r) != 503 {
			t.Errorf("%s: %d", name, statusOf(r))
		}
	}
}

// A credential is verified once a request, and a text that can be no key costs
// the store nothing.
func TestCredentialsAreVerifiedOnce(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	partners := partnersKey()
	hash := g.publish(&Policy{AnyOf: []Requirement{
		{APIKey: partners, Permissions: []string{"a"}}, {APIKey: partners, Permissions: []string{"b"}}, {APIKey: partners},
	}})
	if r := g.check(t, ask(hash, "/", withKey("gw_good"))); !allows(r) || g.store.questions() != 1 {
		t.Errorf("%s, %d questions", reasonOf(r), g.store.questions())
	}
	g.check(t, ask(hash, "/", withKey("with space")))
	g.check(t, ask(hash, "/", withKey(strings.Repeat("x", 600))))
	if n := g.store.questions(); n != 1 {
		t.Errorf("%d questions about what is no key", n-1)
	}
}

// What a backend is told, and what it must not see.
func TestWhatTheBackendSees(t *testing.T) {
	main, other := twoIssuers()
	keeping := mainJWT()
	keeping.Name, keeping.ForwardCredential, keeping.Issuer = "keeping", true, "https://keeping.example.com/"
	byQuery := &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}, Forward: map[string]string{"id": "X-Key-ID", "owner": "X-User-ID"}}
	byHeader := &config.APIKey{Name: "h", From: config.KeySource{Header: "X-Secret"}, Forward: map[string]string{"tenant": "X-Tenant-ID"}}
	main.Forward = map[string]string{"sub": "X-User-ID", "groups": "X-Groups", "level": "X-Level", "deep": "X-Deep"}
	g := newGate(t, keySetsFor(t, main, other, keeping), nil)
	all := g.publish(&Policy{AnyOf: []Requirement{{JWT: main}, {JWT: keeping}, {APIKey: byQuery}, {APIKey: byHeader}}})
	public := g.publish(&Policy{Limits: []*config.Limit{shop().Limits["per-ip"]}})

	type want struct {
		set    string
		remove string
		query  string
	}
	for name, c := range map[string]struct {
		m *authv3.CheckRequest
		want
	}{
		"a token": {ask(all, "/?key=x", withToken(rsaSigner().token(map[string]any{
			"sub": "al\r\nice%", "groups": []string{"a", "b,c"}, "level": 7.0, "deep": map[string]any{"x": 1}}))),
			want{"x-groups=a,b%2Cc x-level=7 x-user-id=al%0D%0Aice%25",
				"authorization x-deep x-key-id x-secret x-tenant-id x-user-role", "key"}},
		"a token that is kept": {ask(all, "/", withToken(rsaSigner().token(map[string]any{"iss": keeping.Issuer, "role": ""}))),
			want{"x-user-id=alice", "x-deep x-groups x-key-id x-level x-secret x-tenant-id x-user-role", "key"}},
		"a key, and a token that nobody has verified": {ask(all, "/?key=gw_good", withToken("x")),
			want{"x-key-id=k1 x-user-id=bob", "authorization x-deep x-groups x-level x-secret x-tenant-id x-user-role", "key"}},
		"a key without an owner": {ask(all, "/?key=gw_bare"),
			want{"x-key-id=k2", "authorization x-deep x-groups x-level x-secret x-tenant-id x-user-id x-user-role", "key"}},
		"a public route": {ask(public, "/?key=x", withToken("x")), want{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.check(t, c.m)
			if !allows(r) {
				t.Fatal(reasonOf(r))
			}
			ok := r.GetOkResponse()
			set := headersOf(ok.GetHeaders())
			var pairs []string
			for _, name := range sortedKeys(set) {
				pairs = append(pairs, name+"="+set[name])
			}
			got := want{strings.Join(pairs, " "), strings.Join(ok.GetHeadersToRemove(), " "), strings.Join(ok.GetQueryParametersToRemove(), " ")}
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			for _, o := range ok.GetHeaders() {
				if o.GetAppendAction().String() != "OVERWRITE_IF_EXISTS_OR_ADD" {
					t.Errorf("%s is %s", o.GetHeader().GetKey(), o.GetAppendAction())
				}
			}
		})
	}
}

func TestForwardedClaimTooLong(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}})
	for n, want := range map[int]Reason{1024: ReasonAllowed, 1025: ReasonTokenClaimsInvalid} {
		r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(map[string]any{"sub": strings.Repeat("s", n)}))))
		if reasonOf(r) != want {
			t.Errorf("a sub of %d bytes: %s, want %s", n, reasonOf(r), want)
		}
	}
}

func TestIdentityInTheLog(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	readers := g.publish(readersOnly())
	for name, c := range map[string]struct {
		l    line
		want map[string]string
	}{
		"a token":        {withToken(rsaSigner().token(nil)), map[string]string{"user": "alice", "tenant": "acme", "provider": "main"}},
		"a narrow token": {withToken(rsaSigner().token(map[string]any{"scope": ""})), map[string]string{"user": "alice", "provider": "main", "reason": "scope-missing"}},
		"a key":          {withKey("gw_good"), map[string]string{"user": "bob", "tenant": "globex", "key_id": "k1", "provider": "partners"}},
		"a weak key":     {withKey("gw_bare"), map[string]string{"user": "k2", "key_id": "k2", "reason": "permission-missing"}},
		"a forged token": {withToken(otherRSA().token(nil)), map[string]string{"user": "", "provider": "", "reason": "token-signature-invalid"}},
	} {
		fields := g.check(t, ask(readers, "/", c.l)).GetDynamicMetadata().GetFields()
		for field, want := range c.want {
			if got := fields[field].GetStringValue(); got != want {
				t.Errorf("%s: %s is %q, want %q", name, field, got, want)
			}
		}
	}
}

// TestKeysThatAreKept: a backend that reads the key itself gets it, and only a key
// that has been found good where its provider says so.
func TestKeysThatAreKept(t *testing.T) {
	main := mainJWT()
	main.Forward = nil
	byHeader := &config.APIKey{Name: "h", ForwardCredential: true}
	byQuery := &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}, ForwardCredential: true}
	sameHeader := &config.APIKey{Name: "s", From: config.KeySource{Header: "x-api-key"}}
	g := newGate(t, keySetsFor(t, main), nil)
	either := g.publish(&Policy{AnyOf: []Requirement{{APIKey: byHeader}, {APIKey: byQuery}, {JWT: main}}})
	both := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, {APIKey: byHeader}}})
	one := g.publish(&Policy{AnyOf: []Requirement{{APIKey: byHeader, Permissions: []string{"users:read"}}, {APIKey: sameHeader}}})
	open := g.publish(&Policy{AnyOf: []Requirement{{APIKey: byHeader}}, AllowAnonymous: true})
	shadow := g.publish(&Policy{Shadow: []Requirement{{APIKey: byHeader}}})
	bob := withToken(rsaSigner().token(map[string]any{"sub": "bob", "tenant": "globex"}))
	for name, c := range map[string]struct {
		m             *authv3.CheckRequest
		remove, query string
	}{
		"a key in a header":             {ask(either, "/", withKey("gw_good")), "authorization", "key"},
		"a key in the query":            {ask(either, "/?key=gw_good"), "authorization x-api-key", ""},
		"a key, and one in the query":   {ask(either, "/?key=gw_bare", withKey("gw_good")), "authorization", "key"},
		"a token, and a key that is no": {ask(either, "/?key=x", bob, withKey("x")), "authorization x-api-key", "key"},
		"a token and a key":             {ask(both, "/", bob, withKey("gw_good")), "authorization", ""},
		"found good by the first":       {ask(one, "/", withKey("gw_good")), "", ""},
		"found good by another":         {ask(one, "/", withKey("gw_bare")), "x-api-key", ""},
		"nobody":                        {ask(open, "/"), "x-api-key", ""},
		"in shadow, good":               {ask(shadow, "/", withKey("gw_good")), "", ""},
		"in shadow, made up":            {ask(shadow, "/", withKey("x")), "x-api-key", ""},
	} {
		r := g.check(t, c.m)
		if !allows(r) {
			t.Errorf("%s: %s", name, reasonOf(r))
			continue
		}
		ok := r.GetOkResponse()
		if remove, query := strings.Join(ok.GetHeadersToRemove(), " "), strings.Join(ok.GetQueryParametersToRemove(), " "); remove != c.remove || query != c.query {
			t.Errorf("%s: %q and %q are taken out, want %q and %q", name, remove, query, c.remove, c.query)
		}
	}
}
