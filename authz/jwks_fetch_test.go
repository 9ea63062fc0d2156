package authz

import (
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
	transport := jwksTransport()
	transport.Proxy = nil // whatever this machine's environment says
	client := jwksClient(transport)
	defer client.CloseIdleConnections()
	got, err := fetch(t.Context(), client, target.URL+"/jwks")
	if err != nil || string(got.body) != set("a") {
		t.Errorf("%q, %v", got.body, err)
	}
	if _, err := fetch(t.Context(), client, target.URL+"/away"); err == nil {
		t.Error("a redirect was followed")
	}
	close(visited)
	for path := range visited {
		if path == "/elsewhere" {
			t.Error("the target of a redirect was visited")
		}
	}
	for _, url := range []string{"file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/x", "gopher://x/", "::"} {
		if _, err := fetch(t.Context(), client, url); err == nil {
			t.Errorf("%s was fetched", url)
		}
	}
}

func TestLinkLocalIsRefused(t *testing.T) {
	for address, refused := range map[string]bool{
		"169.254.169.254:80": true, "[fe80::1]:443": true, "[::ffff:169.254.169.254]:80": true,
		"127.0.0.1:80": false, "192.0.2.1:443": false, "[2001:db8::1]:443": false, "odd": true,
	} {
		if err := refuseLinkLocal("tcp", address, nil); (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
}
