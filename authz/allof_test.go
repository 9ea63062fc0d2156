package authz

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// devicesKey are keys of another place than the partners'.
func devicesKey() *config.APIKey {
	return &config.APIKey{Name: "devices", From: config.KeySource{Header: "X-Device-Key"}, Forward: map[string]string{"id": "X-Device", "owner": "X-User-ID"}}
}

func withDevice(key string) line { return line{"x-device-key", key} }

// ofBob are what a token says that is of the owner of gw_good.
func ofBob(more map[string]any) line {
	claims := map[string]any{"sub": "bob", "tenant": "globex"}
	for name, value := range more {
		claims[name] = value
	}
	return withToken(rsaSigner().token(claims))
}

func TestAllOf(t *testing.T) {
	main, other := twoIssuers()
	g := newGate(t, keySetsFor(t, main, other), nil)
	g.store.records["gw_user"], g.store.states["gw_user"] = APIKeyRecord{ID: "k3", Owner: "bob"}, Valid
	g.store.records["gw_alice"], g.store.states["gw_alice"] = APIKeyRecord{ID: "k4", Owner: "alice"}, Valid
	token := Requirement{JWT: main, Scopes: []string{"users:read"}}
	key := Requirement{APIKey: partnersKey(), Permissions: []string{"users:read"}}
	anyKey, device := Requirement{APIKey: partnersKey()}, Requirement{APIKey: devicesKey()}
	both := g.publish(&Policy{AllOf: []Requirement{token, key}})
	loose := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, anyKey}})
	keyFirst := g.publish(&Policy{AllOf: []Requirement{key, token}})
	beside := g.publish(&Policy{AnyOf: []Requirement{token, key}, AllOf: []Requirement{device}})
	three := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, anyKey, device}})
	open := g.publish(&Policy{AllOf: []Requirement{token, key}, AllowAnonymous: true})
	twice := g.publish(&Policy{AllOf: []Requirement{{JWT: main, Scopes: []string{"users:read"}}, {JWT: main, Claims: map[string][]string{"role": {"buyer"}}}}})
	impossible := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, {}}})

	bob, alice := ofBob(nil), withToken(rsaSigner().token(nil))
	narrow := ofBob(map[string]any{"scope": "orders:write"})
	expired := ofBob(map[string]any{"exp": noon.Add(-time.Hour).Unix()})
	nobody := ofBob(map[string]any{"sub": nil, "tenant": nil})
	const bearer, apiKey = `Bearer realm="gateway"`, `ApiKey realm="gateway"`
	for name, c := range map[string]struct {
		policy    string
		lines     []line
		want      Reason
		challenge string
	}{
		"both":                                 {both, []line{bob, withKey("gw_good")}, ReasonAllowed, ""},
		"both, the key first":                  {keyFirst, []line{bob, withKey("gw_good")}, ReasonAllowed, ""},
		"the token alone":                      {both, []line{bob}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"the key alone":                        {both, []line{withKey("gw_good")}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"neither":                              {both, nil, ReasonCredentialMissing, bearer + ", " + apiKey},
		"the first that does not hold says it": {both, []line{expired, withKey("gw_revoked")}, ReasonTokenExpired, bearer + `, error="invalid_token", ` + apiKey},
		"also where another is known and may not":   {both, []line{expired, withKey("gw_bare")}, ReasonTokenExpired, bearer + `, error="invalid_token", ` + apiKey},
		"the key is the first":                      {keyFirst, []line{expired, withKey("gw_revoked")}, ReasonAPIKeyRevoked, bearer + ", " + apiKey},
		"a narrow token":                            {both, []line{narrow, withKey("gw_good")}, ReasonScopeMissing, bearer + `, error="insufficient_scope", scope="users:read", ` + apiKey},
		"a weak key":                                {both, []line{bob, withKey("gw_bare")}, ReasonPermissionMissing, bearer + ", " + apiKey},
		"two users":                                 {both, []line{alice, withKey("gw_good")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"two tenants":                               {both, []line{ofBob(map[string]any{"tenant": "acme"}), withKey("gw_good")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"a tenant in a list is another":             {both, []line{ofBob(map[string]any{"tenant": []string{"globex"}}), withKey("gw_good")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"two users, the key first":                  {keyFirst, []line{alice, withKey("gw_good")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"a key of nobody's":                         {loose, []line{alice, withKey("gw_bare")}, ReasonAllowed, ""},
		"a token of nobody's":                       {both, []line{nobody, withKey("gw_good")}, ReasonAllowed, ""},
		"a user without a tenant":                   {loose, []line{bob, withKey("gw_user")}, ReasonAllowed, ""},
		"one of any, and all":                       {beside, []line{bob, withDevice("gw_bare")}, ReasonAllowed, ""},
		"another of any, and all":                   {beside, []line{withKey("gw_good"), withDevice("gw_user")}, ReasonAllowed, ""},
		"one of any, and not all":                   {beside, []line{bob, withKey("gw_good")}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"none of any, and all":                      {beside, []line{withDevice("gw_bare")}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"the caller of any is another than of all":  {beside, []line{bob, withDevice("gw_alice")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"what is not needed does not contradict":    {beside, []line{bob, withKey("gw_alice"), withDevice("gw_user")}, ReasonAllowed, ""},
		"three of one":                              {three, []line{bob, withKey("gw_bare"), withDevice("gw_user")}, ReasonAllowed, ""},
		"the first says nothing, two others differ": {three, []line{nobody, withKey("gw_alice"), withDevice("gw_user")}, ReasonIdentityMismatch, bearer + ", " + apiKey},
		"nobody, where nobody may":                  {open, nil, ReasonAllowed, ""},
		"half, where nobody may":                    {open, []line{bob}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"another scheme, where nobody may":          {open, []line{{"authorization", "Basic x"}}, ReasonCredentialMissing, bearer + ", " + apiKey},
		"a credential of a member twice":            {both, []line{bob, withKey("gw_good"), withKey("gw_good")}, ReasonDuplicateCredential, ""},
		"one provider twice":                        {twice, []line{bob}, ReasonAllowed, ""},
		"one provider twice, the second fails":      {twice, []line{ofBob(map[string]any{"role": "seller"})}, ReasonClaimMismatch, bearer + `, error="insufficient_scope"`},
		"a requirement that asks nothing":           {impossible, []line{bob}, ReasonInternal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := g.check(t, ask(c.policy, "/api", c.lines...))
			if got := reasonOf(r); got != c.want || allows(r) != (c.want == ReasonAllowed) {
				t.Fatalf("got %s (allows %t), want %s", got, allows(r), c.want)
			}
			if got := deniedHeader(r, "www-authenticate"); got != c.challenge && c.want != ReasonInternal {
				t.Errorf("challenge %q, want %q", got, c.challenge)
			}
		})
	}
}

// What comes after the first that does not hold costs its store nothing.
func TestAllOfEndsAtTheFirstRefusal(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(&Policy{AllOf: []Requirement{{JWT: mainJWT()}, {APIKey: partnersKey()}}})
	if r := g.check(t, ask(hash, "/", withToken("x"), withKey("gw_good"))); reasonOf(r) != ReasonTokenMalformed || g.store.questions() != 0 {
		t.Errorf("%s, %d questions", reasonOf(r), g.store.questions())
	}
	g.store.err = errStoreDown
	if r := g.check(t, ask(hash, "/", ofBob(nil), withKey("gw_good"))); reasonOf(r) != ReasonKeyStoreUnavailable || statusOf(r) != 503 {
		t.Errorf("a store that is down: %d %s", statusOf(r), reasonOf(r))
	}
}

// The backend is told of the caller, then of the others what the caller does
// not say, and sees the credentials of none; limits count the caller.
func TestWhatTheBackendSeesOfAll(t *testing.T) {
	main, keeping := mainJWT(), mainJWT()
	keeping.Name, keeping.ForwardCredential = "keeping", true
	g := newGate(t, keySetsFor(t, main, keeping), nil)
	device := Requirement{APIKey: devicesKey()}
	inQuery := Requirement{APIKey: &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}, Forward: map[string]string{"id": "X-Key-ID", "owner": "X-Owner"}}}
	limits := []*config.Limit{limitBy("all", "user", "apiKey", "tenant")}
	tokenFirst := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, device, inQuery}, Limits: limits})
	keyFirst := g.publish(&Policy{AllOf: []Requirement{inQuery, {JWT: main}}, Limits: limits})
	kept := g.publish(&Policy{AllOf: []Requirement{device, {JWT: keeping}}})
	notKept := g.publish(&Policy{AllOf: []Requirement{{JWT: main}, {JWT: keeping}}})
	renamed := ofBob(map[string]any{"sub": nil})
	for name, c := range map[string]struct {
		policy, path              string
		lines                     []line
		set, remove, query, count string
	}{
		"a token and two keys": {tokenFirst, "/?key=gw_good", []line{ofBob(nil), withDevice("gw_bare")},
			"x-device=k2 x-key-id=k1 x-owner=bob x-user-id=bob x-user-role=buyer", "authorization x-device-key", "key", "main:bob,,globex"},
		"what the token does not say": {tokenFirst, "/?key=gw_bare", []line{renamed, withDevice("gw_good")},
			"x-device=k1 x-key-id=k2 x-user-id=bob x-user-role=buyer", "authorization x-device-key x-owner", "key", ",,globex"},
		"the key is the caller": {keyFirst, "/?key=gw_good", []line{ofBob(nil)},
			"x-key-id=k1 x-owner=bob x-user-id=bob x-user-role=buyer", "authorization", "key", "q:k1,k1,globex"},
		"a token that is kept": {kept, "/", []line{ofBob(nil), withDevice("gw_good")},
			"x-device=k1 x-user-id=bob x-user-role=buyer", "x-device-key", "", ""},
		"a token that one provider keeps": {notKept, "/", []line{ofBob(nil)},
			"x-user-id=bob x-user-role=buyer", "authorization", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.limiter.taken)
			r := g.check(t, ask(c.policy, c.path, c.lines...))
			if !allows(r) {
				t.Fatal(reasonOf(r))
			}
			ok := r.GetOkResponse()
			var pairs []string
			for _, name := range sortedKeys(headersOf(ok.GetHeaders())) {
				if strings.HasPrefix(name, "x-") {
					pairs = append(pairs, name+"="+headersOf(ok.GetHeaders())[name])
				}
			}
			if got := strings.Join(pairs, " "); got != c.set {
				t.Errorf("sets    %s\nwant %s", got, c.set)
			}
			if got := strings.Join(ok.GetHeadersToRemove(), " "); got != c.remove {
				t.Errorf("removes %s\nwant %s", got, c.remove)
			}
			if got := strings.Join(ok.GetQueryParametersToRemove(), " "); got != c.query {
				t.Errorf("removes from the query %q, want %q", got, c.query)
			}
			if taken := g.limiter.taken[before:]; c.count != "" && strings.Join(taken[0][0].Key, ",") != c.count {
				t.Errorf("counts %q, want %s", taken[0][0].Key, c.count)
			}
		})
	}
}

// A route with allOf [a, b] passes exactly when a route with a and a route with b
// do, and the two speak of no two callers; and where it is [b, a], too. That
// Examine says the same is tested with it.
func TestAllOfIsBoth(t *testing.T) {
	main := mainJWT()
	g := newGate(t, keySetsFor(t, main), nil)
	owners, tenants := []string{"", "alice", "bob"}, []string{"", "acme", "globex"}
	for _, owner := range owners {
		for _, tenant := range tenants {
			key := "gw_" + owner + "." + tenant
			g.store.records[key] = APIKeyRecord{ID: "id-" + owner + tenant, Owner: owner, Tenant: tenant, Permissions: []string{"a"}}
			g.store.states[key] = Valid
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		a := Requirement{JWT: main, Scopes: rapid.SampledFrom([][]string{nil, {"users:read"}, {"nobody:has"}}).Draw(rt, "scopes")}
		b := Requirement{APIKey: partnersKey(), Permissions: rapid.SampledFrom([][]string{nil, {"a"}, {"b"}}).Draw(rt, "permissions")}
		sub, owner := rapid.SampledFrom(owners).Draw(rt, "sub"), rapid.SampledFrom(owners).Draw(rt, "owner")
		tokenTenant, keyTenant := rapid.SampledFrom(tenants).Draw(rt, "token's tenant"), rapid.SampledFrom(tenants).Draw(rt, "key's tenant")
		claims := map[string]any{"sub": sub, "tenant": tokenTenant}
		if rapid.Bool().Draw(rt, "expired") {
			claims["exp"] = noon.Add(-time.Hour).Unix()
		}
		var lines []line
		if rapid.IntRange(0, 4).Draw(rt, "token") > 0 {
			lines = append(lines, withToken(rsaSigner().token(claims)))
		}
		if rapid.IntRange(0, 4).Draw(rt, "key") > 0 {
			lines = append(lines, withKey("gw_"+owner+"."+keyTenant))
		}
		passes := func(p *Policy) bool { return allows(g.check(t, ask(g.publish(p), "/", lines...))) }
		alone := passes(&Policy{AnyOf: []Requirement{a}}) && passes(&Policy{AnyOf: []Requirement{b}})
		agree := !differ(sub, owner) && !differ(tokenTenant, keyTenant)
		for name, p := range map[string]*Policy{
			"[a, b]":              {AllOf: []Requirement{a, b}},
			"[b, a]":              {AllOf: []Requirement{b, a}},
			"[b] with any of [a]": {AnyOf: []Requirement{a}, AllOf: []Requirement{b}},
		} {
			r := g.check(t, ask(g.publish(p), "/", lines...))
			if allows(r) != (alone && agree) || alone && !agree && reasonOf(r) != ReasonIdentityMismatch {
				rt.Errorf("%s: %s; alone they pass: %t, they agree: %t", name, reasonOf(r), alone, agree)
			}
			asked := Examined{Route: "get-users", Method: "GET", Path: "/"}
			for _, l := range lines {
				asked.Headers = append(asked.Headers, [2]string{l.name, l.value})
			}
			denied, ok := g.server.Examine(t.Context(), p, asked).Overall()
			if ok != allows(r) || denied != nil && denied.Reason != reasonOf(r) {
				rt.Errorf("%s: %s, examined: %v %t", name, reasonOf(r), denied, ok)
			}
		}
	})
}

// Without the key store an examination says what is certain, and no more.
func TestExamineAllOf(t *testing.T) {
	main := mainJWT()
	away := mainJWT()
	away.Name, away.JWKS = "away", config.JWKS{Inline: "{}"}
	s := New(Options{KeySets: keySetsFor(t, main, away), Clock: func() time.Time { return noon }})
	token, key := Requirement{JWT: main}, Requirement{APIKey: partnersKey()}
	asksMuch := Requirement{JWT: main, Scopes: []string{"nobody:has"}}
	good := [2]string{"authorization", "Bearer " + rsaSigner().token(nil)}
	for name, c := range map[string]struct {
		p       Policy
		headers [][2]string
		denied  Reason
		ok      bool
		known   bool
	}{
		"only the store knows":           {Policy{AllOf: []Requirement{token, key}}, [][2]string{good, {"x-api-key", "gw_x"}}, "", false, true},
		"the caller only the store does": {Policy{AllOf: []Requirement{key, token}}, [][2]string{good, {"x-api-key", "gw_x"}}, "", false, false},
		"the key is not there":           {Policy{AllOf: []Requirement{token, key}}, [][2]string{good}, ReasonCredentialMissing, false, true},
		"denied whatever the store says": {Policy{AllOf: []Requirement{key, asksMuch}}, [][2]string{good, {"x-api-key", "gw_x"}}, ReasonScopeMissing, false, false},
		"one of any, and all":            {Policy{AnyOf: []Requirement{key, token}, AllOf: []Requirement{token}}, [][2]string{good}, "", true, true},
		"none of any":                    {Policy{AnyOf: []Requirement{key}, AllOf: []Requirement{token}}, [][2]string{good}, ReasonCredentialMissing, false, false},
		"nobody":                         {Policy{AllOf: []Requirement{token, key}, AllowAnonymous: true}, nil, "", true, true},
		"its keys are away":              {Policy{AllOf: []Requirement{token, {JWT: away}}}, [][2]string{good}, "", false, true},
	} {
		x := s.Examine(t.Context(), &c.p, Examined{Method: "GET", Path: "/", Headers: c.headers})
		denied, ok := x.Overall()
		if ok != c.ok || x.CallerKnown != c.known || (denied == nil) != (c.denied == "") || denied != nil && denied.Reason != c.denied {
			t.Errorf("%s: %+v %t, caller known %t", name, denied, ok, x.CallerKnown)
		}
		if len(x.AllOf) != len(c.p.AllOf) || len(x.Findings) != len(c.p.AnyOf) {
			t.Errorf("%s: %d and %d findings", name, len(x.Findings), len(x.AllOf))
		}
	}
}
