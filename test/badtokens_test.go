package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/demo"
)

const behindOneProxy = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
trustedHops: 1
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `limits:
  per-ip: {key: [clientIP], tokenBucket: {capacity: 20, refill: 1/s}}
  per-user: {key: [user], tokenBucket: {capacity: 100000, refill: 1/s}}
routes:
  - {name: data, match: {path: /data/**}, auth: {anyOf: [{jwt: main, scopes: [a]}]}, limits: [per-user, per-ip], to: [{backend: app}]}
`

// TestFloodOfBadTokens: ten thousand forged tokens from one address cost some
// twenty signatures and as many calls of the store, and are answered with 401 and
// then 429; whoever comes from elsewhere notices nothing.
func TestFloodOfBadTokens(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		for _, listener := range []string{"public", "filtered"} {
			t.Run(name+" "+listener, func(t *testing.T) {
				p, app := idp(t), backend(t, "app")
				g := start(t, setup{config: behindOneProxy, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
				flood(t, g, p, g.url(listener, "/data/1"))
			})
		}
	}
}

func flood(t *testing.T, g *gateway, p *demo.IDP, url string) {
	t.Helper()
	const workers, each = 8, 1250
	good := bearer(token(t, p, "sub=alice", "scope=a"))
	from := func(ip string) header { return header{"X-Forwarded-For", ip} }
	get(t, url, good, from("198.51.100.1")).ok(t)
	before, began := readMetric(t, g, "gatewright_token_signatures_total"), time.Now()

	forgeries := forger(t, p)
	var known, limited, other atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				switch r, err := try(http.MethodGet, url, bearer(forgeries()), from("203.0.113.9")); {
				case err == nil && r.Status == http.StatusUnauthorized && strings.Contains(r.Body, `"token-signature-invalid"`):
					known.Add(1)
				case err == nil && r.Status == http.StatusTooManyRequests && strings.Contains(r.Body, `"rate-limited"`) && r.Header.Get("Retry-After") == "1":
					limited.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	for i := range 20 { // each of another address, and with a token of its own
		get(t, url, bearer(token(t, p, fmt.Sprint("sub=user", i), "scope=a")), from(fmt.Sprintf("198.51.100.%d", 100+i))).ok(t)
	}
	group.Wait()
	seconds := int64(time.Since(began).Seconds()) + 1
	if other.Load() > 0 {
		t.Errorf("%d answers were neither 401 nor 429 with a Retry-After of a second", other.Load())
	}
	if n := known.Load(); n < 20 || n > 20+seconds {
		t.Errorf("%d were answered with 401 in %d s, want 20 and one a second", n, seconds)
	}
	// What is known of a denial is asked anew each second, by those who are then on
	// their way.
	most := 20 + seconds + workers*(seconds+1)
	if n := readMetric(t, g, "gatewright_token_signatures_total") - before - 20; n > most {
		t.Errorf("%d signatures of %d forged tokens were verified in %d s, want at most %d", n, workers*each, seconds, most)
	}
	t.Logf("%d × 401, %d × 429 in %d s; %d signatures", known.Load(), limited.Load(), seconds, readMetric(t, g, "gatewright_token_signatures_total")-before-20)
	if n := readMetric(t, g, "gatewright_ratelimit_store_seconds_count"); n > most+100 {
		t.Errorf("the store was asked %d times", n)
	}
	// The address is limited, whatever it shows.
	for _, headers := range [][]header{{good}, {bearer("junk")}, nil} {
		r := get(t, url, append(headers, from("203.0.113.9"))...)
		if r.Status == http.StatusOK || r.Status == http.StatusUnauthorized { // a second has passed, and with it a token
			r = get(t, url, append(headers, from("203.0.113.9"))...)
		}
		r.denied(t, 429, "rate-limited")
	}
	get(t, url, good, from("198.51.100.1")).ok(t)
}

// forger makes tokens whose signature is another token's: each has to be
// verified to be known as none.
func forger(t *testing.T, p *demo.IDP) func() string {
	t.Helper()
	parts := strings.Split(token(t, p, "sub=mallory", "scope=a"), ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	return func() string {
		forged := fmt.Sprintf(`{"forged":"%d",%s`, n.Add(1), claims[1:])
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(forged)) + "." + parts[2]
	}
}

// readMetric is the value of a metric without labels; 0 where it is not there.
func readMetric(t *testing.T, g *gateway, name string) int64 {
	t.Helper()
	for line := range strings.Lines(g.metrics()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(n)
		}
	}
	return 0
}

// TestRefusedAreCounted: who may not, and who shows nothing, is counted by what
// needs no caller, and no more; what is wrong with the request itself is not.
func TestRefusedAreCounted(t *testing.T) {
	t.Parallel()
	for _, listener := range []string{"public", "filtered"} {
		p, app := idp(t), backend(t, "app")
		g := start(t, setup{config: behindOneProxy, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
		url := g.url(listener, "/data/1")
		left := func(want int, r reply) {
			t.Helper()
			if got := r.Header.Get("RateLimit-Remaining"); got != strconv.Itoa(want) {
				t.Errorf("%s: %d, %q left, want %d", listener, r.Status, got, want)
			}
		}
		from := header{"X-Forwarded-For", "203.0.113.7"}
		refused := get(t, url, from)
		refused.denied(t, 401, "credential-missing")
		left(19, refused)
		may := bearer(token(t, p, "sub=bob", "scope=b"))
		refused = get(t, url, from, may)
		refused.denied(t, 403, "scope-missing")
		left(18, refused)
		get(t, url, from, may, may).denied(t, 400, "duplicate-credential")
		good := bearer(token(t, p, "sub=alice", "scope=a"))
		left(17, get(t, url, from, good).ok(t))
	}
}
