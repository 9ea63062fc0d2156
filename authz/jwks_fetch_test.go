package authz

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The same over real connections, with the transport that is used in earnest.
func TestFetchOverTCP(t *testing.T) {
	visited := make(chan string, 10)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visited <- r.URL.Path
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write([]byte(set("a")))
	}))
	defer target.Close()
	transport := remoteTransport(nil)
	transport.Proxy = nil // whatever this machine's environment says
	client := remoteClient(transport)
	defer client.CloseIdleConnections()
	got, err := fetch(t.Context(), client, target.URL+"/jwks", version{})
	if err != nil || string(got.body) != set("a") {
		t.Errorf("%q, %v", got.body, err)
	}
	if _, err := fetch(t.Context(), client, target.URL+"/away", version{}); err == nil {
		t.Error("a redirect was followed")
	}
	close(visited)
	for path := range visited {
		if path == "/elsewhere" {
			t.Error("the target of a redirect was visited")
		}
	}
	for _, url := range []string{"file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/x", "gopher://x/", "::"} {
		if _, err := fetch(t.Context(), client, url, version{}); err == nil {
			t.Errorf("%s was fetched", url)
		}
	}
}

// What a resolver leads to, after the config has been judged.
func TestInnerAddressesAreRefused(t *testing.T) {
	for address, want := range map[string]struct{ metadata, inner error }{
		"169.254.169.254:80":          {errMetadata, errMetadata},
		"[fe80::1]:443":               {errMetadata, errMetadata},
		"[fe80::1%eth0]:443":          {errMetadata, errMetadata},
		"[::ffff:169.254.169.254]:80": {errMetadata, errMetadata},
		"[64:ff9b::a9fe:a9fe]:80":     {errMetadata, errMetadata},
		"[64:ff9b::6464:64c8]:80":     {errMetadata, errMetadata},
		"[2002:a9fe:a9fe::1]:80":      {errMetadata, errMetadata},
		"[::a9fe:a9fe]:80":            {errMetadata, errMetadata},
		"[64:ff9b::c000:201]:443":     {nil, nil},
		"[2002:c000:201::1]:443":      {nil, nil},
		"100.100.100.200:80":          {errMetadata, errMetadata},
		"[fd00:ec2::254]:80":          {errMetadata, errMetadata},
		"168.63.129.16:80":            {errMetadata, errMetadata},
		"127.0.0.1:80":                {nil, errLoopback},
		"127.1.2.3:80":                {nil, errLoopback},
		"[::1]:80":                    {nil, errLoopback},
		"[::ffff:127.0.0.1]:80":       {nil, errLoopback},
		"0.0.0.0:80":                  {nil, errLoopback},
		"[::]:80":                     {nil, errLoopback},
		"192.0.2.1:443":               {nil, nil},
		"10.0.0.1:443":                {nil, nil},
		"[2001:db8::1]:443":           {nil, nil},
	} {
		if err := refuseMetadata("tcp", address, nil); !errors.Is(err, want.metadata) {
			t.Errorf("%s: %v, want %v", address, err, want.metadata)
		}
		if err := refuseInner("tcp", address, nil); !errors.Is(err, want.inner) {
			t.Errorf("%s, by a name: %v, want %v", address, err, want.inner)
		}
	}
	if refuseMetadata("tcp", "odd", nil) == nil || refuseInner("tcp", "odd", nil) == nil {
		t.Error("what is no address was taken")
	}
}
