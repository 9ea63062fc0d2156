package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const publicLimits = `
listeners:
  - {name: public, address: "{{listen "public"}}", placement: {{.placement}}, trustedHops: 1}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  address: {key: [clientIP], tokenBucket: {capacity: 3, refill: 1/d}, consistency: sync}
  both: {key: [clientIP, route], tokenBucket: {capacity: 5, refill: 1/d}, consistency: sync, cost: 2}
  everybody: {key: [route], tokenBucket: {capacity: 4, refill: 1/d}, consistency: sync}
  once: {key: [route], tokenBucket: {capacity: 1, refill: 1/d}, consistency: sync}
routes:
  - {name: pages, match: {path: /pages}, auth: public, limits: [address], to: [{backend: app}]}
  - {name: more, match: {path: /more}, auth: public, limits: [address], respond: {status: 200, body: "more"}}
  - {name: left, match: {path: /left}, auth: public, limits: [both], to: [{backend: app}]}
  - {name: right, match: {path: /right}, auth: public, limits: [both], to: [{backend: app}]}
  - {name: all, match: {path: /all}, auth: public, limits: [everybody], to: [{backend: app}]}
  - {name: own, match: {path: /own}, auth: public, limits: [once], to: [{backend: app}], errors: [{status: [429], from: gateway, contentType: text/plain, body: "slow down"}]}
  - {name: call, match: {path: /call}, auth: public, limits: [once], to: [{backend: app}]}
  - {name: shop, match: {path: /shop}, auth: public, limits: [once], to: [{backend: app}], cors: {origins: ["https://shop.example"]}}
`

// TestPublicLimitsInEnvoy: on routes that ask nothing of a caller a limit that runs inside
// Envoy counts the clients that Gatewright does, and answers in its words.
func TestPublicLimitsInEnvoy(t *testing.T) {
	t.Parallel()
	insideEnvoy(t, testPublicLimitsInEnvoy)
}

