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

func load(t testing.TB, path string) Result {
	t.Helper()
	doc, err := openapi.Load(path, config.ReadContent)
	if err != nil {
		t.Fatal(err)
	}
	b, rule := ParseBackend("shop=http://10.0.0.7:8080")
	if rule != "" {
		t.Fatal(rule)
	}
	return OpenAPI(doc, Options{Source: filepath.Base(path), Backend: b})
}

// TestShop: each kind of security, server, path and reference, written and judged.
func TestShop(t *testing.T) {
	got := load(t, "testdata/shop.yaml")
	const golden = "testdata/shop.out.yaml"
	if *update {
		if err := os.WriteFile(golden, got.Config, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Config) != string(want) {
		t.Errorf("differs from %s (-update writes it anew):\n%s", golden, got.Config)
	}
	c, err := config.Parse("gateway.yaml", got.Config)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Routes) != got.Routes || got.Routes != 5 || got.Left != 5 {
		t.Errorf("%d routes, told of %d and of %d left", len(c.Routes), got.Routes, got.Left)
	}
	for _, r := range c.Routes {
		if r.Auth.Public {
			t.Errorf("%s is public, and the document does not say so", r.Name)
		}
	}
	for _, note := range got.Notes {
		if !strings.Contains(string(got.Config), note) {
			t.Errorf("not in the comments: %s", note)
		}
	}
	if again := load(t, "testdata/shop.yaml"); string(again.Config) != string(got.Config) {
		t.Error("one document has two configs")
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
	for _, bad := range []string{"", "x", "=http://a", "a=ftp://a", "a=http://", "a=http://u:p@a", "a=https://a", "gatewright=http://a", "a=http://a?b"} {
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
