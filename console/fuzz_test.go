package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzAPI: whatever is asked of the API, it answers: by JSON or by a problem with
// its reason, never by a panic, and never by a fault that is not the caller's. A
// write without the token changes nothing.
func FuzzAPI(f *testing.F) {
	for _, seed := range []struct{ method, path, query, kind, body string }{
		{"POST", "/api/v1/keys", "", "application/json", `{"name": "a", "owner": "b", "tenant": "c", "plan": "gold", "permissions": ["x:y"], "labels": {"a": "b"}, "expiresAt": "2030-01-01T00:00:00Z"}`},
		{"POST", "/api/v1/keys", "", "application/json; charset=utf-8", `{"name": "a"}{}`},
		{"POST", "/api/v1/keys", "", "application/json", `{"name": "\ud800"}`},
		{"POST", "/api/v1/keys/0123456789abc/rotate", "", "application/json", `{"overlap": "24h"}`},
		{"POST", "/api/v1/keys/%ff/rotate", "", "application/json", `{"overlap": "-1ns"}`},
		{"POST", "/api/v1/keys/0123456789abc/revoke", "", "", ""},
		{"POST", "/api/v1/keys/import", "", "text/csv", "name,key,permissions,labels,expiresAt\na,abcdefghijklmnopqrstuvwxyz,x:y z,a=b,2030-01-01T00:00:00Z\n"},
		{"POST", "/api/v1/keys/import", "", "application/jsonl", `{"name":"a","sha256":"` + strings.Repeat("ab", 32) + `","permissions":["x"]}` + "\n"},
		{"GET", "/api/v1/keys", "owner=a&tenant=b&active=true&label=a%3Db&label=%ff", "", ""},
		{"GET", "/api/v1/keys/audit", "key=a&since=2020-01-01T00:00:00Z", "", ""},
		{"GET", "/api/v1/keys/..%2faudit", "", "", ""},
		{"PUT", "/api/v1/tenants/acme", "", "application/json", `{"plan": "gold", "limits": {"per-tenant": "500,100/s"}, "note": "x"}`},
		{"PUT", "/api/v1/tenants/%00", "", "application/json", `{"limits": {"": "9007199254740993,1/s"}}`},
		{"GET", "/api/v1/tenants/acme", "", "", ""}, {"DELETE", "/api/v1/tenants/acme", "", "", ""},
		{"POST", "/api/v1/tokens/revocations", "", "application/json", `{"issuer": "https://a/", "subject": "x", "issuedBefore": "2026-01-31T12:00:00Z", "until": "9999-12-31T23:59:59Z", "why": "\u2028"}`},
		{"DELETE", "/api/v1/tokens/revocations/17", "", "", ""}, {"DELETE", "/api/v1/tokens/revocations/99999999999999999999", "", "", ""},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.kind, seed.body)
	}
	a := newAdmin(f, adminToken)
	f.Fuzz(func(t *testing.T, method, path, query, kind, body string) {
		target := &url.URL{Path: path, RawQuery: query}
		if unescaped, err := url.PathUnescape(path); err == nil {
			target.Path, target.RawPath = unescaped, path
		}
		ask := func(token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/", strings.NewReader(body))
			r.Method, r.URL, r.RequestURI = method, target, target.RequestURI()
			r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9002"
			r.Header.Set("Content-Type", kind)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			w := httptest.NewRecorder()
			a.h.ServeHTTP(w, r)
			return w
		}
		reads := method == http.MethodGet || method == http.MethodHead
		if w := ask(""); !reads && w.Code < 300 && strings.HasPrefix(target.Path, "/api/") {
			t.Fatalf("%s %s without the token: %d %s", method, target, w.Code, w.Body)
		}
		w := ask(adminToken)
		switch kind := w.Header().Get("Content-Type"); {
		case w.Code >= 500:
			t.Fatalf("%s %s: %d %s\n%s", method, target, w.Code, w.Body, a.log)
		case kind == "application/json" || kind == "application/problem+json":
			if !json.Valid(w.Body.Bytes()) && method != http.MethodHead {
				t.Fatalf("%s %s: no JSON: %s", method, target, w.Body)
			}
		}
		if a.log.Len() > 0 {
			t.Fatalf("%s %s: logged: %s", method, target, a.log)
		}
	})
}
