package test

import (
	"net/http"
	"testing"
)

// TestTheJudgeComesWithTheRoute: a route that nobody is asked about has no judge in front
// of it, and has it with the config that protects it, on connections that were open before,
// too, and on listeners that have not changed. It is gone with the next that says so.
func TestTheJudgeComesWithTheRoute(t *testing.T) {
	t.Parallel()
	text := func(auth string) string {
		return `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends: {app: {endpoints: ["{{.app}}"]}}
auth: {apiKey: {keys: {}}}
routes:
  - {name: app, match: {path: /app}, to: [{backend: app}], auth: ` + auth + `}
  - {name: other, match: {path: /other}, to: [{backend: app}], auth: {anyOf: [{apiKey: keys}]}}
`
	}
	g := start(t, setup{config: text("public"), values: map[string]string{"app": backend(t, "app").Addr()}})
	key := g.createKey()
	conn := g.connect("public")
	ask := func(path, headers string, want int) {
		t.Helper()
		status, body, err := posted(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n"+headers+"\r\n")
		if err != nil || status != want {
			t.Fatalf("%s on an open connection: %d %s, %v; want %d", path, status, body, err, want)
		}
	}
	ask("/app", "", http.StatusOK)
	ask("/other", "", http.StatusUnauthorized) // on one connection each request has its own filters
	ask("/app", "", http.StatusOK)

	g.write(text("{anyOf: [{apiKey: keys}]}"))
	g.applied(1)
	ask("/app", "", http.StatusUnauthorized)
	ask("/app", "X-API-Key: "+key.Key+"\r\n", http.StatusOK)

	g.write(text("public"))
	g.applied(2)
	ask("/app", "", http.StatusOK)
	ask("/other", "", http.StatusUnauthorized)
	if hops := g.hops(); hops != 4 {
		t.Errorf("Gatewright was asked %d times, and is to be about the 4 requests for what is protected", hops)
	}
}
