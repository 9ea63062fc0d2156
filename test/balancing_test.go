package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const balancing = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  weighted: {endpoints: [{address: "{{.a}}", weight: 3}, "{{.b}}"]}
  ring: {endpoints: [{{.ring}}], loadBalancing: {policy: ring_hash, hash: [header:X-Room, query:room]}}
  table: {endpoints: [{{.ring}}], loadBalancing: {policy: maglev, hash: [cookie:room, header:X-Room]}}
  zoned:
    endpoints: [{address: "{{.a}}", zone: near}, {address: "{{.b}}", zone: far}]
    loadBalancing: {zoneWeights: {near: 9, far: 1}}
  ranked:
    endpoints: ["{{.first}}", {address: "{{.second}}", priority: 1}]
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
  warm: {endpoints: [{{.warm}}], loadBalancing: {slowStart: {window: 4s}}}
  cold: {endpoints: [{{.warm}}]}
routes:
  - {name: weighted, match: {path: /weighted}, auth: public, to: [{backend: weighted}]}
  - {name: ring, match: {path: /ring}, auth: public, to: [{backend: ring}]}
  - {name: table, match: {path: /table}, auth: public, to: [{backend: table}]}
  - {name: zoned, match: {path: /zoned}, auth: public, to: [{backend: zoned}]}
  - {name: ranked, match: {path: /ranked}, auth: public, to: [{backend: ranked}]}
  - {name: warm, match: {path: /warm}, auth: public, to: [{backend: warm}]}
  - {name: cold, match: {path: /cold}, auth: public, to: [{backend: cold}]}
