package test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const documented = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey: {keys: {}}
limits:
  few: {key: ["header:X-Shop"], tokenBucket: {capacity: 2, refill: 1/h}}
openapi:
  orders: {document: api.yaml}
routes:
  - name: orders
    match: {path: /v1/orders/**}
    auth: public
    to: [{backend: app}]
    openapi: {document: orders, validate: request, maxBody: 4096}
  - name: closed
    match: {methods: [POST], path: /v1/orders}
    auth: {anyOf: [{apiKey: keys}]}
    limits: [few]
    to: [{backend: app}]
    openapi: {document: orders, validate: request, maxBody: 4096}
  - name: tried
    match: {hosts: [shadow.example.com], path: /v1/orders/**}
    priority: 1
    auth: public
    to: [{backend: app, weight: 1}, {backend: app2, weight: 0}]
    openapi: {document: orders, validate: request, mode: shadow}
`

// TestRequestsAreHeldToADocument: what is not as the document says gets a 400 with its
// place, once the caller is known and has been counted, and never reaches a backend.
func TestRequestsAreHeldToADocument(t *testing.T) {
	t.Parallel()
	api, err := os.ReadFile("../internal/openapi/testdata/orders30.yaml")
	if err != nil {
		t.Fatal(err)
	}
	app := backend(t, "app")
	config := strings.Replace(documented, "  app: {endpoints", "  app2: {endpoints: [\"{{.app}}\"]}\n  app: {endpoints", 1)
	g := prepared(t, setup{config: config, values: map[string]string{"app": app.Addr()}})
	g.writeFile("api.yaml", api)
	g.launch("run")
	g.waitReady()
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("standard error of the gateway:\n%s", g.stderr)
		}
	})
	url := func(path string) string { return g.url("public", path) }
	shop := func(name string) header { return header{"X-Shop", name} }
	key := header{"X-API-Key", g.createKey().Key}

	get(t, url("/v1/orders?state=open"), shop("a")).ok(t)
	for _, c := range []struct {
		got  reply
		want string
	}{
		{get(t, url("/v1/orders?state=SECRET"), shop("a")), "query parameter state"},
		{get(t, url("/v1/orders?state=open")), "header parameter X-Shop is required"},
		{get(t, url("/v1/orders?state=open"), shop("a"), header{"Cookie", "side=SECRET"}), "cookie parameter side"},
		{get(t, url("/v1/orders/SECRET")), "path parameter id"},
		{do(t, "PUT", url("/v1/orders/7")), "no operation by PUT"},
		{send(t, "PATCH", url("/v1/orders/7"), `{"kind": "SECRET"}`), "at /kind"},
		{send(t, "PATCH", url("/v1/orders/7"), `{"kind": `), "must be JSON"},
		{send(t, "POST", url("/v1/orders"), `{"sku": "SECRET"}`, key, shop("b")), "at /sku"},
	} {
		if p := c.got.denied(t, 400, "request-invalid"); !strings.Contains(p.Detail, c.want) || strings.Contains(p.Detail, "SECRET") {
			t.Errorf("told %q, want %q", p.Detail, c.want)
		}
	}
	// Who is not known, or has used up a limit, has no body judged.
	send(t, "POST", url("/v1/orders"), `{"sku": `, shop("c")).denied(t, 401, "credential-missing")
	send(t, "POST", url("/v1/orders"), `{"sku": "a-1"}`, key, shop("b")).ok(t)
	send(t, "POST", url("/v1/orders"), `{"sku": `, key, shop("b")).denied(t, 429, "rate-limited")
	// A body reaches its backend as it was sent, chunked too; one that is too large is refused.
	whole := `{"sku": "a-1", "count": 3}`
	if e := send(t, "POST", url("/v1/orders"), whole, key, shop("d")).ok(t).echo(t); e.Backend != "app" {
		t.Errorf("%+v", e)
	}
	request, err := http.NewRequest("PATCH", url("/v1/orders/7"), struct{ *bytes.Reader }{bytes.NewReader([]byte(`{"kind": "SECRET"}`))})
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = -1
	request.Header.Set("Content-Type", "application/json")
	chunked, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	chunked.Body.Close()
	if chunked.StatusCode != 400 {
		t.Errorf("a chunked body: %d", chunked.StatusCode)
	}
	send(t, "PATCH", url("/v1/orders/7"), `{"kind": "`+strings.Repeat("x", 5000)+`"}`).denied(t, 413, "body-too-large")

	// In shadow nothing is refused, and all is counted.
	shadow := header{"Host", "shadow.example.com"}
	send(t, "PATCH", url("/v1/orders/70"), `{"kind": "SECRET"}`, shadow).ok(t)
	if line := g.logged("/v1/orders/70"); line["shadow"] != "request-invalid" || line["reason"] != "allowed" {
		t.Errorf("the log has %v", line)
	}
	eventually(t, "validations are counted", func() error {
		metrics := get(t, "http://"+g.admin+"/metrics").Body
		for _, want := range []string{`gatewright_openapi_validations_total{result="shadow",route="tried"} 1`, `gatewright_openapi_validations_total{result="invalid",route="closed"} 1`} {
			if !strings.Contains(metrics, want) {
				return fmt.Errorf("no %s", want)
			}
		}
		return nil
	})
	if log := g.stdout.String() + g.stderr.String(); strings.Contains(log, "kind") {
		t.Error("a body is in a log")
	}

	// The document is watched; a bad one changes nothing.
	testenv.ReplaceFile(t, filepath.Join(g.dir, "api.yaml"), bytes.Replace(api, []byte("maxLength: 3"), []byte("maxLength: 5"), 1))
	eventually(t, "the new document is served", func() error {
		if got := get(t, url("/v1/orders?state=open"), shop("12345")); got.Status != 200 {
			return fmt.Errorf("%d %s", got.Status, got.Body)
		}
		return nil
	})
	testenv.ReplaceFile(t, filepath.Join(g.dir, "api.yaml"), []byte("openapi: 3.0.0"))
	eventually(t, "the bad document is told of", func() error {
		if !strings.Contains(g.stderr.String(), "is not served; what was before is") {
			return fmt.Errorf("%s", g.stderr)
		}
		return nil
	})
	get(t, url("/v1/orders?state=open"), shop("12345")).ok(t)
	get(t, url("/v1/orders?state=open"), shop("123456")).denied(t, 400, "request-invalid")
}
