package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Two routes whose callers are kept by the same things: by Envoy alone, and by Check.
const alike = `
listeners: [{name: public, address: "{{listen "public"}}"}]
trustedHops: 1
backends: {v1: {endpoints: ["{{.v1}}"]}, v2: {endpoints: ["{{.v2}}"]}}
auth:
` + jwtMain + `
routes:
- name: envoy
  match: {path: /envoy/**}
  auth: public
  to: [{backend: v1, weight: 1}, {backend: v2, weight: 1}]
  sticky: ["header:X-Device", "cookie:session", clientIP]
- name: check
  match: {path: /check/**}
  auth: {anyOf: [{jwt: main}], allowAnonymous: true}
  to: [{backend: v1, weight: 50}, {backend: v2, weight: 50}]
  sticky: [user, "header:X-Device", "cookie:session", clientIP]
`

// TestSideIsTheSameEverywhere: by Envoy and by Check, on either of two gateways that
// share nothing, in whatever odd way a request says who it is.
func TestSideIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	p, v1, v2 := idp(t), backend(t, "v1"), backend(t, "v2")
	values := map[string]string{"v1": v1.Addr(), "v2": v2.Addr(), "issuer": p.Issuer()}
	one, other := start(t, setup{config: alike, values: values}), start(t, setup{config: alike, values: values})
	cookie := func(format string) func(int) []header {
		return func(i int) []header { return []header{{"Cookie", strings.ReplaceAll(format, "N", fmt.Sprint(i))}} }
	}
	address := func(format string) func(int) []header {
		return func(i int) []header { return []header{{"X-Forwarded-For", fmt.Sprintf(format, i+1)}} }
	}
	for name, of := range map[string]func(i int) []header{
		"header":                 func(i int) []header { return []header{{"X-Device", fmt.Sprint("d", i)}} },
		"header twice":           func(i int) []header { return []header{{"X-Device", fmt.Sprint("z", i)}, {"X-Device", "a"}} },
		"header with a comma":    func(i int) []header { return []header{{"X-Device", fmt.Sprint("d", i, ",e")}} },
		"header, not UTF-8":      func(i int) []header { return []header{{"X-Device", fmt.Sprint("\xff", i)}} },
		"header before cookie":   func(i int) []header { return []header{{"X-Device", fmt.Sprint(i)}, {"Cookie", "session=1"}} },
		"cookie":                 cookie("session=N"),
		"cookie among others":    cookie("a=b; session=N; c=d"),
		"cookie without a space": cookie("a=b;session=N;c=d"),
		"cookie in quotes":       cookie(`session="N"`),
		"half a quote":           cookie(`session="N; a=b`),
		"a space behind":         cookie("session=N ; a=b"),
		"two cookies":            cookie("session=N; session=x"),
		"another's end":          cookie("mysession=x; session=N"),
		"an equals sign":         cookie("session=N=N"),
		"two lines of cookies":   func(i int) []header { return []header{{"Cookie", "a=b"}, {"Cookie", fmt.Sprint("session=", i)}} },
		"an empty cookie":        func(i int) []header { return append(cookie("session=")(i), address("192.0.2.%d")(i)...) },
		"address":                address("192.0.2.%d"),
		"address of IPv6":        address("2001:db8::%x"),
		"address behind others":  address("10.0.0.1, 192.0.2.%d"),
	} {
		sides := map[string]int{}
		for i := range 24 {
			var came []string
			for _, url := range []string{one.url("public", "/envoy/1"), one.url("public", "/check/1"), other.url("public", "/envoy/1"), other.url("public", "/check/1")} {
				came = append(came, get(t, url, of(i)...).ok(t).echo(t).Backend)
			}
			if came[0] != came[1] || came[0] != came[2] || came[0] != came[3] {
				t.Errorf("%s: %q comes to %v", name, of(i), came)
			}
			sides[came[0]]++
		}
		if len(sides) != 2 { // by chance once in eight million
			t.Errorf("%s: all come to one side", name)
		}
	}
	for i := range 24 {
		user := bearer(token(t, p, fmt.Sprintf("sub=user-%d", i)))
		if a, b := get(t, one.url("public", "/check/1"), user).ok(t).echo(t), get(t, other.url("public", "/check/1"), user).ok(t).echo(t); a.Backend != b.Backend {
			t.Errorf("user-%d comes to %s by one gateway, to %s by the other", i, a.Backend, b.Backend)
		}
	}
}

// TestFirstStickyRouteUnderLoad: its listeners are new, and no request fails for that:
// not on a connection that was there before, and where nothing leaks, either.
func TestFirstStickyRouteUnderLoad(t *testing.T) {
	t.Parallel()
	g := stickyGateway{idp: idp(t), v1: backend(t, "v1"), v2: backend(t, "v2")}
	without := strings.ReplaceAll(alike, `  sticky: [user, "header:X-Device", "cookie:session", clientIP]`, "")
	g.gateway = start(t, setup{config: without, values: map[string]string{"v1": g.v1.Addr(), "v2": g.v2.Addr(), "issuer": g.idp.Issuer()}})
	old := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	t.Cleanup(old.CloseIdleConnections)
	url := g.url("public", "/check/1")
	if r, err := tryBy(old, url, ""); err != nil || r.Status != http.StatusOK {
		t.Fatalf("%+v, %v", r, err)
	}
	stop := load(url)
	g.write(alike)
	g.applied(1)
	alice := bearer(token(t, g.idp, "sub=alice"))
	for range 100 {
		if r, err := tryBy(old, url, "", alice); err != nil || r.Status != http.StatusOK || strings.Contains(strings.ToLower(r.Body), "x-gatewright") {
			t.Errorf("on a connection of before: %+v, %v", r, err)
		}
	}
	testenv.Eventually(t, "alice is kept on new connections", func() error {
		sides := map[string]bool{}
		for range 20 {
			fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			r, err := tryBy(fresh, url, "", alice)
			if err != nil {
				return err
			}
			sides[r.echo(t).Backend] = true
		}
		if len(sides) != 1 {
			return fmt.Errorf("she came to %v", sides)
		}
		return nil
	})
	if sent, failures := stop(); len(failures) > 0 {
		t.Errorf("%d of %d requests failed, first: %s", len(failures), sent, failures[0])
	}
}
