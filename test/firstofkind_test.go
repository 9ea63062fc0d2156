package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const firstOfItsKind = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"] BREAKER}
  v2: {endpoints: ["{{.v2}}"]}
  v3: {endpoints: ["{{.v2}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - name: app
    match: {path: /app}
    auth: AUTH
    timeout: 9s
    to: [{backend: v1, weight: 50}, {backend: v2, weight: 50}]
    STICKY
    ROLLOUT
    MIRROR
`

// TestTheFirstOfItsKindUnderLoad: the first breaker, the first of each kind of sticky route,
// the first rollout and dark canary of a gateway bring it other listeners, and the last that
// go, too. No request fails meanwhile, on connections that are kept and on new ones.
func TestTheFirstOfItsKindUnderLoad(t *testing.T) {
	t.Parallel()
	v1, v2 := backend(t, "v1"), backend(t, "v2")
	with := func(parts ...string) string {
		text := firstOfItsKind
		for i := 0; i < len(parts); i += 2 {
			text = strings.Replace(text, parts[i], parts[i+1], 1)
		}
		return strings.NewReplacer("AUTH", "public", "BREAKER", "", "STICKY\n", "\n", "ROLLOUT\n", "\n", "MIRROR\n", "\n").Replace(text)
	}
	breaker := []string{"BREAKER", ", breaker: {}"}
	fallback := []string{"BREAKER", ", breaker: {fallback: {backend: v3}}"}
	byEnvoy, byCheck := []string{"STICKY", `sticky: ["header:X-Device"]`}, []string{"STICKY", "sticky: [user]", "AUTH", "{anyOf: [{apiKey: keys}], allowAnonymous: true}"}
	rollout := []string{"ROLLOUT", "rollout: {backend: v2, steps: [50, 100], every: 1h}"}
	dark := []string{"ROLLOUT", "rollout: {backend: v3, steps: [50, 100], every: 1h}", "MIRROR", "mirror: {backend: v3}"}
	g := start(t, setup{config: with(), values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr()}})
	url := g.url("public", "/app")
	stop := load(url)
	ended := make(chan struct{})
	fresh := make(chan error, 1) // a connection for each request
	go func() {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
		for {
			select {
			case <-ended:
				fresh <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
			resp, err := c.Get(url)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					err = errStatus(reply{Status: resp.StatusCode})
				}
			}
			if err != nil {
				fresh <- err
				return
			}
		}
	}()
	for i, parts := range [][]string{
		breaker, {}, byEnvoy, {}, byCheck, {}, fallback, {}, rollout, {}, dark, {},
		slices.Concat(breaker, byCheck, rollout), {},
	} {
		// An answer's header tells which config is served.
		g.write(strings.Replace(with(parts...), "timeout: 9s", "timeout: 9s\n    response: {set: {X-Change: c"+string(rune('a'+i))+"}}", 1))
		g.applied(i + 1)
		eventually(t, "the change is served", func() error {
			if r := get(t, url); r.Header.Get("X-Change") != "c"+string(rune('a'+i)) {
				return errStatus(r)
			}
			return nil
		})
		time.Sleep(100 * time.Millisecond) // so that there is load on each config
	}
	sent, failures := stop()
	close(ended)
	if err := <-fresh; err != nil {
		t.Errorf("on a new connection: %v", err)
	}
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(failures), sent, failures[0])
	}
	t.Logf("%d requests", sent)
}
