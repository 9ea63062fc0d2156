package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatewright/gatewright/internal/demo"
)

// TestOneSpellingOfAToken: of a good token only the one spelling opens, whatever
// Envoy makes of the header's bytes; what its header links to is never asked for.
func TestOneSpellingOfAToken(t *testing.T) {
	t.Parallel()
	var visits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer canary.Close()
	g, p, users := startTokens(t)
	claims := map[string]any{"sub": "alice", "scope": "users:read"}
	good := p.Token(claims)
	parts := strings.Split(good, ".")
	// Of 256 bytes, the last character of a signature has four bits that belong to none.
	last := good[len(good)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	otherEnd := good[:len(good)-1] + string(alphabet[strings.IndexByte(alphabet, last)+1])
	linked := func(name string, value any) string { return "Bearer " + p.Token(claims, demo.WithHeader(name, value)) }

	for _, c := range []struct {
		lines string
		want  int
	}{
		{"Authorization: Bearer " + good, 200},
		{"authorization: bearer " + good, 200},
		{"Authorization:   Bearer " + good + "  \t", 200}, // around a value, spaces are not part of it
		{"Authorization: Bearer  " + good, 401},
		{"Authorization: Bearer\t" + good, 401},
		{"Authorization: Bearer" + good, 401},
		{"Authorization: Bearer Bearer " + good, 401},
		{"Authorization: Basic " + good, 401},
		{"Authorization: " + good, 401},
		{"Authorization: Bearer " + good + "=", 401},
		{"Authorization: Bearer " + good + ".", 401},
		{"Authorization: Bearer ." + good, 401},
		{"Authorization: Bearer " + good + ";", 401},
		{"Authorization: Bearer \"" + good + "\"", 401},
		{"Authorization: Bearer " + otherEnd, 401},
		{"Authorization: Bearer " + parts[0] + ". " + parts[1] + "." + parts[2], 401},
		{"Authorization: Bearer " + parts[0] + "=." + parts[1] + "." + parts[2], 401},
		{"Authorization: Bearer " + parts[0] + "." + parts[1], 401},
		{"Authorization: Bearer " + parts[0] + ".." + parts[2], 401},
		{"Authorization: Bearer " + parts[0] + "." + parts[1] + ".A" + parts[2], 401},
		{"Authorization: Bearer " + strings.Map(standardAlphabet, good) + "+/", 401},
		{"Authorization: Bearer " + good + "." + good, 401},
		{"Authorization: Bearer " + good + ".AA.AA", 401},
		{"Authorization: Bearer " + strings.Repeat(".", 40<<10), 401},
		{"Authorization: Bearer " + parts[0] + "." + strings.Repeat("A", 40<<10) + "." + parts[2], 401},
		{"Authorization: Bearer " + good + ", Bearer " + good, 400},
		{"Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + good, 400},
		{"Authorization: Bearer " + good + "\r\nauthorization: Basic YTpi", 400},
		{"Authorization: \r\nAuthorization: Bearer " + good, 200}, // an empty line is none: Envoy drops it, for all
		{"Proxy-Authorization: Bearer " + good, 401},
		{"X-Forwarded-Authorization: Bearer " + good, 401},
		{"Cookie: Authorization=Bearer " + good, 401},
		{"Authorization: " + linked("jku", canary.URL), 401},
		{"Authorization: " + linked("x5u", canary.URL), 401},
		{"Authorization: " + linked("jwk", map[string]any{"kty": "oct", "k": "AA"}), 401},
		{"Authorization: " + linked("x5c", []string{"AA"}), 401},
		{"Authorization: " + linked("crit", []string{"exp"}), 401},
		{"Authorization: " + linked("b64", false), 401},
		{"Authorization: " + linked("ALG", "none"), 401},
		{"Authorization: " + linked("kid", canary.URL), 401},
		{"Authorization: " + linked("kid", "../../../../dev/null"), 401},
		{"Authorization: " + linked("kid", "' OR 1=1 --"), 401},
		{"Authorization: " + linked("typ", "logout+jwt"), 401},
	} {
		before := users.Requests()
		r := g.raw("public", "GET /users/1 HTTP/1.1\r\nHost: a\r\n"+c.lines+"\r\nConnection: close\r\n\r\n")
		if r.Status != c.want || (users.Requests() > before) != (c.want == http.StatusOK) {
			t.Errorf("%.120s…: %d, want %d: %.300s", c.lines, r.Status, c.want, r.Body)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d visits where a token's header led", n)
	}
}

func standardAlphabet(r rune) rune {
	switch r {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return r
}
