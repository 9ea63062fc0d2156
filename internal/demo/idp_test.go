package demo

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const issuer = "https://id.example.com/"

func newIDP(t *testing.T) *IDP {
	t.Helper()
	p, err := NewIDP(issuer, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t *testing.T, handler http.Handler) *Server {
	t.Helper()
	s, err := Start("127.0.0.1:0", handler)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get returns the answer to a GET, and its body.
func get(t *testing.T, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// published returns the public keys as the provider serves them.
func published(t *testing.T, p *IDP) jwk.Set {
	t.Helper()
	_, body := get(t, start(t, p).URL()+"/jwks.json")
	set, err := jwk.ParseString(body)
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return set
}

// verified returns the claims of token if one of keys, by its kid, signed it.
func verified(token string, keys jwk.Set) (map[string]any, error) {
	payload, err := jws.Verify([]byte(token), jws.WithKeySet(keys))
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims)
}

// header returns the header of a token that nobody has verified.
func header(t *testing.T, token string) map[string]any {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestGoodTokensVerify(t *testing.T) {
	p := newIDP(t)
	keys := published(t, p)
	for _, algorithm := range []string{RS256, ES256} {
		token := p.Token(map[string]any{"sub": "alice"}, WithAlgorithm(algorithm))
		claims, err := verified(token, keys)
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		for name, want := range map[string]any{
			"iss": issuer, "aud": DefaultAudience, "sub": "alice",
			"iat": float64(noon.Unix()), "exp": float64(noon.Add(DefaultTTL).Unix()),
		} {
			if claims[name] != want {
				t.Errorf("%s: %s is %v, want %v", algorithm, name, claims[name], want)
			}
		}
		if fields := header(t, token); fields["alg"] != algorithm || fields["typ"] != "JWT" {
			t.Errorf("%s: header %v", algorithm, fields)
		}
	}
}

func TestClaimsReplaceTheUsual(t *testing.T) {
	p := newIDP(t)
	token := p.Token(map[string]any{"iss": "other", "aud": []string{"a", "b"}, "exp": nil})
	claims, err := verified(token, published(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if _, there := claims["exp"]; there || claims["iss"] != "other" || len(claims["aud"].([]any)) != 2 {
		t.Errorf("claims %v", claims)
	}
}

func TestBadTokensDoNotVerify(t *testing.T) {
	p, other := newIDP(t), newIDP(t)
	keys := published(t, p)
	kid := header(t, p.Token(nil))["kid"]
	for name, c := range map[string]struct {
		options  []TokenOption
		alg, kid any
	}{
		"other key":            {[]TokenOption{WithOtherKey(other)}, RS256, kid},
		"other key, ES256":     {[]TokenOption{WithAlgorithm(ES256), WithOtherKey(other)}, ES256, p.ring.Load().kids[ES256]},
		"unknown kid":          {[]TokenOption{WithUnknownKeyID()}, RS256, "unknown"},
		"no kid":               {[]TokenOption{WithHeader("kid", nil)}, RS256, nil},
		"alg none":             {[]TokenOption{WithAlgNone()}, "none", kid},
		"public key as secret": {[]TokenOption{WithPublicKeyAsSecret()}, "HS256", kid},
	} {
		token := p.Token(map[string]any{"sub": "alice"}, c.options...)
		if fields := header(t, token); fields["alg"] != c.alg || fields["kid"] != c.kid {
			t.Errorf("%s: header %v, want alg %v and kid %v", name, fields, c.alg, c.kid)
		}
		if strings.Count(token, ".") != 2 || strings.HasSuffix(token, ".") != (c.alg == "none") {
			t.Errorf("%s: %s has not the parts it should", name, token)
		}
		if _, err := verified(token, keys); err == nil {
			t.Errorf("%s: it verifies", name)
		}
	}
	// A token that is bad for one reason only: its key signed it.
	if _, err := verified(p.Token(nil, WithOtherKey(p)), keys); err != nil {
		t.Errorf("the provider's own key as the other: %v", err)
	}
}

func TestTokensThatCannotBeMade(t *testing.T) {
	p := newIDP(t)
	for name, token := range map[string]string{
		"claim that is no JSON":        p.Token(map[string]any{"sub": make(chan int)}),
		"header that is no JSON":       p.Token(nil, WithHeader("x", make(chan int))),
		"unknown algorithm":            p.Token(nil, WithAlgorithm("XS1")),
		"other key, no such algorithm": p.Token(nil, WithAlgNone(), WithOtherKey(p)),
	} {
		if token != "" {
			t.Errorf("%s: %s", name, token)
		}
	}
	if _, err := NewIDP("", time.Now); err == nil {
		t.Error("a provider without an issuer")
	}
}

func TestPublishedKeysArePublic(t *testing.T) {
	p := newIDP(t)
	s := start(t, p)
	for _, path := range []string{"/jwks.json", "/.well-known/jwks.json"} {
		response, body := get(t, s.URL()+path)
		if response.StatusCode != http.StatusOK || response.Header.Get("X-Demo-Only") != Warning {
			t.Errorf("%s: %s, %v", path, response.Status, response.Header)
		}
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%s: %v: %s", path, err, body)
		}
		for _, key := range set.Keys {
			if key["use"] != "sig" || key["kid"] != p.ring.Load().kids[key["alg"]] {
				t.Errorf("%s: key %v", path, key)
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if _, there := key[private]; there {
					t.Errorf("%s: the private member %q is published", path, private)
				}
			}
		}
	}
	if fetches := p.JWKSFetches(); fetches != 2 {
		t.Errorf("%d fetches, want 2", fetches)
	}
}

func TestRotateReplacesTheKeys(t *testing.T) {
	p := newIDP(t)
	before, old := published(t, p), p.Token(nil)
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	after, fresh := published(t, p), p.Token(nil)
	if _, err := verified(old, before); err != nil {
		t.Errorf("old token, old keys: %v", err)
	}
	if _, err := verified(fresh, after); err != nil {
		t.Errorf("new token, new keys: %v", err)
	}
	if _, err := verified(old, after); err == nil {
		t.Error("an old token verifies against the new keys")
	}
	if _, err := verified(fresh, before); err == nil {
		t.Error("a new token verifies against the old keys")
	}
}

func TestProviderCanFail(t *testing.T) {
	p := newIDP(t)
	url := start(t, p).URL()
	p.SetDown(true)
	for _, path := range []string{"/jwks.json", "/token", "/.well-known/openid-configuration"} {
		if response, _ := get(t, url+path); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("down: %s answers %s", path, response.Status)
		}
	}
	p.SetDown(false)
	p.SetGarbage(true)
	response, body := get(t, url+"/jwks.json")
	if _, err := jwk.ParseString(body); err == nil || response.StatusCode != http.StatusOK {
		t.Errorf("garbage: %s, which parses: %s", response.Status, body)
	}
	p.SetGarbage(false)
	if _, body := get(t, url+"/jwks.json"); !strings.Contains(body, `"keys"`) {
		t.Errorf("healthy again: %s", body)
	}
	if fetches := p.JWKSFetches(); fetches != 3 {
		t.Errorf("%d fetches, want 3: those in vain count", fetches)
	}
}

func TestDiscoveryLeadsToTheKeys(t *testing.T) {
	p := newIDP(t)
	_, body := get(t, start(t, p).URL()+"/.well-known/openid-configuration")
	var document struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		TokenEndpoint string   `json:"token_endpoint"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	if document.Issuer != issuer || !slices.Equal(document.Algorithms, []string{RS256, ES256}) {
		t.Errorf("%+v", document)
	}
	_, keys := get(t, document.JWKSURI)
	_, token := get(t, document.TokenEndpoint)
	set, err := jwk.ParseString(keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verified(strings.TrimSpace(token), set); err != nil {
		t.Errorf("a token of its endpoint: %v", err)
	}
}

func TestTokenEndpoint(t *testing.T) {
	p := newIDP(t)
	url, keys := start(t, p).URL()+"/token", published(t, p)
	at := func(d time.Duration) any { return float64(noon.Add(d).Unix()) }
	for query, want := range map[string]map[string]any{
		"": {"sub": "alice", "aud": "api", "iss": issuer, "exp": at(DefaultTTL), "role": nil, "tenant": nil, "scope": nil},
		"?sub=bob&role=buyer&tenant=acme&scope=users:read+orders:write&aud=web&ttl=1h": {
			"sub": "bob", "role": "buyer", "tenant": "acme", "scope": "users:read orders:write", "aud": "web", "exp": at(time.Hour)},
		"?ttl=-1h":   {"exp": at(-time.Hour)},
		"?alg=ES256": {"sub": "alice"},
		"?sub=":      {"sub": ""},
	} {
		response, body := get(t, url+query)
		claims, err := verified(strings.TrimSpace(body), keys)
		if err != nil {
			t.Errorf("%s: %s, %v", query, response.Status, err)
			continue
		}
		for name, value := range want {
			if claims[name] != value {
				t.Errorf("%s: %s is %v, want %v", query, name, claims[name], value)
			}
		}
		if response.Header.Get("X-Demo-Only") != Warning || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", query, response.Header)
		}
	}
	_, body := get(t, url+"?aud=a&aud=b")
	if claims, err := verified(strings.TrimSpace(body), keys); err != nil || len(claims["aud"].([]any)) != 2 {
		t.Errorf("two audiences: %v, %v", claims, err)
	}
}

func TestTokenEndpointInJSON(t *testing.T) {
	p := newIDP(t)
	url, keys := start(t, p).URL()+"/token?ttl=90s", published(t, p)
	for name, ask := range map[string]func() (*http.Response, string){
		"format": func() (*http.Response, string) { return get(t, url+"&format=json") },
		"Accept": func() (*http.Response, string) { return get(t, url, "Accept", "application/json") },
	} {
		response, body := ask()
		var answer struct {
			Token   string `json:"access_token"`
			Type    string `json:"token_type"`
			Seconds int    `json:"expires_in"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatalf("%s: %v: %s", name, err, body)
		}
		if answer.Type != "Bearer" || answer.Seconds != 90 || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s", name, body)
		}
		if _, err := verified(answer.Token, keys); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	url := start(t, newIDP(t)).URL() + "/token"
	for query, want := range map[string]string{
		"?subject=bob":    "subject: unknown parameter",
		"?sub=a&sub=b":    "sub: given 2 times",
		"?ttl=soon":       "ttl: \"soon\"",
		"?ttl=25h":        "ttl: \"25h\"",
		"?ttl=-25h":       "ttl: \"-25h\"",
		"?alg=none":       "alg: \"none\"",
		"?sub=%zz":        "invalid URL escape",
		"?a=1&ttl=5m&b=2": "unknown parameter",
	} {
		response, body := get(t, url+query)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %s %s, want 400 and %q", query, response.Status, body, want)
		}
	}
}
