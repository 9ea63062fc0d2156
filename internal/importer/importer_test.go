package importer

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/openapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load writes a document as a config by these options.
func load(t testing.TB, path string, o Options) Result {
	t.Helper()
	doc, err := openapi.Load(path, config.ReadContent)
	if err != nil {
		t.Fatal(err)
	}
	o.Source = filepath.Base(path)
	return OpenAPI(doc, o)
}

func parseBackend(t testing.TB, text string) Backend {
	t.Helper()
	b, rule := ParseBackend(text)
	if rule != "" {
		t.Fatal(rule)
	}
	return b
}

// golden is a config as it is in a file, which has no fault.
func golden(t testing.TB, path string, got Result) *config.Config {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got.Config, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Config) != string(want) {
		t.Errorf("differs from %s (-update writes it anew):\n%s", path, got.Config)
	}
	c, err := config.Parse("gateway.yaml", got.Config)
	if err != nil {
		t.Fatalf("%v\n%s", err, got.Config)
	}
	for _, note := range got.Notes {
		if !strings.Contains(string(got.Config), note) {
			t.Errorf("not in the comments: %s", note)
		}
	}
	return c
}

// TestShop: each kind of security, server, path and reference, written and judged.
func TestShop(t *testing.T) {
	o := Options{Backend: parseBackend(t, "shop=http://10.0.0.7:8080")}
	got := load(t, "testdata/shop.yaml", o)
	c := golden(t, "testdata/shop.out.yaml", got)
	if len(c.Routes) != got.Routes || got.Routes != 5 || got.Left != 5 {
		t.Errorf("%d routes, told of %d and of %d left", len(c.Routes), got.Routes, got.Left)
	}
	for _, r := range c.Routes {
		if r.Auth.Public {
			t.Errorf("%s is public, and the document does not say so", r.Name)
		}
	}
	if again := load(t, "testdata/shop.yaml", o); string(again.Config) != string(got.Config) {
		t.Error("one document has two configs")
	}
}

// TestSecure: a backend and a listener with TLS, certificates as identity, each value of
// a server's variables, streams, and requests held to the document.
func TestSecure(t *testing.T) {
	const certs = "../../config/testdata/certs/"
	o := Options{
		Backend:  parseBackend(t, "files=https://Files.internal/base"),
		Listener: Listener{Cert: certs + "edge.crt", Key: certs + "edge.key", ClientCA: certs + "partners-ca.crt"},
		Validate: config.ValidateShadow, Document: "testdata/secure.yaml", Audience: "files", Issuer: "https://id.example.com",
	}
	got := load(t, "testdata/secure.yaml", o)
	c := golden(t, "testdata/secure.out.yaml", got)
	if got.Routes != 5 || got.Left != 1 {
		t.Errorf("%d routes, %d left", got.Routes, got.Left)
	}
	for _, r := range c.Routes {
		if r.Auth.Public {
			t.Errorf("%s is public, and the document does not say so", r.Name)
		}
		// A role that one of two is not enough for must not become one of two.
		for _, q := range r.Auth.AnyOf {
			if len(q.Roles) > 1 {
				t.Errorf("%s takes one of the roles %q, and the document wants each", r.Name, q.Roles)
			}
		}
	}
	// Without the authorities of clients, what asks for a certificate is closed.
	o.Listener.ClientCA = ""
	if closed := load(t, "testdata/secure.yaml", o); closed.Routes != 3 || closed.Left != 3 || strings.Contains(string(closed.Config), "auth: public") {
		t.Errorf("%d routes, %d left\n%s", closed.Routes, closed.Left, closed.Config)
	}
}