`

// quotedList is a list of addresses as it stands in a config.
func quotedList(services ...service) string {
	var out []string
	for _, s := range services {
		out = append(out, fmt.Sprintf("%q", s.Addr()))
	}
	return strings.Join(out, ", ")
}

// answeredBy is the name of the backend that answers, which it must with 200.
func answeredBy(t testing.TB, url string, headers ...header) string {
	t.Helper()
	return get(t, url, headers...).ok(t).Header.Get("X-Backend")
}

// shares counts which backends answer so many requests.
func shares(t testing.TB, url string, requests int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range requests {
		out[answeredBy(t, url)]++
	}
	return out
}

// TestBalancing tells, on one gateway, which endpoint gets a request.
func TestBalancing(t *testing.T) {
	t.Parallel()
	a, b, c, d := backend(t, "a"), backend(t, "b"), backend(t, "c"), backend(t, "d")
	first, second := backend(t, "first"), backend(t, "second")
	g := start(t, setup{config: balancing, values: map[string]string{
		"a": a.Addr(), "b": b.Addr(), "first": first.Addr(), "second": second.Addr(),
		"ring": quotedList(a, b, c), "warm": quotedList(a),
	}})
	began := time.Now()

	t.Run("by weight", func(t *testing.T) {
		if got := shares(t, g.url("public", "/weighted"), 80)["a"]; got < 58 || got > 62 {
			t.Errorf("of 80 requests %d went to the endpoint with three quarters of the weight, want 60", got)
		}
	})
	t.Run("by zone", func(t *testing.T) {
		if got := shares(t, g.url("public", "/zoned"), 100)["a"]; got < 85 || got > 95 {
			t.Errorf("of 100 requests %d went to the zone with nine tenths of the weight", got)
		}
	})
	t.Run("the second rank takes over, and gives back", func(t *testing.T) {
		all := func(want string) func() error {
			return func() error {
				for range 10 {
					if got := answeredBy(t, g.url("public", "/ranked")); got != want {
						return fmt.Errorf("%s answers", got)
					}
				}
				return nil
			}
		}
		eventually(t, "the first rank has all", all("first"))
		first.SetHealthy(false)
		eventually(t, "the second rank has all", all("second"))
		first.SetHealthy(true)
		eventually(t, "the first rank has all again", all("first"))
	})

	// Which endpoint each of many rooms is at, by each way in which it can be said.
	const rooms = 200
	ways := map[string]func(room string) (path string, headers []header){
		"the header":    func(room string) (string, []header) { return "/ring", []header{{"X-Room", room}} },
		"the query":     func(room string) (string, []header) { return "/ring?room=" + room, nil },
		"the cookie":    func(room string) (string, []header) { return "/table", []header{{"Cookie", "room=" + room}} },
		"a second part": func(room string) (string, []header) { return "/table", []header{{"X-Room", room}} },
	}
	at := func(t *testing.T, way string) map[string]string {
		t.Helper()
		out := map[string]string{}
		for i := range rooms {
			path, headers := ways[way](fmt.Sprintf("room-%d", i))
			out[path+fmt.Sprint(headers)] = answeredBy(t, g.url("public", path), headers...)
		}
		return out
	}
	before := map[string]map[string]string{}
	for way := range ways {
		before[way] = at(t, way)
		for name, again := range at(t, way) {
			if before[way][name] != again {
				t.Errorf("%s leads to %s and then to %s", way, before[way][name], again)
			}
		}
	}
	if n := rooms/3 - 20; count(before["the header"], "a") < n/2 || count(before["the header"], "b") < n/2 || count(before["the header"], "c") < n/2 {
		t.Error("some endpoint has less than half of its share of rooms")
	}

	time.Sleep(time.Until(began.Add(4100 * time.Millisecond))) // the first endpoint is warm
	g.values["ring"], g.values["warm"] = quotedList(a, b, c, d), quotedList(a, b)
	g.write(balancing)
	t.Run("a new endpoint begins slowly", func(t *testing.T) {
		eventually(t, "it gets requests", func() error {
			if answeredBy(t, g.url("public", "/cold")) != "b" {
				return fmt.Errorf("it has none yet")
			}
			return nil
		})
		warm, cold := shares(t, g.url("public", "/warm"), 100)["b"], shares(t, g.url("public", "/cold"), 100)["b"]
		if warm >= 35 || cold < 45 {
			t.Errorf("the new endpoint gets %d of 100 requests with a slow start, and %d without; want much less than half, and half", warm, cold)
		}
		eventually(t, "it has its whole share", func() error {
			if n := shares(t, g.url("public", "/warm"), 40)["b"]; n < 18 {
				return fmt.Errorf("it gets %d of 40", n)
			}
			return nil
		})
	})
	t.Run("a new endpoint takes its share of rooms and few others move", func(t *testing.T) {
		for way, most := range map[string]int{"the header": rooms / 6, "the query": rooms / 6, "the cookie": rooms / 20, "a second part": rooms / 20} {
			taken, moved := 0, 0
			for name, now := range at(t, way) {
				switch {
				case now == "d":
					taken++
				case now != before[way][name]:
					moved++
				}
			}
			// Envoy's ring has about as many entries whatever the number of endpoints,
			// so that each then has fewer. By the rest of a division three in four move.
			if taken < rooms/8 || taken > rooms*3/8 || moved > most {
				t.Errorf("by %s, the new endpoint has %d of %d rooms, and %d others have moved; want about %d, and at most %d", way, taken, rooms, moved, rooms/4, most)
			}
		}
	})
}

func count(of map[string]string, want string) int {
	n := 0
	for _, v := range of {
		if v == want {
			n++
		}
	}
	return n
}

const affinity = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  shop:
    endpoints: [{{.shop}}]
    sessionAffinity: {ttl: 1h}
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
    panicThreshold: 0
  other: {endpoints: ["{{.other}}"]}
routes:
  - {name: shop, match: {path: /shop}, auth: public, to: [{backend: shop}]}
  - {name: split, match: {path: /split}, auth: public, to: [{backend: shop, weight: 1}, {backend: other, weight: 0}]}
  - {name: other, match: {path: /other}, auth: public, to: [{backend: other}]}
`

// customer is a client that keeps its cookie as a browser does.
type customer struct{ cookie string }

// visit returns who answers, and keeps the cookie of the answer.
func (c *customer) visit(t testing.TB, url string) string {
	t.Helper()
	var headers []header
	if c.cookie != "" {
		headers = append(headers, header{"Cookie", "a=b; " + c.cookie})
	}
	r := get(t, url, headers...).ok(t)
	set := r.Header.Get("Set-Cookie")
	c.cookie, _, _ = strings.Cut(set, ";")
	if !strings.HasSuffix(set, "; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax") {
		t.Fatalf("the cookie is %q", set)
	}
	return r.Header.Get("X-Backend")
}

