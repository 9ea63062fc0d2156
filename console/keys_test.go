package console

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/keys"
)

const adminToken = "s3cret"

// admin is an admin port on a database of its own.
type admin struct {
	t     testing.TB
	h     http.Handler
	store *keys.Store
	log   *strings.Builder
}

func newAdmin(t testing.TB, token string) admin {
	t.Helper()
	store, err := keys.Open(t.Context(), keys.Settings{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	log := &strings.Builder{}
	return admin{t, NewHandler(Options{
		Token: token, Registry: prometheus.NewRegistry(), Keys: store, Log: slog.New(slog.NewTextHandler(log, nil)),
		Ready: func() error { return nil }, Status: func() any { return nil },
	}), store, log}
}

// call asks as a program on this machine that has the token does.
func (a admin) call(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9002"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	return w
}

// want is the answer to a call, read.
func want[T any](a admin, w *httptest.ResponseRecorder, status int) (v T) {
	a.t.Helper()
	if w.Code != status {
		a.t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		a.t.Fatalf("%s: %v", w.Body, err)
	}
	return v
}

type answered struct {
	Key, ID, Name, Tenant, Reason, Detail string
	RevokedAt                             string
}

// TestKeysByTheAPI: a key's life, and who had a hand in it.
func TestKeysByTheAPI(t *testing.T) {
	a := newAdmin(t, adminToken)
	w := a.call("POST", "/api/v1/keys", `{"name": "nightly", "tenant": "acme", "permissions": ["users:read"], "labels": {"team": "a"}}`)
	made := want[answered](a, w, 201)
	if parsed, ok := keys.Parse(made.Key); !ok || parsed.ID != made.ID || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("made %+v, headers %v", made, w.Header())
	}
	rotated := want[answered](a, a.call("POST", "/api/v1/keys/"+made.ID+"/rotate", `{"overlap": "1h"}`), 200)
	if rotated.ID != made.ID || rotated.Key == made.Key || rotated.Key == "" {
		t.Errorf("rotated to %+v", rotated)
	}
	for _, query := range []string{"", "?tenant=acme&active=true", "?label=team%3Da"} {
		w := a.call("GET", "/api/v1/keys"+query, "")
		if list := want[[]answered](a, w, 200); len(list) != 1 || list[0].ID != made.ID || strings.Contains(w.Body.String(), rotated.Key) {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
	if list := want[[]answered](a, a.call("GET", "/api/v1/keys?tenant=other", ""), 200); len(list) != 0 {
		t.Errorf("of another tenant: %v", list)
	}
	if revoked := want[answered](a, a.call("POST", "/api/v1/keys/"+made.ID+"/revoke", ""), 200); revoked.RevokedAt == "" {
		t.Errorf("revoked: %+v", revoked)
	}
	if one := want[answered](a, a.call("GET", "/api/v1/keys/"+made.ID, ""), 200); one.RevokedAt == "" {
		t.Errorf("read: %+v", one)
	}
	imported := want[[]answered](a, a.call("POST", "/api/v1/keys/import", "key,name\nabcdefghijklmnopqrstuvwxyz,old\n", "Content-Type", "text/csv; charset=utf-8"), 201)
	if len(imported) != 1 || imported[0].Name != "old" {
		t.Errorf("imported %+v", imported)
	}
	var actions []string
	for _, entry := range want[[]keys.Audited](a, a.call("GET", "/api/v1/keys/audit?since=2020-01-01T00:00:00Z", ""), 200) {
		actions = append(actions, entry.Action)
		if entry.Actor != "admin API from 127.0.0.1:5000" {
			t.Errorf("%s by %q", entry.Action, entry.Actor)
		}
	}
	if got := strings.Join(actions, " "); got != "create rotate list list list list revoke import" {
		t.Errorf("audited: %s", got)
	}
}

// TestRevocationsByTheAPI: made, listed, taken back.
func TestRevocationsByTheAPI(t *testing.T) {
	a := newAdmin(t, adminToken)
	type revocation struct {
		ID                       int64
		Issuer, Subject, By, Why string
	}
	made := want[revocation](a, a.call("POST", "/api/v1/tokens/revocations", `{"issuer": "https://id/", "subject": "alice", "issuedBefore": "2026-01-31T12:00:00Z", "why": "left"}`), 201)
	if made.ID == 0 || made.By != "admin API from 127.0.0.1:5000" {
		t.Errorf("made %+v", made)
	}
	if list := want[[]revocation](a, a.call("GET", "/api/v1/tokens/revocations", ""), 200); len(list) != 1 || list[0] != made {
		t.Errorf("listed %+v, made %+v", list, made)
	}
	want[revocation](a, a.call("DELETE", "/api/v1/tokens/revocations/1", ""), 200)
	if p := want[answered](a, a.call("DELETE", "/api/v1/tokens/revocations/1", ""), 404); p.Reason != "not-found" {
		t.Errorf("taken back twice: %+v", p)
	}
}

// TestWhatTheAPIRefuses, and that it says why.
func TestWhatTheAPIRefuses(t *testing.T) {
	a := newAdmin(t, adminToken)
	for _, c := range []struct {
		method, path, body, kind string
		status                   int
		detail                   string
	}{
		{"POST", "/api/v1/keys", `{"name": "a", "tenent": "acme"}`, "", 400, `unknown field "tenent"`},
		{"POST", "/api/v1/keys", `{"name": "a"} {}`, "", 400, "more than one"},
		{"POST", "/api/v1/keys", `{"name": "` + strings.Repeat("a", maxBody) + `"}`, "", 400, "too large"},
		{"POST", "/api/v1/keys", `name=a`, "application/x-www-form-urlencoded", 415, "application/json"},
		{"POST", "/api/v1/keys", `{"name": ""}`, "", 422, "name"},
		{"POST", "/api/v1/keys/0123456789abc/rotate", `{"overlap": "soon"}`, "", 400, "overlap"},
		{"POST", "/api/v1/keys/0123456789abc/rotate", `{"overlap": "1h"}`, "", 404, "no such key"},
		{"POST", "/api/v1/keys/0123456789abc/revoke", ``, "", 404, "no such key"},
		{"GET", "/api/v1/keys/nothing", ``, "", 404, "not an id"},
		{"GET", "/api/v1/keys?active=maybe", ``, "", 400, "active"},
		{"GET", "/api/v1/keys?label=team", ``, "", 400, "label"},
		{"GET", "/api/v1/keys/audit?since=now", ``, "", 400, "since"},
		{"POST", "/api/v1/keys/import", "key,name\nshort,a\n", "text/csv", 422, "line 2"},
		{"POST", "/api/v1/keys/import", "{}", "", 415, "text/csv"},
		{"POST", "/api/v1/tokens/revocations", `{"subject": "alice"}`, "", 422, "issuer is missing"},
		{"DELETE", "/api/v1/tokens/revocations/x", ``, "", 404, "number"},
	} {
		kind := c.kind
		if kind == "" {
			kind = "application/json"
		}
		w := a.call(c.method, c.path, c.body, "Content-Type", kind)
		if p := want[answered](a, w, c.status); !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s %.60s: %s, want %q", c.method, c.path, c.body, w.Body, c.detail)
		}
	}
	if list := want[[]answered](a, a.call("GET", "/api/v1/keys", ""), 200); len(list) != 0 {
		t.Errorf("made all the same: %v", list)
	}
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	if p := want[answered](a, a.call("GET", "/api/v1/keys", ""), 503); p.Reason != "key-store-unavailable" || strings.Contains(p.Detail, "closed") || !strings.Contains(a.log.String(), "closed") {
		t.Errorf("without a database: %+v, log %s", p, a.log)
	}
}

// TestWhoMayWrite: who has the token, from wherever, and nobody else.
func TestWhoMayWrite(t *testing.T) {
	for name, c := range map[string]struct {
		token, authorization string
		status               int
	}{
		"this machine, no token set":       {"", "", 403},
		"no token set, an empty one sent":  {"", "Bearer ", 403},
		"this machine without the token":   {adminToken, "", 401},
		"this machine with a wrong token":  {adminToken, "Bearer s3cres", 401},
		"this machine, the token as Basic": {adminToken, "Basic " + adminToken, 401},
		"the token":                        {adminToken, "Bearer " + adminToken, 201},
	} {
		a := newAdmin(t, c.token)
		w := a.call("POST", "/api/v1/keys", `{"name": "a"}`, "Authorization", c.authorization)
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, c.status, w.Body)
		}
	}
}

// TestBodiesThatAreNoJSON: of JSONTestSuite, what is no JSON is refused as such by
// every call that has a body, and so is what is no object.
func TestBodiesThatAreNoJSON(t *testing.T) {
	root := os.Getenv("VECTORS")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "vectors")
	}
	files, err := filepath.Glob(filepath.Join(root, "jsontestsuite", "test_parsing", "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("no public test vectors: set VECTORS to their folder (%v)", err)
	}
	if len(files) != 318 {
		t.Errorf("%d files, want 318", len(files))
	}
	a := newAdmin(t, adminToken)
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range [][2]string{{"POST", "/api/v1/keys"}, {"PUT", "/api/v1/tenants/acme"}, {"POST", "/api/v1/tokens/revocations"}} {
			w := a.call(call[0], call[1], string(body))
			if w.Code != http.StatusBadRequest && strings.HasPrefix(filepath.Base(file), "n_") || w.Code >= 500 {
				t.Errorf("%s to %s: %d %s", filepath.Base(file), call[1], w.Code, w.Body)
			}
		}
	}
}
