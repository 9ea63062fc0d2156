package authz

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

func TestBearer(t *testing.T) {
	for in, want := range map[string]struct {
		raw string
		ok  bool
	}{
		"Bearer abc":      {"abc", true},
		"bearer abc":      {"abc", true},
		"BEARER abc":      {"abc", true},
		"Bearer  abc":     {" abc", true}, // a token cannot begin with a space
		"Bearer abc def":  {"abc def", true},
		"Bearer ":         {"", true},
		"Bearer":          {"", true},
		"Bearer\tabc":     {"abc", false},
		"BearerX abc":     {" abc", false},
		"Basic dXNlcg==":  {"", false},
		"":                {"", false},
		"Bear":            {"", false},
		" Bearer abc":     {"", false},
		"Token abc":       {"", false},
		"\xffearer abc":   {"", false},
		"Bearer:abc":      {"abc", false},
		"Digest a=\"b\",": {"", false},
	} {
		raw, ok := bearer(in)
		if ok != want.ok || ok && raw != want.raw {
			t.Errorf("%q: %q %t, want %q %t", in, raw, ok, want.raw, want.ok)
		}
	}
}

func TestHeadersOfBothForms(t *testing.T) {
	lines := []line{{"x-one", "1"}, {"x-two", "a"}, {"x-two", "b"}, {"X-Odd-Case", "c"}, {"x-empty", ""}, {"x-bytes", "\xff"}}
	for name, c := range map[string]struct {
		m    *authv3.CheckRequest
		twos int
	}{
		"raw":    {ask("", "/", lines...), 2},
		"joined": {askJoined("", "/", lines...), 1},
	} {
		rq := newRequest(c.m)
		for _, x := range []struct {
			header, value string
			count         int
		}{
			{"X-One", "1", 1}, {"x-one", "1", 1}, {"x-odd-case", "c", 1}, {"x-empty", "", 1}, {"x-none", "", 0}, {"x-bytes", "\xff", 1},
		} {
			if value, count := rq.header(x.header); value != x.value || count != x.count {
				t.Errorf("%s: %s is %q %d times", name, x.header, value, count)
			}
		}
		if _, count := rq.header("X-Two"); count != c.twos {
			t.Errorf("%s: x-two is there %d times", name, count)
		}
	}
	// Two spellings of one name are two lines, in a map too.
	rq := newRequest(askJoined("", "/", line{"authorization", "a"}, line{"Authorization", "b"}))
	if _, count := rq.header("authorization"); count != 2 {
		t.Errorf("two spellings count %d", count)
	}
	if rq := newRequest(nil); rq.route != "" || rq.clientIP() != "" {
		t.Error("a nil message has a route")
	}
}

// TestClientIP: Envoys of ours say who the client is in a header of theirs;
// what another's Envoy has by that name, a client may have sent.
func TestClientIP(t *testing.T) {
	const peer, client = "192.0.2.7", "2001:db8::1"
	for name, c := range map[string]struct {
		rq   request
		want string
	}{
		"said":    {request{lines: []headerLine{{"X-Envoy-External-Address", client}}}, client},
		"joined":  {request{joined: map[string]string{clientAddressHeader: client}}, client},
		"unsaid":  {request{}, peer},
		"empty":   {request{lines: []headerLine{{clientAddressHeader, ""}}}, peer},
		"twice":   {request{lines: []headerLine{{clientAddressHeader, client}, {clientAddressHeader, "192.0.2.8"}}}, peer},
		"foreign": {request{unrouted: true, lines: []headerLine{{clientAddressHeader, client}}}, peer},
	} {
		c.rq.peerIP = peer
		if got := c.rq.clientIP(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestCredentialQuery(t *testing.T) {
	for path, want := range map[string]struct {
		key    string
		reason Reason
	}{
		"/a?api_key=K":             {"K", ""},
		"/a?x=1&api_key=K&y=2":     {"K", ""},
		"/a?api_key=K%2B1":         {"K+1", ""},
		"/a?api_key=a=b":           {"a=b", ""},
		"/a":                       {"", ""},
		"/a?":                      {"", ""},
		"/a?api_key":               {"", ""},
		"/a?api_key=":              {"", ""},
		"/a?API_KEY=K":             {"", ""},
		"/a?xapi_key=K":            {"", ""},
		"/a?x=api_key=K":           {"", ""},
		"/api_key=K?x=1":           {"", ""},
		"/a?x=1;api_key=K":         {"", ""},
		"/a?api_key=%zz":           {"%zz", ""},
		"/a?api_key=K&api_key=K":   {"", ReasonDuplicateCredential},
		"/a?api_key=K&x&api_key=L": {"", ReasonDuplicateCredential},
		"/a?api_key=&api_key=L":    {"", ReasonDuplicateCredential},
		"/a?api%5Fkey=K":           {"", ReasonMalformedQuery},
		"/a?%61pi_key=K&api_key=L": {"", ReasonMalformedQuery},
		"/a?api_key=L&api_ke%79=K": {"", ReasonMalformedQuery},
		"/a?%zz=1&api_key=K":       {"K", ""},
		"/a?&&api_key=K&":          {"K", ""},
		"/a?x=1?api_key=K":         {"", ""},
		"/a?api_key=K?x":           {"K?x", ""},
		"?api_key=K":               {"K", ""},
		"/a?api_key=\xff":          {"\xff", ""},
	} {
		rq := &request{path: path}
		key, refused := rq.credentialQuery("api_key")
		var reason Reason
		if refused != nil {
			reason = refused.reason
		}
		if key != want.key || reason != want.reason {
			t.Errorf("%s: %q %q, want %q %q", path, key, reason, want.key, want.reason)
		}
	}
}