// TestSessionAffinity: a client stays on its endpoint while others come and go, moves
// when its own goes or is not well, and then stays there; its cookie shows no address.
func TestSessionAffinity(t *testing.T) {
	t.Parallel()
	a, b, c, d := backend(t, "a"), backend(t, "b"), backend(t, "c"), backend(t, "d")
	other := backend(t, "other")
	g := start(t, setup{config: affinity, values: map[string]string{"shop": quotedList(a, b, c), "other": other.Addr()}})
	url := g.url("public", "/shop")

	customers := make([]customer, 60)
	at := map[*customer]string{}
	used := map[string]int{}
	for i := range customers {
		at[&customers[i]] = customers[i].visit(t, url)
		used[at[&customers[i]]]++
	}
	if len(used) != 3 || used["a"] < 5 || used["b"] < 5 || used["c"] < 5 {
		t.Errorf("60 customers are at %v: all endpoints must have some", used)
	}
	// stay asks twice, and returns who has moved since.
	stay := func(t *testing.T) (moved []*customer) {
		t.Helper()
		for i := range customers {
			c := &customers[i]
			now := c.visit(t, url)
			if again := c.visit(t, g.url("public", "/split")); again != now {
				t.Fatalf("a customer of %s was at %s and then at %s", at[c], now, again)
			}
			if now != at[c] {
				moved = append(moved, c)
			}
		}
		return moved
	}
	// settle waits until an endpoint is used by those without a cookie, or is not.
	settle := func(t *testing.T, name string, wanted bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is used: %v", name, wanted), func() error {
			if n := shares(t, url, 40)[name]; (n > 0) != wanted {
				return fmt.Errorf("it has %d of 40", n)
			}
			return nil
		})
	}

	t.Run("nobody moves while all stays as it is", func(t *testing.T) {
		if moved := stay(t); len(moved) > 0 {
			t.Errorf("%d have moved", len(moved))
		}
	})
	t.Run("nobody moves when an endpoint comes", func(t *testing.T) {
		g.values["shop"] = quotedList(d, c, b, a)
		g.write(affinity)
		settle(t, "d", true)
		if moved := stay(t); len(moved) > 0 {
			t.Errorf("%d have moved", len(moved))
		}
	})
	t.Run("those of an endpoint that goes move, and no others", func(t *testing.T) {
		g.values["shop"] = quotedList(b, c, d)
		g.write(affinity)
		settle(t, "a", false)
		for _, m := range stay(t) {
			if at[m] != "a" {
				t.Errorf("a customer of %s has moved", at[m])
			}
		}
		for i := range customers {
			at[&customers[i]] = customers[i].visit(t, url)
		}
	})
	t.Run("those of an endpoint that is not well move, and stay where they are then", func(t *testing.T) {
		b.SetHealthy(false)
		settle(t, "b", false)
		for _, m := range stay(t) {
			if at[m] != "b" {
				t.Errorf("a customer of %s has moved", at[m])
			}
		}
		for i := range customers {
			at[&customers[i]] = customers[i].visit(t, url)
		}
		b.SetHealthy(true)
		settle(t, "b", true)
		if moved := stay(t); len(moved) > 0 {
			t.Errorf("%d have moved back", len(moved))
		}
	})
	t.Run("the cookie shows no address", func(t *testing.T) {
		_, value, _ := strings.Cut(customers[0].cookie, "=")
		decoded, _ := base64.StdEncoding.DecodeString(strings.TrimSuffix(value, "_0"))
		for _, s := range []service{a, b, c, d} {
			if strings.Contains(value, s.Addr()) || strings.Contains(string(decoded), s.Addr()) {
				t.Errorf("the cookie %s has the address of an endpoint", customers[0].cookie)
			}
		}
	})
	t.Run("a client cannot choose an endpoint by its address", func(t *testing.T) {
		forged := header{"Cookie", "endpoint-shop=" + base64.StdEncoding.EncodeToString([]byte(other.Addr()))}
		if got := answeredBy(t, url, forged); got == "other" {
			t.Error("it has reached a backend that the route does not lead to")
		}
	})
	t.Run("answers without an endpoint, and of other backends, set no cookie", func(t *testing.T) {
		if r := get(t, g.url("public", "/other")).ok(t); r.Header.Get("Set-Cookie") != "" {
			t.Errorf("another backend sets %q", r.Header.Get("Set-Cookie"))
		}
		for _, s := range []service{b, c, d} {
			s.SetHealthy(false)
		}
		var r reply
		eventually(t, "no endpoint is left", func() error {
			if r = get(t, url); r.Status != http.StatusServiceUnavailable {
				return errStatus(r)
			}
			return nil
		})
		if got := r.Header.Get("Set-Cookie"); got != "" {
			t.Errorf("an answer of the gateway's own sets %q", got)
		}
	})
}
