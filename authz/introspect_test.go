package authz

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
)

const testSecret = "s3cr:et/+ å&"

func legacyTokens(url string) *config.Introspection {
	return &config.Introspection{
		Name: "legacy", URL: url, ClientID: "gate:way", ClientSecretEnv: "SECRET",
		Forward: map[string]string{"sub": "X-User-ID", "client_id": "X-Client"},
	}
}

// introspectorsFor know the providers, and reach them by a transport.
func introspectorsFor(t testing.TB, transport http.RoundTripper, providers ...*config.Introspection) *Introspectors {
	t.Helper()
	i := NewIntrospectors(IntrospectorsOptions{Transport: transport, Getenv: func(string) string { return testSecret }})
	t.Cleanup(i.Close)
	i.Ensure(providers)
	return i
}

// says answers as an issuer does.
func says(members map[string]any) http.HandlerFunc {
	return saysText(string(must(json.Marshal(members))))
}

func saysText(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write([]byte(body))
	}
}

// TestOpaqueTokenOpensItsRoute: over real connections, from the question to
// what the backend is told.
func TestOpaqueTokenOpensItsRoute(t *testing.T) {
	var asked []*http.Request // one after the other
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		asked = append(asked, r)
		says(map[string]any{"active": r.PostForm.Get("token") == "opaque-1/+~==", "sub": "alice", "client_id": "shop", "scope": "a b", "role": "buyer"})(w, r)
	}))
	defer issuer.Close()
	p := legacyTokens(issuer.URL + "/introspect")
	p.CA = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(p.CA, certificatePEM(issuer), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGate(t, nil, func(o *Options) { o.Introspectors, o.Clock = introspectorsFor(t, nil, p), time.Now })
	hash := g.publish(&Policy{AnyOf: []Requirement{{Introspection: p, Scopes: []string{"a"}, Claims: map[string][]string{"role": {"buyer"}}}}})
	good := line{"authorization", "Bearer opaque-1/+~=="}

	r := g.check(t, ask(hash, "/users/1", good, line{"x-user-id", "mallory"}))
	if got := reasonOf(r); got != ReasonAllowed {
		t.Fatalf("judged %s", got)
	}
	set := headersOf(r.GetOkResponse().GetHeaders())
	if set["x-user-id"] != "alice" || set["x-client"] != "shop" {
		t.Errorf("the backend is told %v", set)
	}
	if removed := r.GetOkResponse().GetHeadersToRemove(); len(removed) != 1 || removed[0] != "authorization" {
		t.Errorf("taken out: %v", removed)
	}
	id, secret, ok := asked[0].BasicAuth()
	if rawID, err := url.QueryUnescape(id); !ok || err != nil || rawID != "gate:way" {
		t.Errorf("client id %q, %v", id, err)
	}
	if rawSecret, err := url.QueryUnescape(secret); err != nil || rawSecret != testSecret {
		t.Errorf("client secret %q, %v", secret, err)
	}
	if form := asked[0].PostForm; asked[0].Method != "POST" || form.Get("token_type_hint") != "access_token" || asked[0].URL.RawQuery != "" {
		t.Errorf("asked with %s %s %v", asked[0].Method, asked[0].URL, form)
	}

	lacking := g.publish(&Policy{AnyOf: []Requirement{{Introspection: p, Scopes: []string{"c"}}}})
	kept := *p
	kept.ForwardCredential = true
	keeping := g.publish(&Policy{AnyOf: []Requirement{{Introspection: &kept}}})
	for _, c := range []struct {
		name, hash, credential string
		want                   Reason
	}{
		{"none", hash, "", ReasonCredentialMissing},
		{"another scheme", hash, "Basic YTpi", ReasonCredentialMissing},
		{"empty", hash, "Bearer ", ReasonTokenMalformed},
		{"a space", hash, "Bearer a b", ReasonTokenMalformed},
		{"padding inside", hash, "Bearer a=b", ReasonTokenMalformed},
		{"too long", hash, "Bearer " + strings.Repeat("a", MaxTokenBytes+1), ReasonTokenMalformed},
		{"not UTF-8", hash, "Bearer \xff", ReasonTokenMalformed},
		{"not active", hash, "Bearer opaque-2", ReasonTokenInactive},
		{"no scope", lacking, good.value, ReasonScopeMissing},
		{"kept for the backend", keeping, good.value, ReasonAllowed},
	} {
		var lines []line
		if c.credential != "" {
			lines = []line{{"authorization", c.credential}}
		}
		r := g.check(t, ask(c.hash, "/", lines...))
		if got := reasonOf(r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := deniedHeader(r, "www-authenticate"); c.want != ReasonAllowed && !strings.HasPrefix(got, "Bearer ") {
			t.Errorf("%s: the challenge is %q", c.name, got)
		}
		if c.hash == keeping && len(r.GetOkResponse().GetHeadersToRemove()) != 0 {
			t.Errorf("%s: taken out: %v", c.name, r.GetOkResponse().GetHeadersToRemove())
		}
	}
	if len(asked) != 2 {
		t.Errorf("the issuer was asked %d times, want 2: once for each well-formed token", len(asked))
	}
}

func certificatePEM(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// afterBody reads the question first: a server notices that its client has gone
// only once it has.
func afterBody(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		then(w, r)
	}
}

// TestAnswersOfIssuers: what an issuer answers, and what comes of it. Nothing
// but a strict active: true lets pass.
func TestAnswersOfIssuers(t *testing.T) {
	now := time.Now()
	active := func(changed map[string]any) http.HandlerFunc {
		members := map[string]any{"active": true, "iss": testIssuer, "aud": testAudience, "sub": "alice"}
		for name, v := range changed {
			members[name] = v
		}
		return says(members)
	}
	html := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`{"active":true}`))
	}
	jsonFlood := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		floods(w, r)
	}
	good := `{"active":true,"iss":"` + testIssuer + `","aud":"api"`
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Reason
	}{
		"active":              {active(nil), ReasonAllowed},
		"active, with an end": {active(map[string]any{"exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(), "iat": now.Unix()}), ReasonAllowed},
		"not active":          {says(map[string]any{"active": false, "sub": "alice", "exp": "odd"}), ReasonTokenInactive},
		"active as text":      {active(map[string]any{"active": "true"}), ReasonIntrospectionUnavailable},
		"active as number":    {active(map[string]any{"active": 1}), ReasonIntrospectionUnavailable},
		"active null":         {active(map[string]any{"active": nil}), ReasonIntrospectionUnavailable},
		"Active":              {saysText(`{"Active":true}`), ReasonIntrospectionUnavailable},
		"active twice":        {saysText(`{"active":false,"active":true}`), ReasonIntrospectionUnavailable},
		"bytes behind":        {saysText(good + `}{}`), ReasonIntrospectionUnavailable},
		"an array":            {saysText(`[{"active":true}]`), ReasonIntrospectionUnavailable},
		"cut off":             {saysText(good), ReasonIntrospectionUnavailable},
		"empty":               {saysText(""), ReasonIntrospectionUnavailable},
		"another type":        {html, ReasonIntrospectionUnavailable},
		"huge":                {saysText(good + `,"x":"` + strings.Repeat("x", maxIntrospectionBytes) + `"}`), ReasonIntrospectionUnavailable},
		"without end":         {jsonFlood, ReasonIntrospectionUnavailable},
		"slow":                {waits(time.Hour, active(nil)), ReasonIntrospectionUnavailable},
		"a byte a second":     {drips, ReasonIntrospectionUnavailable},
		"a redirect":          {redirects("http://169.254.169.254/latest"), ReasonIntrospectionUnavailable},
		"a redirect home":     {redirects("/again"), ReasonIntrospectionUnavailable},
		"our secret is bad":   {fails(401), ReasonIntrospectionUnavailable},
		"too many":            {fails(429), ReasonIntrospectionUnavailable},
		"broken":              {fails(500), ReasonIntrospectionUnavailable},
		"nothing":             {fails(204), ReasonIntrospectionUnavailable},
		"another issuer":      {active(map[string]any{"iss": "https://evil.example"}), ReasonTokenIssuerMismatch},
		"another audience":    {active(map[string]any{"aud": []string{"billing"}}), ReasonTokenAudienceMismatch},
		"no audience":         {saysText(`{"active":true,"iss":"` + testIssuer + `"}`), ReasonTokenAudienceMismatch},
		"over":                {active(map[string]any{"exp": now.Add(-time.Hour).Unix()}), ReasonTokenExpired},
		"to come":             {active(map[string]any{"nbf": now.Add(time.Hour).Unix()}), ReasonTokenNotYetValid},
		"from the future":     {active(map[string]any{"iat": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()}), ReasonTokenNotYetValid},
		"an end as text":      {active(map[string]any{"exp": "4102444800"}), ReasonTokenClaimsInvalid},
		"an end of zero":      {active(map[string]any{"exp": 0}), ReasonTokenClaimsInvalid},
		"a begin as text":     {active(map[string]any{"nbf": "0"}), ReasonTokenClaimsInvalid},
		"a user as number":    {active(map[string]any{"sub": 7}), ReasonTokenClaimsInvalid},
		"scopes as number":    {active(map[string]any{"scope": 7}), ReasonTokenClaimsInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines lockedBuffer
			issuer := httptest.NewServer(afterBody(c.answer))
			defer issuer.Close()
			p := legacyTokens(issuer.URL)
			p.Issuer, p.Audiences = testIssuer, []string{testAudience}
			if c.want == ReasonAllowed { // on a machine as busy as this one
				p.Timeout = config.Duration(10 * time.Second)
			}
			g := newGate(t, nil, func(o *Options) {
				o.Introspectors, o.Clock = introspectorsFor(t, nil, p), time.Now
				o.Log = slog.New(slog.NewTextHandler(&lines, nil))
			})
			hash := g.publish(&Policy{AnyOf: []Requirement{{Introspection: p}}})
			r := g.check(t, ask(hash, "/", line{"authorization", "Bearer c4nary-token"}))
			got := reasonOf(r)
			timedOut := got == ReasonIntrospectionUnavailable && strings.Contains(lines.String(), "deadline exceeded")
			if got != c.want && !timedOut {
				t.Errorf("judged %s, want %s", got, c.want)
			}
			if allows(r) != (got == ReasonAllowed) {
				t.Errorf("allowed is %v", allows(r))
			}
			for _, secret := range []string{"c4nary", testSecret, "s3cr"} {
				if strings.Contains(lines.String(), secret) {
					t.Errorf("the log holds %q:\n%s", secret, &lines)
				}
			}
		})
	}
}

// introspectionBench is an Introspectors that is connected to one scripted
// issuer, in a bubble of time.
type introspectionBench struct {
	*Introspectors
	issuer   *issuer
	provider *config.Introspection
}

func newIntrospectionBench(t *testing.T, change func(*config.Introspection), answer http.HandlerFunc) *introspectionBench {
	b := &introspectionBench{issuer: newIssuer(t, answer), provider: legacyTokens("http://id.example.com/introspect")}
	if change != nil {
		change(b.provider)
	}
	b.Introspectors = introspectorsFor(t, b.issuer.transport(t), b.provider)
	return b
}

// want asks about a token, and expects a result after a number of visits at
// the issuer in all.
func (b *introspectionBench) want(t *testing.T, when, token, result string, visits int) {
	t.Helper()
	found, err := b.ask(t.Context(), b.provider, token)
	got := "inactive"
	switch {
	case err != nil:
		got = "unavailable"
	case found.active:
		got = "active"
	}
	if got != result || b.issuer.count() != visits {
		t.Errorf("%s: %s after %d visits (%v), want %s after %d", when, got, b.issuer.count(), err, result, visits)
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIntrospectionBench(t, nil, says(map[string]any{"active": true}))
		b.want(t, "first", "a", "active", 1)
		time.Sleep(30*time.Second - time.Nanosecond)
		b.want(t, "remembered", "a", "active", 1)
		b.issuer.becomes(says(map[string]any{"active": false}))
		time.Sleep(time.Nanosecond)
		b.want(t, "revoked, seen after 30s", "a", "inactive", 2)
		b.issuer.becomes(says(map[string]any{"active": true}))
		time.Sleep(5*time.Second - time.Nanosecond)
		b.want(t, "remembered as inactive", "a", "inactive", 2)
		time.Sleep(time.Nanosecond)
		b.want(t, "active again", "a", "active", 3)

		b.issuer.becomes(says(map[string]any{"active": true, "exp": time.Now().Add(10 * time.Second).Unix()}))
		b.want(t, "ends soon", "b", "active", 4)
		time.Sleep(9 * time.Second)
		b.want(t, "has not ended", "b", "active", 4)
		time.Sleep(time.Second)
		b.want(t, "has ended", "b", "active", 5) // the judge says what of it
		b.want(t, "and is not remembered", "b", "active", 6)
		b.issuer.becomes(says(map[string]any{"active": true, "exp": "odd"}))
		b.want(t, "no one knows when it ends", "c", "active", 7)
		b.want(t, "no one knows when it ends", "c", "active", 8)
		b.issuer.becomes(fails(500))
		b.want(t, "a failure", "d", "unavailable", 9)
		b.issuer.becomes(says(map[string]any{"active": true}))
		b.want(t, "is not remembered", "d", "active", 10)

		// A reload that changes the name alone does not ask again.
		renamed := *b.provider
		renamed.Name = "renamed"
		b.Ensure([]*config.Introspection{&renamed})
		b.provider = &renamed
		b.want(t, "renamed", "d", "active", 10)
		elsewhere := renamed
		elsewhere.URL += "/2"
		b.Ensure([]*config.Introspection{&elsewhere})
		b.want(t, "gone", "d", "unavailable", 10)
		b.provider = &elsewhere
		b.want(t, "another issuer's", "d", "active", 11)
	})
}

func TestMemoryOfAnswersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIntrospectionBench(t, func(p *config.Introspection) { p.Cache.Entries = 3 }, says(map[string]any{"active": true}))
		for _, token := range []string{"a", "b", "c"} {
			b.want(t, token, token, "active", int(token[0]-'a')+1)
		}
		b.want(t, "used", "a", "active", 3)
		b.want(t, "a fourth", "d", "active", 4)
		b.want(t, "kept, as it was used", "a", "active", 4)
		b.want(t, "driven out", "b", "active", 5)
		b.issuer.becomes(says(map[string]any{"active": false}))
		for i := range 100 {
			b.want(t, "made up", fmt.Sprint("x", i), "inactive", 6+i)
		}
		b.want(t, "made-up tokens drive out no good one", "a", "active", 105)
		s := (*b.sources.Load())[introspectionPlaceOf(b.provider)]
		for name, r := range map[string]*recentAnswers{"active": &s.cache.active, "inactive": &s.cache.inactive} {
			if r.order.Len() != 3 || len(r.byHash) != 3 {
				t.Errorf("%d and %d %s tokens are remembered, want 3", r.order.Len(), len(r.byHash), name)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newIntrospectionBench(t, func(p *config.Introspection) { p.Cache.Off = true }, says(map[string]any{"active": true}))
		b.want(t, "off", "a", "active", 1)
		b.want(t, "off", "a", "active", 2)
	})
}

