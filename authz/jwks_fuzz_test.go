package authz

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// answering is a transport that gives one answer to everything, without a network.
type answering struct {
	status int
	header http.Header
	body   []byte
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

// FuzzDiscovery: whatever an issuer answers where its discovery document is asked
// for, nobody is asked for keys but its own host, or the one that the config names,
// by a URL that the config could have; and never sooner or later than it says.
func FuzzDiscovery(f *testing.F) {
	for _, document := range []string{
		`{"issuer":"https://id.example.com/a","jwks_uri":"https://id.example.com/keys"}`, `{"issuer":"https://id.example.com/a","jwks_uri":"https://keys.example.com:8443/keys"}`,
		`{"issuer":"https://id.example.com/a","jwks_uri":"https://id.example.com@evil.example/keys"}`, `{"issuer":"https://id.example.com/a","jwks_uri":"//id.example.com/keys"}`,
		`{"issuer":"https://id.example.com/a","jwks_uri":"https://id.example.com\\@evil.example/"}`, `{"issuer":"https://id.example.com/a","jwks_uri":"http://id.example.com/keys"}`,
		`{"issuer":"https://id.example.com/a","jwks_uri":"https://ID.EXAMPLE.COM.:443/keys"}`, `[]`,
	} {
		f.Add([]byte(document), "max-age=600, public", `"1"`, 200)
		f.Add([]byte(document), `no-store,MAX-AGE="99999999999999999999"`, "", 304)
	}
	place := keyPlace{config.JWKS{Discover: true, KeyHost: "keys.example.com:8443"}, "https://id.example.com/a"}
	f.Fuzz(func(t *testing.T, body []byte, cacheControl, etag string, status int) {
		client := remoteClient(answering{status, http.Header{"Cache-Control": {cacheControl}, "Etag": {etag}}, body})
		have := version{URL: "https://id.example.com/keys", ETag: `"0"`}
		got, err := fetch(t.Context(), client, have.URL, have)
		switch {
		case err != nil:
		case got.next < leastRefresh || got.next > mostRefresh:
			t.Errorf("the next fetch is in %s", got.next)
		case got.same && (status != http.StatusNotModified || got.version != have):
			t.Errorf("status %d is no change of %+v", status, got.version)
		case !got.same && (status != http.StatusOK || len(got.version.ETag) > maxETagBytes || !bytes.Equal(got.body, body)):
			t.Errorf("status %d, ETag %q: %q", status, got.version.ETag, got.body)
		}
		keyURL, err := (&discovery{client: client, place: place}).ask(t.Context())
		if err != nil {
			return
		}
		u, err := url.Parse(keyURL)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
			t.Fatalf("keys at %q", keyURL)
		}
		// What the standard library would connect to.
		if at := hostPort(u.Scheme, u.Host); at != "id.example.com:443" && at != "keys.example.com:8443" {
			t.Errorf("keys at %q, of %s", keyURL, at)
		}
	})
}
