package test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/demo"
	"github.com/gatewright/gatewright/internal/testenv"
)

// service is a demo backend on an address of its own.
type service struct {
	*demo.Backend
	*demo.Server
	// last are the headers of the newest request.
	last *atomic.Pointer[http.Header]
}

// backend starts a demo backend for a test.
func backend(t testing.TB, name string) service {
	t.Helper()
	return backendThat(t, name, func(http.ResponseWriter, *http.Request) bool { return false })
}

// backendThat starts a demo backend that is first asked whether it answers a
// request in another way.
func backendThat(t testing.TB, name string, answers func(http.ResponseWriter, *http.Request) bool) service {
	t.Helper()
	b, last := demo.NewBackend(name), &atomic.Pointer[http.Header]{}
	s, err := demo.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(&r.Header)
		if !answers(w, r) {
			b.ServeHTTP(w, r)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return service{b, s, last}
}

// idp starts a demo identity provider for a test.
func idp(t testing.TB) *demo.IDP {
	t.Helper()
	addr := testenv.Addr(t)
	p, err := demo.NewIDP("http://"+addr, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := demo.Start(addr, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return p
}

// jwtMain is how a config names the demo identity provider at {{.issuer}}, as
// auth.jwt.main. More may be said of it in the lines that follow.
const jwtMain = `  jwt:
    main:
      issuer: "{{.issuer}}"
      audiences: [api]
      algorithms: [RS256, ES256]
      jwks: {url: "{{.issuer}}/.well-known/jwks.json"}
`

// token is a token with these claims, each "name=value", beside the usual ones.
func token(t testing.TB, p *demo.IDP, claims ...string) string {
	t.Helper()
	all := map[string]any{}
	for _, c := range claims {
		name, value, _ := strings.Cut(c, "=")
		all[name] = value
	}
	return p.Token(all)
}