// TestSchemesOfBackends: what is spoken, the port, and the name that must be in a
// certificate.
func TestSchemesOfBackends(t *testing.T) {
	const doc = head + `"/a": {"get": {"operationId": "a", "security": [], "responses": {"200": {"description": "ok"}}}}}}`
	for text, want := range map[string]string{
		"a=http://app.internal":        "app.internal:80",
		"a=https://app.internal":       "app.internal:443 tls app.internal",
		"a=https://App.Internal.:8443": "App.Internal.:8443 tls app.internal",
		"a=https://10.0.0.7":           "10.0.0.7:443 tls 10.0.0.7",
		"a=https://[2001:db8::7]:8443": "[2001:db8::7]:8443 tls 2001:db8::7",
		"a=h2://app.internal":          "app.internal:443 http2 tls app.internal",
		"a=h2c://app.internal":         "app.internal:80 http2",
		"a=grpc://app.internal:9000":   "app.internal:9000 grpc",
		"a=grpcs://app.internal:9000":  "app.internal:9000 grpc tls app.internal",
	} {
		r := document(t, doc, Options{Backend: parseBackend(t, text)})
		c, err := config.Parse("gateway.yaml", r.Config)
		if err != nil {
			t.Errorf("%s: %v\n%s", text, err, r.Config)
			continue
		}
		b := c.Backends["a"]
		got := b.Endpoints[0].Address
		if b.Protocol != "" {
			got += " " + string(b.Protocol)
		}
		if b.TLS != nil {
			got += " tls " + b.TLS.ServerName
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func document(t testing.TB, text string, o Options) Result {
	t.Helper()
	doc, err := openapi.Load("doc.yaml", func(string, int) ([]byte, error) { return []byte(text), nil })
	if err != nil {
		t.Fatal(err)
	}
	return OpenAPI(doc, o)
}

const head = `{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {`

// TestWhoMayCall: what the document says nothing of is closed; what it says is for
// everybody is open; and a path that is wider here takes nothing of another's.
func TestWhoMayCall(t *testing.T) {
	const ok = `"responses": {"200": {"description": "ok"}}`
	silent := head + `"/a": {"get": {"operationId": "a", ` + ok + `}}, "/b": {"get": {"operationId": "b", "security": [], ` + ok + `}}}}`
	public := func(r Result) []string {
		t.Helper()
		c, err := config.Parse("gateway.yaml", r.Config)
		if err != nil {
			t.Fatalf("%v\n%s", err, r.Config)
		}
		var all []string
		for _, route := range c.Routes {
			if route.Auth.Public {
				all = append(all, route.Name+" "+route.Match.Path)
			}
		}
		return all
	}
	if got := public(document(t, silent, Options{})); !slices.Equal(got, []string{"b /b"}) {
		t.Errorf("public: %q", got)
	}
	if got := public(document(t, silent, Options{Public: true})); !slices.Equal(got, []string{"a /a", "b /b"}) {
		t.Errorf("with --public: %q", got)
	}
	wide := head + `"/f/{a}.txt": {"parameters": [{"name": "a", "in": "path", "required": true, "schema": {"type": "string"}}], "get": {"operationId": "open", "security": [], ` + ok + `}},
		"/f/{id}": {"parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}], "get": {"operationId": "closed", "security": [{"k": []}], ` + ok + `}}},
		"components": {"securitySchemes": {"k": {"type": "apiKey", "in": "query", "name": "api_key"}}}}`
	r := document(t, wide, Options{})
	if got := public(r); len(got) > 0 || r.Left != 1 || r.Routes != 1 {
		t.Errorf("a path that is wider here: %q\n%s", got, r.Config)
	}
	if none := document(t, head+`}}`, Options{}); len(public(none)) != 1 || none.Routes != 0 || !slices.Contains(none.Notes, "no operation has become a route") {
		t.Errorf("without operations:\n%s", none.Config)
	}
}

// TestServersAndBackends: a backend's URL with a path stands in place of a server's.
func TestServersAndBackends(t *testing.T) {
	text := `{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://api.example.com/v1"}, {"url": "/v2"}, {"url": "https://10.1.1.1/v1/"}],
		"paths": {"/a/{x}": {"parameters": [{"name": "x", "in": "path", "required": true, "schema": {"type": "string"}}], "get": {"operationId": "a", "security": [], "responses": {"200": {"description": "ok"}}}}}}`
	b, _ := ParseBackend("app=h2c://app.internal/base")
	r := document(t, text, Options{Backend: b})
	c, err := config.Parse("gateway.yaml", r.Config)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Config)
	}
	var got []string
	for _, route := range c.Routes {
		got = append(got, strings.Join(route.Match.Hosts, ",")+route.Match.Path+" → "+route.Rewrite.Path)
	}
	if want := []string{"api.example.com,10.1.1.1/v1/a/{x} → /base/a/{x}", "/v2/a/{x} → /base/a/{x}"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if backend := c.Backends["app"]; backend.Protocol != config.ProtocolHTTP2 || backend.Endpoints[0].Address != "app.internal:80" {
		t.Errorf("%+v", backend)
	}
	for _, bad := range []string{"", "x", "=http://a", "a=ftp://a", "a=http://", "a=http://u:p@a", "a=http://a:0", "gatewright=http://a", "a=http://a?b"} {
		if _, rule := ParseBackend(bad); rule == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

// FuzzOpenAPI: whatever a document says, it is written twice in the same way.
func FuzzOpenAPI(f *testing.F) {
	text, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(head + `}}`)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := openapi.Load("doc.yaml", func(string, int) ([]byte, error) { return []byte(text), nil })
		if err != nil {
			return
		}
		once, again := OpenAPI(doc, Options{}), OpenAPI(doc, Options{})
		if string(once.Config) != string(again.Config) {
			t.Error("one document has two configs")
		}
	})
}