// TestOneQuestionForAll: requests with one token share a question, and one who
// leaves does not take it away from the others.
func TestOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newIntrospectionBench(t, nil, waits(300*time.Millisecond, says(map[string]any{"active": true})))
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := b.ask(ctx, b.provider, "a"); err == nil {
				t.Error("who left got an answer")
			}
		})
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i+1) * time.Millisecond)
				if found, err := b.ask(t.Context(), b.provider, "a"); err != nil || !found.active {
					t.Errorf("request %d: %v, %v", i, found, err)
				}
			})
		}
		all.Wait()
		if n := b.issuer.count(); n != 1 {
			t.Errorf("%d questions, want 1", n)
		}
	})
}

// TestIssuerOfOpaqueTokensIsDown: each request gets its 503, the issuer is not
// run over, neither while it is away nor when it is back, and who is known goes on.
func TestIssuerOfOpaqueTokensIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards now
		now := 0
		counted := func(then http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now++
				mu.Unlock()
				then(w, r)
				mu.Lock()
				now--
				mu.Unlock()
			}
		}
		b := newIntrospectionBench(t, nil, says(map[string]any{"active": true}))
		b.want(t, "known", "known", "active", 1)
		b.issuer.becomes(counted(waits(time.Hour, fails(500))))
		flood := func(name string) (passed int) {
			var all sync.WaitGroup
			var counting sync.Mutex // guards passed
			for i := range 2000 {
				all.Go(func() {
					if found, err := b.ask(t.Context(), b.provider, fmt.Sprint(name, i)); err == nil && found.active {
						counting.Lock()
						defer counting.Unlock()
						passed++
					}
				})
			}
			all.Wait()
			synctest.Wait() // what was given up is over, too
			return passed
		}
		began := time.Now()
		// In the middle of the flood, when nobody has given up.
		time.AfterFunc(defaultIntrospectionTimeout/2, func() {
			mu.Lock()
			defer mu.Unlock()
			if now != maxQuestions {
				t.Errorf("%d questions at a time, want %d", now, maxQuestions)
			}
		})
		if passed := flood("a"); passed != 0 {
			t.Errorf("%d passed while the issuer is down", passed)
		}
		if took := time.Since(began); took > defaultIntrospectionTimeout {
			t.Errorf("the flood was answered after %s", took)
		}
		before := b.issuer.count()
		if flood("b"); b.issuer.count() != before {
			t.Errorf("%d questions while it is left alone", b.issuer.count()-before)
		}
		b.want(t, "still known", "known", "active", before)
		// A lone question tries, and every other one gets its 503 at once.
		time.Sleep(mostPause)
		if flood("c"); b.issuer.count() != before+1 {
			t.Errorf("%d questions, want a lone one", b.issuer.count()-before)
		}
		b.issuer.becomes(counted(says(map[string]any{"active": true})))
		time.Sleep(mostPause)
		b.want(t, "back", "d", "active", before+2)
		if passed := flood("e"); passed < maxQuestions {
			t.Errorf("%d passed", passed)
		}
	})
}

