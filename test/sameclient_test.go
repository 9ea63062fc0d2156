package test

import (
	"strings"
	"testing"
)

const sameClient = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
trustedHops: 1
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  address: {key: [clientIP, route], tokenBucket: {capacity: 2, refill: 1/d}}
  region: {key: ["header:X-Region", route], tokenBucket: {capacity: 2, refill: 1/d}}
  host: {key: ["rule:request.host", route], tokenBucket: {capacity: 2, refill: 1/d}}
  path: {key: ["rule:request.path", route], tokenBucket: {capacity: 2, refill: 1/d}}
  method: {key: [method, route], tokenBucket: {capacity: 2, refill: 1/d}}
routes:
  - {name: address, match: {path: /address/**}, auth: public, limits: [address], to: [{backend: app}]}
  - {name: region, match: {path: /region/**}, auth: public, limits: [region], to: [{backend: app}]}
  - {name: host, match: {path: /host/**}, auth: public, limits: [host], to: [{backend: app}]}
  - {name: path, match: {path: /path/**}, auth: public, limits: [path], to: [{backend: app}]}
  - {name: method, match: {path: /method/**}, auth: public, limits: [method], to: [{backend: app}]}
`

// spelling is a request as it is on the wire, but for the headers that all have.
type spelling struct{ line, headers string }

// clients are spellings of requests: of each kind, those in one list are of one
// client, and those in different lists of different ones.
var clients = map[string][][]spelling{
	"address": { // case, port, dot, IPv6 by its /64, mapped IPv4, missing, empty, junk
		{{"GET /address/a", "X-Forwarded-For: 2001:db8:1::1\r\n"}, {"GET /address/b", "X-Forwarded-For: 2001:DB8:1:0:ffff::2\r\n"}, {"GET /address/", "x-forwarded-for:   2001:0db8:0001:0000:0000:0000:0000:0003  \r\n"}},
		{{"GET /address/a", "X-Forwarded-For: 2001:db8:2::1\r\n"}},
		{{"GET /address/a", "X-Forwarded-For: 192.0.2.1\r\n"}, {"GET /address/a", "X-Forwarded-For: ::ffff:192.0.2.1\r\n"}, {"GET /address/a", "X-Forwarded-For: 203.0.113.1, 192.0.2.1\r\n"}},
		{{"GET /address/a", "X-Forwarded-For: 192.0.2.2\r\n"}},
		{{"GET /address/a", ""}, {"GET /address/a", "X-Forwarded-For:\r\n"}, {"GET /address/a", "X-Forwarded-For: 192.0.2.1:4711\r\n"}, {"GET /address/a", "X-Forwarded-For: 192.0.2.1.\r\n"}, {"GET /address/a", "X-Forwarded-For: unknown\r\n"}},
	},
	"region": { // the name in any case, blanks around the value; missing and empty; the value as it is
		{{"GET /region/a", "X-Region: eu\r\n"}, {"GET /region/b?x", "x-region:eu\r\n"}, {"POST /region/c", "X-REGION:  \t eu \r\nContent-Length: 0\r\n"}},
		{{"GET /region/a", "X-Region: EU\r\n"}}, {{"GET /region/a", "X-Region: eu.\r\n"}}, {{"GET /region/a", "X-Region: eu:80\r\n"}},
		{{"GET /region/a", "X-Region: eu;us\r\n"}}, {{"GET /region/a", "X-Region: eu,us\r\n"}}, {{"GET /region/a", "X-Region: eu%2Cus\r\n"}},
		{{"GET /region/a", ""}, {"GET /region/a", "X-Region:\r\n"}, {"GET /region/a", "X-Region:   \r\n"}},
	},
	"host": { // case and port do not count
		{{"GET /host/a", "Host: shop.example\r\n"}, {"GET /host/b?x=1", "Host: SHOP.Example\r\n"}, {"GET /host/a", "Host: shop.example:8080\r\n"}, {"GET http://Shop.example:80/host/a", "Host: shop.example\r\n"}},
		{{"GET /host/a", "Host: other.example\r\n"}},
	},
	"path": { // the query does not count, nor how a path is spelt
		{{"GET /path/a/b", ""}, {"GET /path/a/b?x=1", ""}, {"GET /path/./a//b", ""}, {"GET /path/c/../a/b?x=2", ""}, {"GET http://h/path/a/b", ""}},
		{{"GET /path/a/B", ""}}, {{"GET /path/a/b/", ""}}, {{"GET /path/a/b;x=1", ""}},
	},
	"method": {
		{{"GET /method/a", ""}, {"GET /method/b?x", ""}}, {{"DELETE /method/a", ""}},
	},
}

// TestSameClientSameBucket: whatever way a client is spelt, its requests are
// counted together, through both doors; and those of others by themselves.
func TestSameClientSameBucket(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: sameClient, values: map[string]string{"app": backend(t, "app").Addr()}})
	send := func(door string, s spelling) reply {
		t.Helper()
		headers := s.headers
		if !strings.Contains(headers, "Host:") {
			headers = "Host: h\r\n" + headers
		}
		return g.raw(door, s.line+" HTTP/1.1\r\nConnection: close\r\n"+headers+"\r\n")
	}
	doors := []string{"public", "filtered"}
	for kind, lists := range clients {
		for _, same := range lists {
			// All of one list share a bucket of two: whichever two come first pass.
			for i := range max(3, len(same)) {
				s := same[i%len(same)]
				r := send(doors[i%2], s)
				if want := map[bool]int{true: 200, false: 429}[i < 2]; r.Status != want {
					t.Errorf("%s: request %d of one client, %q through %s: %d, want %d: %s", kind, i, s, doors[i%2], r.Status, want, r.Body)
				}
			}
		}
	}
	// Two of a header that counts are refused, through both doors.
	for _, door := range doors {
		for _, twice := range []string{"X-Region: eu\r\nX-Region: eu\r\n", "X-Region: eu\r\nx-region:\r\n"} {
			if r := send(door, spelling{"GET /region/a", twice}); r.Status != 400 || !strings.Contains(r.Body, "duplicate-header") {
				t.Errorf("%q through %s: %d %s", twice, door, r.Status, r.Body)
			}
		}
	}
}