func testPublicLimitsInEnvoy(t *testing.T, module bool) {
	app := backend(t, "app")
	var both [2]*gateway
	for i, placement := range []string{"service", "auto"} {
		both[i] = start(t, setup{config: publicLimits, module: module, values: map[string]string{"app": app.Addr(), "placement": placement}})
	}
	from := func(address string) []header { return []header{{"X-Forwarded-For", address}} }
	both[1].countsInEnvoy("left", header{"X-Forwarded-For", "198.51.100.255"})
	asked := both[1].hops()
	for i, c := range []struct {
		path    string
		headers []header
		want    int
	}{
		{"/pages", from("198.51.100.1"), 200},
		{"/more", from("198.51.100.1"), 200},
		{"/pages", from("10.0.0.9, 198.51.100.1"), 200},
		{"/pages", from("198.51.100.1"), 429},
		{"/more", from("198.51.100.1"), 429},
		{"/pages", from("198.51.100.2"), 200},
		{"/pages", append(from("198.51.100.2"), header{"X-Gatewright-Counted", "other"}, header{"X-Gatewright-Key-Tenant", "a"}), 200},
		{"/pages", append(from("198.51.100.2"), header{"Authorization", "Bearer x"}, header{"X-API-Key", "x"}), 200},
		{"/pages", from("198.51.100.2"), 429},
		// Of IPv6 the network counts.
		{"/pages", from("2001:db8:1:2::3"), 200},
		{"/pages", from("2001:db8:1:2:ffff::4"), 200},
		{"/pages", from("2001:DB8:1:2:0::5"), 200},
		{"/pages", from("2001:db8:1:2::6"), 429},
		{"/pages", from("2001:db8:1:3::3"), 200},
		// Of IPv4 in IPv6 each address counts, and not the network of them all.
		{"/pages", from("::ffff:198.51.100.7"), 200},
		{"/pages", from("::FFFF:c633:6407"), 200},
		{"/pages", from("0:0:0:0:0:ffff:198.51.100.7"), 200},
		{"/pages", from("::ffff:198.51.100.7"), 429},
		{"/pages", from("::ffff:198.51.100.8"), 200},
		// The same of routes apart, at a cost.
		{"/left", from("198.51.100.1"), 200},
		{"/left", from("198.51.100.1"), 200},
		{"/left", from("198.51.100.1"), 429},
		{"/right", from("198.51.100.1"), 200},
		{"/all", from("198.51.100.1"), 200},
		{"/all", from("198.51.100.2"), 200},
		{"/all", from("198.51.100.3"), 200},
		{"/all", from("198.51.100.4"), 200},
		{"/all", from("198.51.100.5"), 429},
		// The answer is the route's, the call's and the page's.
		{"/own", nil, 200},
		{"/own", nil, 429},
		{"/call", nil, 200},
		{"/call", []header{{"Content-Type", "application/grpc"}}, 200},
		{"/shop", []header{{"Origin", "https://shop.example"}}, 200},
		{"/shop", []header{{"Origin", "https://shop.example"}}, 429},
	} {
		var got [2]reply
		for j, g := range both {
			got[j] = get(t, g.url("public", c.path), append(c.headers, header{"User-Agent", fmt.Sprint("request/", i)})...)
		}
		what := fmt.Sprint(i, " ", c.path, " ", c.headers)
		if got[0].Status != c.want || got[1].Status != c.want {
			t.Errorf("%s: %d asked and %d in Envoy, want %d", what, got[0].Status, got[1].Status, c.want)
			continue
		}
		if strings.Contains(strings.ToLower(got[1].Body), "x-gatewright-") {
			t.Errorf("%s: the backend sees %s", what, got[1].Body)
		}
		sameLimitAnswers(t, what, got[0], got[1])
	}
	if more := both[1].hops() - asked; more != 0 {
		t.Errorf("the gateway was asked about %d of them", more)
	}
	eventually(t, "verdicts are counted as by Gatewright", func() error {
		if want, got := both[0].verdictsOf("shop"), both[1].verdictsOf("shop"); got != want || want == "" {
			return fmt.Errorf("%q, want %q", got, want)
		}
		return nil
	})
	want, got := both[0].saidOfLimits(), both[1].saidOfLimits()
	for agent, line := range want {
		if got[agent] != line {
			t.Errorf("%s: logged %s\nwant as by Gatewright %s", agent, got[agent], line)
		}
	}
}

// verdictsOf are the lines of the metrics that count verdicts of a route.
func (g *gateway) verdictsOf(route string) string {
	var out strings.Builder
	for line := range strings.Lines(g.verdicts()) {
		if strings.Contains(line, `route="`+route+`"`) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// saidOfLimits is what the access log says of each request, by its user agent, once the
// last one is there.
func (g *gateway) saidOfLimits() map[string]string {
	g.t.Helper()
	get(g.t, g.url("public", "/pages"), header{"User-Agent", "request/last"})
	lines := map[string]string{}
	eventually(g.t, "the last request is logged", func() error {
		for _, line := range g.accessLog() {
			if agent, _ := line["user_agent"].(string); strings.HasPrefix(agent, "request/") {
				lines[agent] = fmt.Sprint(line["route"], line["status"], line["reason"], line["limit"], line["remaining"], line["policy"])
			}
		}
		if lines["request/last"] == "" {
			return fmt.Errorf("%d are", len(lines))
		}
		return nil
	})
	return lines
}

// limitHeaders are the headers of answers that limits bear on.
var limitHeaders = []string{
	"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Cache-Control", "Content-Type",
	"Grpc-Status", "Grpc-Message", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary",
}

// sameLimitAnswers compares what a limit inside Envoy answers with what Gatewright does.
func sameLimitAnswers(t *testing.T, what string, want, got reply) {
	t.Helper()
	if got.Status != want.Status || want.Status >= http.StatusBadRequest && got.Body != want.Body {
		t.Errorf("%s: %d %s\nwant as by Gatewright: %d %s", what, got.Status, got.Body, want.Status, want.Body)
	}
	for _, name := range limitHeaders {
		if g, w := got.Header.Values(name), want.Header.Values(name); !about(g, w) {
			t.Errorf("%s: %s %q, want as by Gatewright %q", what, name, g, w)
		}
	}
}
