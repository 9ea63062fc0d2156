package test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/gatewright/gatewright/internal/testenv"
)

// authority is Pebble, Let's Encrypt's own test of ACME clients: it asks for
// proofs at the ports that it is told, wherever the names lead, and now and then
// refuses a good nonce, as it may.
type authority struct {
	// directory is where it begins, and caFile who vouches for that.
	directory, caFile string
	// roots vouch for what it issues.
	roots  *x509.CertPool
	server *httptest.Server
}

// pebbleNames says where names lead: 127.0.0.1, unless it is told otherwise.
type pebbleNames struct {
	*challtestsrv.ChallSrv
	addr string
}

// names is the one of all tests: the library has room for one in a process.
var names = sync.OnceValues(func() (pebbleNames, error) {
	addr, err := testenv.FreeAddr()
	if err != nil {
		return pebbleNames{}, err
	}
	s, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{addr}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		return pebbleNames{}, err
	}
	s.SetDefaultDNSIPv6("")
	go s.Run() // until the process ends
	return pebbleNames{s, addr}, nil
})

// pebble is how an authority is set up.
type pebble struct {
	// addr is where it listens; empty is anywhere.
	addr string
	// asksHTTP and asksTLS are the addresses of the listeners where it wants to see
	// proofs. A name leads to an IP address alone; the ports are these.
	asksHTTP, asksTLS string
	// lifetime is that of what it issues. 0 is an hour.
	lifetime time.Duration
	// blocked are names that it issues nothing for.
	blocked []string
	// bindings are the keys of accounts that there must be already. Nil needs none.
	bindings map[string]string
}

func (p pebble) start(t testing.TB) *authority {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	dns, err := names()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "names are told", func() error {
		conn, err := net.Dial("tcp", dns.addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	store := db.NewMemoryStore()
	for id, key := range p.bindings {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range p.blocked {
		if err := store.AddBlockedDomain(name); err != nil {
			t.Fatal(err)
		}
	}
	if p.lifetime == 0 {
		p.lifetime = time.Hour
	}
	issuing := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"only": {ValidityPeriod: uint64(p.lifetime / time.Second)}})
	asking := va.New(quiet, portOf(t, p.asksHTTP), portOf(t, p.asksTLS), false, dns.addr, store)
	front := wfe.New(quiet, store, asking, issuing, []string{"pebble.example"}, false, p.bindings != nil, 0, 0)

	a := &authority{roots: x509.NewCertPool(), caFile: filepath.Join(t.TempDir(), "pebble-ca.crt")}
	a.roots.AppendCertsFromPEM(issuing.GetRootCert(0).PEM())
	own := testenv.NewCA(t)
	testenv.ReplaceFile(t, a.caFile, own.PEM)
	a.server = httptest.NewUnstartedServer(front.Handler())
	a.server.Config.ErrorLog = quiet
	if p.addr != "" {
		listener, err := net.Listen("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		a.server.Listener.Close()
		a.server.Listener = listener
	}
	a.server.TLS = &tls.Config{Certificates: []tls.Certificate{own.Pair(testenv.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})}}
	a.server.StartTLS()
	t.Cleanup(a.stop)
	a.directory = a.server.URL + wfe.DirectoryPath
	return a
}

// stop has it answer nobody any more.
func (a *authority) stop() {
	a.server.CloseClientConnections()
	a.server.Close()
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	if addr == "" {
		addr = testenv.Addr(t) // nobody is there
	}
	port, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// shown is the certificate that a listener shows to who asks for a name and trusts
// the authority.
func (a *authority) shown(g *gateway, listener, name string) (*x509.Certificate, error) {
	state, err := g.dialed(listener, &tls.Config{ServerName: name, RootCAs: a.roots})
	if err != nil {
		return nil, err
	}
	return state.PeerCertificates[0], nil
}

// obtained waits until a listener shows a certificate of the authority for a name.
func (a *authority) obtained(g *gateway, listener, name string) *x509.Certificate {
	g.t.Helper()
	var leaf *x509.Certificate
	eventually(g.t, "the certificate of "+name+" is obtained", func() (err error) {
		leaf, err = a.shown(g, listener, name)
		return err
	})
	return leaf
}

// standsIn checks that a listener shows a stand-in for a name.
func standsIn(g *gateway, listener, name string) error {
	state, err := g.dialed(listener, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	leaf := state.PeerCertificates[0]
	if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil || leaf.VerifyHostname(name) != nil {
		return fmt.Errorf("%s is served with a certificate of %s for %v", name, leaf.Issuer, leaf.DNSNames)
	}
	return nil
}

// statusSays waits until `gatewright status` has a text in it.
func (g *gateway) statusSays(text string) {
	g.t.Helper()
	eventually(g.t, "status says "+text, func() error {
		out, _ := g.command("status").CombinedOutput() // its exit code depends on what it says
		if !strings.Contains(string(out), text) {
			return errors.New(string(out))
		}
		return nil
	})
}