// TestNoSecretNoAnswer: a provider that cannot ask, and one that nobody has
// made known, deny.
func TestNoSecretNoAnswer(t *testing.T) {
	p := legacyTokens("http://127.0.0.1:1/")
	i := NewIntrospectors(IntrospectorsOptions{Getenv: func(string) string { return "" }})
	defer i.Close()
	if _, err := i.ask(t.Context(), p, "a"); err == nil {
		t.Error("an unknown provider answered")
	}
	i.Ensure([]*config.Introspection{p})
	if _, err := i.ask(t.Context(), p, "a"); err == nil {
		t.Error("a provider without a secret answered")
	}
	closed := introspectorsFor(t, nil, p)
	closed.Close()
	if _, err := closed.ask(t.Context(), p, "a"); err == nil {
		t.Error("a closed provider answered")
	}
}

func FuzzIntrospectionAnswer(f *testing.F) {
	for _, seed := range []string{`{"active":true,"exp":1}`, `{"active":false}`, `{"active":"true"}`, `{}`, `[`} {
		f.Add([]byte(seed))
	}
	p := legacyTokens("http://127.0.0.1:1/")
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := readIntrospection(body)
		if err != nil || !found.active {
			if found.claims != nil {
				t.Error("claims of nobody")
			}
			return
		}
		var plain struct{ Active bool }
		if json.Unmarshal(body, &plain) != nil || !plain.Active {
			t.Errorf("%q is not active", body)
		}
		_ = found.claims.judgeIntrospected(p, noon) // must not panic
	})
}
