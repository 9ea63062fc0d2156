package test

import (
	"encoding/json"
	"net/http"
	"testing"
)

const partners = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey:
    partners: {forward: {tenant: X-Tenant-ID, id: X-Key-ID}}
    legacy: {from: {query: api_key}}
    kept: {from: {header: X-Kept-Key}, forwardCredential: true}
    kept-query: {from: {query: kept}, forwardCredential: true}
routes:
  - name: data
    match: {path: /data/**}
    auth: {anyOf: [{apiKey: partners, permissions: [data:read]}]}
    to: [{backend: app}]
  - name: old
    match: {path: /old/**}
    auth: {anyOf: [{apiKey: legacy}]}
    to: [{backend: app}]
  - name: kept
    match: {path: /kept/**}
    auth: {anyOf: [{apiKey: kept}, {apiKey: kept-query}]}
    to: [{backend: app}]
`

// apiKey is what `gatewright keys create -o json` prints.
type apiKey struct{ Key, ID, Tenant string }

func (g *gateway) createKey(args ...string) apiKey {
	g.t.Helper()
	var k apiKey
	out := g.run(append([]string{"keys", "create", "--name", "test", "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &k); err != nil || k.Key == "" || k.ID == "" {
		g.t.Fatalf("keys create printed %s: %v", out, err)
	}
	return k
}

func (k apiKey) header() header { return header{"X-API-Key", k.Key} }

func startPartners(t *testing.T) *gateway {
	t.Helper()
	return start(t, setup{config: partners, values: map[string]string{"app": backend(t, "app").Addr()}})
}

// TestAPIKeyOfAPartner: made by a command while the gateway runs, used at once,
// and never seen by the backend.
func TestAPIKeyOfAPartner(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	key := g.createKey("--tenant", "acme", "--permission", "data:read")
	got := get(t, g.url("public", "/data/1"), key.header()).ok(t).echo(t)
	if got.header("X-API-Key") != "" {
		t.Error("the backend sees the key")
	}
	if got.header("X-Tenant-ID") != "acme" || got.header("X-Key-ID") != key.ID {
		t.Errorf("the backend sees tenant %q, key %q", got.header("X-Tenant-ID"), got.header("X-Key-ID"))
	}
	if line := g.logged("/data/1"); line["key_id"] != key.ID || line["tenant"] != "acme" {
		t.Errorf("access log: %v", line)
	}
}

// TestRevokedKey: a running gateway refuses it within two seconds.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	key := g.createKey("--permission", "data:read")
	get(t, g.url("public", "/data/1"), key.header()).ok(t)
	g.run("keys", "revoke", key.ID)
	eventually(t, "the key is refused", func() error {
		if r := get(t, g.url("public", "/data/1"), key.header()); r.Status == http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("public", "/data/1"), key.header()).denied(t, 401, "api-key-revoked")
}

func TestKeysThatDoNotOpen(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	url := g.url("public", "/data/1")
	weak := g.createKey("--permission", "data:write")
	other := g.createKey("--permission", "data:read")
	get(t, url).denied(t, 401, "credential-missing")
	get(t, url, weak.header()).denied(t, 403, "permission-missing")
	get(t, url, header{"X-API-Key", "gw_made_up"}).denied(t, 401, "api-key-invalid")
	changed := []byte(other.Key)
	changed[len(changed)-1] ^= 1
	get(t, url, header{"X-API-Key", string(changed)}).denied(t, 401, "api-key-invalid")
	get(t, url, weak.header(), other.header()).denied(t, 400, "duplicate-credential")
}

// TestKeyInTheQuery is taken out of what the backend and the log see.
func TestKeyInTheQuery(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	key := g.createKey()
	got := get(t, g.url("public", "/old/1?page=2&api_key="+key.Key)).ok(t).echo(t)
	if got.Query != "page=2" {
		t.Errorf("the backend sees the query %q, want page=2", got.Query)
	}
	g.logged("/old/1")
	g.seesNoSecret(key.Key)
}

// TestKeysThatAreKept: the backend sees a key where its provider says so, and where
// it came and was good; not one that came beside it.
func TestKeysThatAreKept(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	key := g.createKey()
	got := get(t, g.url("public", "/kept/1?page=2&kept=made-up"), header{"X-Kept-Key", key.Key}).ok(t).echo(t)
	if got.header("X-Kept-Key") != key.Key || got.Query != "page=2" {
		t.Errorf("the backend sees the key %q and the query %q", got.header("X-Kept-Key"), got.Query)
	}
	got = get(t, g.url("public", "/kept/2?kept="+key.Key), header{"X-Kept-Key", "made-up"}).ok(t).echo(t)
	if got.header("X-Kept-Key") != "" || got.Query != "kept="+key.Key {
		t.Errorf("the backend sees the key %q and the query %q", got.header("X-Kept-Key"), got.Query)
	}
	g.logged("/kept/2")
	g.seesNoSecret(key.Key)
}
