package test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gatewright/gatewright/internal/demo"
)

// nameServer is a DNS server that answers with the addresses that a test gives it.
type nameServer struct {
	conn net.PacketConn

	mu        sync.Mutex // guards all below
	addresses []netip.Addr
	records   []dnsmessage.SRVResource
	ttl       uint32
	failure   dnsmessage.RCode
	asked     map[string]int // by name and type
}

func startNameServer(t testing.TB, addresses ...string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, asked: map[string]int{}, ttl: 1}
	s.set(addresses...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

func (s *nameServer) set(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses, s.failure = nil, dnsmessage.RCodeSuccess
	for _, a := range addresses {
		s.addresses = append(s.addresses, netip.MustParseAddr(a))
	}
}

// setRecords has SRV records, of which each names a target, a port, a priority and a
// weight.
func (s *nameServer) setRecords(records ...dnsmessage.SRVResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.failure = records, dnsmessage.RCodeSuccess
}

func (s *nameServer) fail(code dnsmessage.RCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = code
}

// queries is how often something was asked for.
func (s *nameServer) queries(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func (s *nameServer) serve() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		answer := s.answer(query)
		if packed, err := answer.Pack(); err == nil {
			_, _ = s.conn.WriteTo(packed, from) // who asked has gone
		}
	}
}

func (s *nameServer) answer(query dnsmessage.Message) dnsmessage.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := query.Questions[0]
	s.asked[strings.ToLower(q.Name.String())+" "+q.Type.String()]++
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionDesired: query.RecursionDesired, RCode: s.failure},
		Questions: query.Questions,
	}
	for _, r := range s.records {
		if q.Type == dnsmessage.TypeSRV && s.failure == dnsmessage.RCodeSuccess {
			head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: s.ttl}
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: head, Body: &r})
		}
	}
	for _, a := range s.addresses {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: s.ttl}
		switch {
		case s.failure != dnsmessage.RCodeSuccess:
		case a.Is4() && q.Type == dnsmessage.TypeA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return out
}

const byName = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  strict:
    endpoints: ["users.test:{{.port}}"]
    dns: {resolvers: ["{{.resolver}}"], refresh: 100ms, failureRefresh: 100ms, addresses: ipv4}
  logical:
    endpoints: ["large.test:{{.port}}"]
    dns: {mode: logical, resolvers: ["{{.resolver}}"], refresh: 100ms, addresses: ipv4}
  seldom:
    endpoints: ["seldom.test:{{.port}}"]
    dns: {resolvers: ["{{.resolver}}"], respectTTL: true, refresh: 1h, addresses: ipv4}
routes:
  - {name: strict, match: {path: /strict}, auth: public, to: [{backend: strict}]}
  - {name: logical, match: {path: /logical}, auth: public, to: [{backend: logical}]}
  - {name: seldom, match: {path: /seldom}, auth: public, to: [{backend: seldom}]}
`

// TestDNS: names are asked of the resolver that is said, as often as is said, and
// followed; an answer that fails takes no endpoint away.
func TestDNS(t *testing.T) {
	t.Parallel()
	// One backend that listens on all of 127.0.0.0/8, and says by which it was reached.
	s, err := demo.Start("0.0.0.0:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		host, _, _ := net.SplitHostPort(local.String())
		w.Header().Set("X-Backend", host)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	names := startNameServer(t, "127.0.0.11", "127.0.0.12")
	g := start(t, setup{config: byName, values: map[string]string{"port": port, "resolver": names.conn.LocalAddr().String()}})
	strict, logical := g.url("public", "/strict"), g.url("public", "/logical")

	onlyAt(t, strict, "127.0.0.11", "127.0.0.12")
	names.set("127.0.0.12", "127.0.0.13", "127.0.0.14")
	onlyAt(t, strict, "127.0.0.12", "127.0.0.13", "127.0.0.14")
	if !slices.Contains([]string{"127.0.0.11", "127.0.0.12"}, answeredBy(t, logical)) {
		t.Error("the logical backend is at none of its addresses")
	}

	before := names.queries("users.test. TypeA")
	names.fail(dnsmessage.RCodeServerFailure)
	eventually(t, "the name was asked for again, and again", func() error {
		if n := names.queries("users.test. TypeA") - before; n < 5 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	onlyAt(t, strict, "127.0.0.12", "127.0.0.13", "127.0.0.14")
	names.set("127.0.0.15")
	onlyAt(t, strict, "127.0.0.15")

	get(t, g.url("public", "/seldom")).ok(t)
	if n := names.queries("seldom.test. TypeA"); n != 1 {
		t.Errorf("a name whose TTL is a second, and that is asked for once an hour at most, was asked for %d times", n)
	}
	for _, what := range []string{"users.test. TypeAAAA", "large.test. TypeAAAA"} {
		if n := names.queries(what); n > 0 {
			t.Errorf("%s was asked for %d times, of a backend with IPv4 alone", what, n)
		}
	}
}
