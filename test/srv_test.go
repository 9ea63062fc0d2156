package test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gatewright/gatewright/internal/testenv"
)

const bySRV = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users:
    discovery: {srv: {name: _http._tcp.users.test, resolvers: ["{{.away}}", "{{.resolver}}"], refresh: 100ms, addresses: ipv4}}
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
routes:
  - {name: users, match: {path: /users}, auth: public, to: [{backend: users}]}
`

// srvAt is a record that leads to a backend, by a target that the name server knows.
func srvAt(t testing.TB, s service, priority, weight uint16) dnsmessage.SRVResource {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: uint16(number), Target: dnsmessage.MustNewName("here.test.")}
}

// TestSRV: endpoints follow SRV records, their ports, priorities and weights; a server
// that is away is passed over; what says nothing of use changes nothing, and neither does
// a start while nobody answers.
func TestSRV(t *testing.T) {
	t.Parallel()
	a, b, c := backend(t, "a"), backend(t, "b"), backend(t, "c")
	names := startNameServer(t, "127.0.0.1")
	names.setRecords(srvAt(t, a, 5, 30), srvAt(t, b, 5, 10), srvAt(t, c, 9, 0))
	g := start(t, setup{config: bySRV, values: map[string]string{"away": testenv.Addr(t), "resolver": names.conn.LocalAddr().String()}})
	url := g.url("public", "/users")
	onlyAt(t, url, "a", "b")
	if n := shares(t, url, 80)["a"]; n < 58 || n > 62 {
		t.Errorf("of 80 requests %d went to the target with three quarters of the weight, want 60", n)
	}
	t.Run("the next priority takes over", func(t *testing.T) {
		a.SetHealthy(false)
		b.SetHealthy(false)
		onlyAt(t, url, "c")
		a.SetHealthy(true)
		b.SetHealthy(true)
		onlyAt(t, url, "a", "b")
	})
	t.Run("targets come and go", func(t *testing.T) {
		names.setRecords(srvAt(t, b, 5, 10), srvAt(t, c, 5, 10))
		onlyAt(t, url, "b", "c")
	})
	// fault waits until the status tells of it.
	fault := func(t *testing.T, text string) {
		t.Helper()
		eventually(t, "the status tells of it", func() error {
			out, err := g.command("status").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "srv:_http._tcp.users.test") || !strings.Contains(string(out), text) {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		onlyAt(t, url, "b", "c")
	}
	t.Run("no records, no name, and no answer change nothing", func(t *testing.T) {
		names.setRecords()
		fault(t, "DNS has no target of _http._tcp.users.test")
		names.setRecords(dnsmessage.SRVResource{Target: dnsmessage.MustNewName(".")})
		fault(t, "DNS has no target of _http._tcp.users.test")
		names.fail(dnsmessage.RCodeServerFailure)
		fault(t, "asking for the records")
		names.fail(dnsmessage.RCodeNameError)
		fault(t, "DNS has no target of _http._tcp.users.test")
	})
	t.Run("a start while nobody answers has what was known last", func(t *testing.T) {
		g.stop()
		g.launch("run")
		g.waitReady()
		onlyAt(t, url, "b", "c")
	})
	t.Run("what answers again is followed again", func(t *testing.T) {
		names.setRecords(srvAt(t, a, 0, 0))
		onlyAt(t, url, "a")
		if r := get(t, url); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	})
	g.stop()
}
