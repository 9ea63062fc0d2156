package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// promised is how soon a change of a key, or the revocation of a token, holds on
// every gateway.
const promised = 2 * time.Second

const fleetConfig = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `  apiKey:
    partners: {forward: {tenant: X-Tenant-ID, id: X-Key-ID}}
limits:
  each: {key: [apiKey], tokenBucket: {capacity: 100000, refill: 1000/s}}
routes:
  - {name: data, match: {path: /data/**}, auth: {anyOf: [{apiKey: partners, permissions: [data:read]}]}, limits: [each], to: [{backend: app}]}
  - {name: users, match: {path: /users/**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
`

// fleet are gateways on one PostgreSQL and one Redis.
type fleet struct {
	gateways []*gateway
	issuer   string
	redis    *testenv.Redis
	token    func(claims ...string) header
}

func startFleet(t *testing.T, n int) fleet {
	t.Helper()
	p, app, server := idp(t), backend(t, "app"), testenv.StartPostgres(t)
	f := fleet{issuer: p.Issuer(), redis: testenv.StartRedis(t), token: func(claims ...string) header { return bearer(token(t, p, claims...)) }}
	env := []string{
		"GATEWRIGHT_DATABASE_URL=" + server.NewDatabase(t), "GATEWRIGHT_KEY_SECRET=" + keySecret,
		"GATEWRIGHT_REDIS_URL=" + f.redis.URL(), "GATEWRIGHT_KEYS_REDIS_TIMEOUT=1s",
	}
	for range n {
		f.gateways = append(f.gateways, start(t, setup{config: fleetConfig, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}, env: env}))
	}
	return f
}

// hold fails unless requests that are made after the promised time are answered by
// that status on every gateway.
func (f fleet) hold(t *testing.T, what string, status int, path string, credential header) {
	t.Helper()
	changed := time.Now()
	for i, g := range f.gateways {
		eventually(t, what, func() error {
			asked := time.Now()
			r := get(t, g.url("public", path), credential)
			if r.Status == status {
				return nil
			}
			if asked.Sub(changed) > promised {
				t.Fatalf("%s: gateway %d answers %d, %s after the change", what, i, r.Status, asked.Sub(changed))
			}
			return errStatus(r)
		})
	}
}

// TestChangesHoldOnThreeGateways: a revocation, a rotation and a change of rights,
// and the revocation of tokens, hold on three gateways in the promised time, while
// Redis is well and after it was killed.
func TestChangesHoldOnThreeGateways(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	change := func(when string, i int) {
		t.Helper()
		at := f.gateways[i]
		revoked, rotated := at.createKey("--permission", "data:read"), at.createKey("--permission", "data:read")
		alice := f.token("sub=alice", fmt.Sprint("jti=", when))
		for _, key := range []apiKey{revoked, rotated} {
			f.hold(t, when+": a new key is taken", http.StatusOK, "/data/1", key.header())
		}
		f.hold(t, when+": a token is taken", http.StatusOK, "/users/1", alice)

		at.run("keys", "revoke", revoked.ID)
		f.hold(t, when+": the revoked key is refused", http.StatusUnauthorized, "/data/1", revoked.header())
		at.run("keys", "rotate", rotated.ID, "--overlap", "0")
		f.hold(t, when+": the secret before the last is refused", http.StatusUnauthorized, "/data/1", rotated.header())
		at.revoke("--issuer", f.issuer, "--jti", when)
		f.hold(t, when+": the revoked token is refused", http.StatusUnauthorized, "/users/1", alice)
	}
	change("with Redis", 0)
	f.redis.Kill()
	change("without Redis", 1)
	f.redis.Start()
	change("with Redis again", 2)
}

// TestJunkInRedisOpensNothing: whatever somebody writes under every name that
// gateways have in Redis, a key is judged as the database says.
func TestJunkInRedisOpensNothing(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2)
	writer, reader := f.gateways[0], f.gateways[1]
	names := func() []string {
		t.Helper()
		var all []string
		for _, name := range f.redis.Do("KEYS", "gw:*").([]any) {
			all = append(all, name.(string))
		}
		return all
	}
	for what, junk := range map[string]func(name, value, strong string){
		"empty":         func(name, _, _ string) { f.redis.Do("SET", name, "") },
		"bytes":         func(name, _, _ string) { f.redis.Do("SET", name, "\x00\xff junk") },
		"another key's": func(name, _, strong string) { f.redis.Do("SET", name, strong) },
		"more rights": func(name, value, _ string) {
			f.redis.Do("SET", name, strings.Replace(value, "data:none", "data:read", 1))
		},
		"cut":    func(name, value, _ string) { f.redis.Do("SET", name, value[:len(value)/2]) },
		"a list": func(name, _, _ string) { f.redis.Do("DEL", name); f.redis.Do("LPUSH", name, "x") },
		"huge":   func(name, _, _ string) { f.redis.Do("SET", name, strings.Repeat("9", 1<<20)) },
	} {
		f.redis.Do("FLUSHALL")
		strong, weak, revoked := writer.createKey("--permission", "data:read"), writer.createKey("--permission", "data:none"), writer.createKey("--permission", "data:read")
		writer.run("keys", "revoke", revoked.ID)
		want := map[apiKey]int{}
		want[strong], want[weak], want[revoked] = http.StatusOK, http.StatusForbidden, http.StatusUnauthorized
		for key, status := range want {
			writer.eventuallyAnswers(what+": before", status, "/data/1", key.header())
		}
		eventually(t, "Redis has the keys, and a bucket", func() error {
			if all := names(); len(all) < 4 {
				return fmt.Errorf("it has %q", all)
			}
			return nil
		})
		var good string
		for _, name := range names() {
			if strings.HasSuffix(name, ":"+strong.ID) {
				good = f.redis.Do("GET", name).(string)
			}
		}
		if good == "" {
			t.Fatalf("no value of %s among %q", strong.ID, names())
		}
		for _, name := range names() {
			value, _ := f.redis.Client.Get(t.Context(), name).Result() // none where it is no text
			junk(name, value, good)
		}
		for key, status := range want {
			// A database that takes its time on a busy machine is a 503, which opens
			// nothing, and is asked again. The first answer beside that has to be right.
			eventually(t, what+": the database says what a key is", func() error {
				r := get(t, reader.url("public", "/data/1"), key.header())
				if r.Status == http.StatusServiceUnavailable {
					return errStatus(r)
				}
				if r.Status != status {
					t.Errorf("%s: a key is answered by %d, want %d", what, r.Status, status)
				}
				return nil
			})
		}
	}
	if r := reader.metrics(); !strings.Contains(r, `gatewright_keys_redis_values_total{result="forged"}`) {
		t.Errorf("no value was found to be forged: %s", r[:min(len(r), 2000)])
	}
}
