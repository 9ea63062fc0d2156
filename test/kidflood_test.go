package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatewright/gatewright/internal/demo"
)

// TestGoodTokensDuringAFlood: while strangers send key ids that nobody has, and
// the issuer, asked for them once, never answers, its users' tokens are judged as
// always, new ones and known ones; and the flood leaves nothing behind, in the
// log or in memory.
func TestGoodTokensDuringAFlood(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	var fetches atomic.Int64
	never := make(chan struct{})
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fetches.Add(1) > 1 {
			select {
			case <-never:
			case <-r.Context().Done():
			}
			return
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(keys.Close)
	t.Cleanup(func() { close(never) })
	g := start(t, setup{config: strings.Replace(askedAbout(tokens), `url: "{{.issuer}}`, `url: "{{.keys}}`, 1), values: map[string]string{
		"issuer": p.Issuer(), "keys": keys.URL, "users": users.Addr(),
	}})
	known := bearer(token(t, p, "sub=alice", "scope=users:read"))
	get(t, g.url("public", "/users/1"), known).ok(t)
	remembered := only(g.metrics(), "gatewright_token_cache_entries")
	said := g.stderr.String()

	const strangers, each = 8, 100
	var flood sync.WaitGroup
	var refused atomic.Int64
	for i := range strangers {
		flood.Go(func() {
			for j := range each {
				signed := p.Token(map[string]any{"scope": "users:read"}, demo.WithHeader("kid", fmt.Sprintf("made-up-%d-%d", i, j)))
				r, err := try(http.MethodGet, g.url("public", "/users/flood"), bearer(signed))
				if err != nil || r.Status != http.StatusUnauthorized {
					t.Errorf("a stranger: %d %v", r.Status, err)
				}
				refused.Add(1)
			}
		})
	}
	good := 0
	for ; refused.Load() < strangers*each && !t.Failed(); good++ {
		get(t, g.url("public", "/users/1"), known).ok(t)
		get(t, g.url("public", "/users/1"), bearer(token(t, p, fmt.Sprint("sub=user", good), "scope=users:read"))).ok(t)
	}
	flood.Wait()
	if good == 0 {
		t.Error("no good token was judged meanwhile")
	}
	if n := fetches.Load(); n > 2 {
		t.Errorf("the issuer was asked %d times for its keys, want 2 at most", n)
	}
	if now, want := only(g.metrics(), "gatewright_token_cache_entries"), entriesAfter(remembered, good); now != want {
		t.Errorf("%d good tokens, and of %q it has become %q", good, remembered, now)
	}
	if more := strings.TrimPrefix(g.stderr.String(), said); strings.Count(more, "\n") > 3 {
		t.Errorf("the flood is told in the log: %s", more)
	}
}

// entriesAfter is a metric's line with a number added.
func entriesAfter(line string, more int) string {
	var name string
	var n int
	if _, err := fmt.Sscan(line, &name, &n); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %d\n", name, n+more)
}
