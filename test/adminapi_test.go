package test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestKeysByTheAdminAPI: a key that is made over HTTP opens its route, until it is
// revoked over HTTP; and the log never has its text.
func TestKeysByTheAdminAPI(t *testing.T) {
	t.Parallel()
	g := start(t, setup{
		config: partners, values: map[string]string{"app": backend(t, "app").Addr()},
		env: []string{"GATEWRIGHT_ADMIN_TOKEN=admin-canary"},
	})
	post := func(path, body, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, "http://"+g.admin+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	const spec = `{"name": "over HTTP", "tenant": "acme", "permissions": ["data:read"]}`
	if status, body := post("/api/v1/keys", spec, ""); status != http.StatusUnauthorized {
		t.Fatalf("without the token: %d %s", status, body)
	}
	var key apiKey
	status, body := post("/api/v1/keys", spec, "admin-canary")
	if err := json.Unmarshal([]byte(body), &key); err != nil || status != http.StatusCreated || key.Key == "" {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	g.eventuallyAnswers("the key is taken", http.StatusOK, "/data/1", key.header())
	if status, body := post("/api/v1/keys/"+key.ID+"/revoke", "", "admin-canary"); status != http.StatusOK {
		t.Fatalf("revoking: %d %s", status, body)
	}
	g.eventuallyAnswers("the key is refused", http.StatusUnauthorized, "/data/1", key.header())
	if audit := string(g.run("keys", "audit", "-o", "json")); !strings.Contains(audit, "admin API from 127.0.0.1") {
		t.Errorf("the audit says %s", audit)
	}
	g.seesNoSecret(key.Key)
	g.seesNoSecret("admin-canary")
}
