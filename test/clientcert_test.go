package test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const certified = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
  - name: partners
    address: "{{listen "partners"}}"
    tls:
      certificates: [{cert: {{.certs}}/edge.crt, key: {{.certs}}/edge.key}]
      clientCA: {{.certs}}/clients.pem
      clientCRL: {{.certs}}/clients.crl
  - name: only
    address: "{{listen "only"}}"
    tls:
      certificates: [{cert: {{.certs}}/edge.crt, key: {{.certs}}/edge.key}]
      clientCA: {{.certs}}/clients.pem
      clientCertificate: required
      forwardClientCertificate: true
  - {name: noclients, address: "{{listen "noclients"}}", tls: {certificates: [{cert: {{.certs}}/edge.crt, key: {{.certs}}/edge.key}]}}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  jwt:
    main: {issuer: "{{.issuer}}", audiences: [api], algorithms: [RS256, ES256], jwks: {url: "{{.issuer}}/.well-known/jwks.json"}, forward: {sub: X-User-ID}}
  clientCertificate:
    partners: {dnsNames: ["*.partners.example.com"], tenants: {a.partners.example.com: acme}, forward: {user: X-Partner, tenant: X-Tenant-ID, fingerprint: X-Fingerprint}}
    workloads: {uris: ["spiffe://example.org/ns/*/sa/billing"], tenant: trustDomain, forward: {uri: X-Workload, tenant: X-Tenant-ID}}
    staff: {organizations: [Example], user: commonName, forward: {user: X-User-ID}}
limits:
  per-partner: {key: [user], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - {name: open, match: {path: /open}, auth: public, to: [{backend: app}]}
  - {name: partners, match: {path: /partners}, auth: {anyOf: [{clientCertificate: partners}]}, to: [{backend: app}]}
  - {name: limited, match: {path: /limited}, auth: {anyOf: [{clientCertificate: partners}]}, limits: [per-partner], to: [{backend: app}]}
  - {name: workloads, match: {path: /workloads}, auth: {anyOf: [{clientCertificate: workloads}]}, to: [{backend: app}]}
  - {name: staff, match: {path: /staff}, auth: {anyOf: [{clientCertificate: staff}]}, to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {allOf: [{jwt: main}, {clientCertificate: partners}]}, to: [{backend: app}]}
  - {name: either, match: {path: /either}, auth: {anyOf: [{clientCertificate: partners}, {jwt: main}], allowAnonymous: true}, to: [{backend: app}]}
  - {name: tried, match: {path: /tried}, auth: {anyOf: [{clientCertificate: partners, mode: shadow}]}, to: [{backend: app}]}
`

// revoked is the serial number that the authority of clients has taken back.
var revoked = big.NewInt(4711)

// certifiedWorld is a gateway that takes client certificates, and who makes them.
type certifiedWorld struct {
	*gateway
	*pems
	clients *testenv.CA
	values  map[string]string
}

func startCertified(t *testing.T) certifiedWorld {
	t.Helper()
	p := newPEMs(t)
	p.server("edge", "edge.example.com")
	clients := testenv.NewCA(t)
	p.write("clients.pem", clients.PEM)
	p.write("clients.crl", clients.Revoke(time.Now().Add(-time.Minute), time.Now().Add(time.Hour), revoked))
	values := map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder, "issuer": "http://" + testenv.Addr(t)}
	return certifiedWorld{start(t, setup{config: certified, values: values}), p, clients, values}
}

func (w certifiedWorld) ask(listener, path string, certificate *tls.Certificate, headers ...header) (reply, error) {
	w.gateway.t.Helper()
	var shown []tls.Certificate
	if certificate != nil {
		shown = append(shown, *certificate)
	}
	r, _, err := askedBy(w.client("edge.example.com", false, shown...), w.secureURL(listener, path), headers...)
	return r, err
}

func (w certifiedWorld) mustAsk(listener, path string, certificate *tls.Certificate, headers ...header) reply {
	w.gateway.t.Helper()
	r, err := w.ask(listener, path, certificate, headers...)
	if err != nil {
		w.gateway.t.Fatal(err)
	}
	return r
}

func (w certifiedWorld) pair(l testenv.Leaf) *tls.Certificate {
	w.gateway.t.Helper()
	if l.Usage == nil {
		l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	pair := w.clients.Pair(l)
	return &pair
}

var partnerA = testenv.Leaf{DNS: []string{"a.partners.example.com"}}

// TestClientCertificateIsIdentity: the caller is whom the certificate names, the
// backend is told so, and by us alone.
func TestClientCertificateIsIdentity(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	forged := []header{
		{"X-Partner", "b.partners.example.com"}, {"X-Tenant-ID", "other"}, {"X-Workload", "spiffe://example.org/ns/a/sa/admin"}, {"X-User-ID", "root"}, {"X-Fingerprint", "00"},
		{"X-Forwarded-Client-Cert", `By=x;Hash=00;Subject="CN=root";DNS=a.partners.example.com`},
	}
	e := w.mustAsk("partners", "/partners", w.pair(partnerA), forged...).ok(t).echo(t)
	for name, want := range map[string]string{"X-Partner": "a.partners.example.com", "X-Tenant-ID": "acme", "X-Workload": "", "X-User-ID": "", "X-Forwarded-Client-Cert": ""} {
		if got := e.header(name); got != want {
			t.Errorf("the backend sees %s %q, want %q", name, got, want)
		}
	}
	if got := e.header("X-Fingerprint"); len(got) != 64 {
		t.Errorf("the backend sees the fingerprint %q", got)
	}
	line := w.logged("/partners")
	if line["user"] != "a.partners.example.com" || line["tenant"] != "acme" {
		t.Errorf("the log has user %v, tenant %v", line["user"], line["tenant"])
	}
	// What is forged is taken away without a certificate, on listeners of every kind.
	for _, url := range []string{w.url("plain", "/open"), w.secureURL("partners", "/open"), w.secureURL("noclients", "/open")} {
		e := mustAsk(t, w.client("edge.example.com", false), url, forged...).ok(t).echo(t)
		for _, h := range forged {
			if got := e.header(h.name); got != "" {
				t.Errorf("%s: the backend sees %s %q", url, h.name, got)
			}
		}
	}
	for path, c := range map[string]struct {
		leaf      testenv.Leaf
		header    string
		want, ten string
	}{
		"/workloads": {testenv.Leaf{URIs: []string{"spiffe://example.org/ns/prod/sa/billing"}}, "X-Workload", "spiffe://example.org/ns/prod/sa/billing", "example.org"},
		"/staff":     {testenv.Leaf{Subject: pkix.Name{CommonName: "Zoë\r\nX-User-ID: root", Organization: []string{"Example"}}}, "X-User-ID", "Zoë%0D%0AX-User-ID: root", ""},
	} {
		e := w.mustAsk("partners", path, w.pair(c.leaf), forged...).ok(t).echo(t)
		if got := e.header(c.header); got != c.want || e.header("X-Tenant-ID") != c.ten {
			t.Errorf("%s: the backend sees %q of tenant %q", path, got, e.header("X-Tenant-ID"))
		}
	}
	xfcc := w.mustAsk("only", "/open", w.pair(partnerA), forged...).ok(t).echo(t).header("X-Forwarded-Client-Cert")
	if !strings.HasPrefix(xfcc, "Hash=") || !strings.Contains(xfcc, ";DNS=a.partners.example.com") || strings.Contains(xfcc, "root") || strings.Contains(xfcc, "By=x") {
		t.Errorf("the backend sees X-Forwarded-Client-Cert %q", xfcc)
	}
	w.mustAsk("partners", "/limited", w.pair(partnerA)).ok(t)
	w.mustAsk("partners", "/limited", w.pair(partnerA)).denied(t, 429, "rate-limited")
	w.mustAsk("partners", "/limited", w.pair(testenv.Leaf{DNS: []string{"b.partners.example.com"}})).ok(t)
}

// TestCertificatesThatDoNotOpen: no certificate, and certificates that are good
// and not those that the route takes.
func TestCertificatesThatDoNotOpen(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	get(t, w.url("plain", "/partners")).denied(t, 401, "credential-missing")
	for _, listener := range []string{"partners", "noclients"} {
		w.mustAsk(listener, "/partners", nil).denied(t, 401, "credential-missing")
	}
	// A listener that asks for no certificate gets none, whoever has one.
	w.mustAsk("noclients", "/partners", w.pair(partnerA)).denied(t, 401, "credential-missing")
	// A header says nothing.
	get(t, w.url("plain", "/partners"), header{"X-Forwarded-Client-Cert", "Hash=00;DNS=a.partners.example.com"}).denied(t, 401, "credential-missing")
	uris := func(all ...string) testenv.Leaf { return testenv.Leaf{URIs: all} }
	const accepted = "client-certificate-not-accepted"
	for name, c := range map[string]struct {
		path string
		leaf testenv.Leaf
	}{
		"no names":                  {"/partners", testenv.Leaf{}},
		"the name as common name":   {"/partners", testenv.Leaf{Subject: pkix.Name{CommonName: "a.partners.example.com"}}},
		"another name":              {"/partners", testenv.Leaf{DNS: []string{"a.partners.example.com.evil.org"}}},
		"a name two below":          {"/partners", testenv.Leaf{DNS: []string{"x.a.partners.example.com"}}},
		"a wildcard":                {"/partners", testenv.Leaf{DNS: []string{"*.partners.example.com"}}},
		"another workload":          {"/workloads", uris("spiffe://example.org/ns/prod/sa/orders")},
		"another trust domain":      {"/workloads", uris("spiffe://example.com/ns/prod/sa/billing")},
		"two SPIFFE IDs":            {"/workloads", uris("spiffe://example.org/ns/prod/sa/billing", "spiffe://example.org/ns/prod/sa/orders")},
		"an empty segment":          {"/workloads", uris("spiffe://example.org/ns//sa/billing")},
		"a dot segment":             {"/workloads", uris("spiffe://example.org/ns/../sa/billing")},
		"a query":                   {"/workloads", uris("spiffe://example.org/ns/prod/sa/billing?x")},
		"a port":                    {"/workloads", uris("spiffe://example.org:1/ns/prod/sa/billing")},
		"a trust domain in capital": {"/workloads", uris("spiffe://Example.org/ns/prod/sa/billing")},
		"another scheme":            {"/workloads", uris("https://example.org/ns/prod/sa/billing")},
		"another organization":      {"/staff", testenv.Leaf{Subject: pkix.Name{CommonName: "a", Organization: []string{"example"}}}},
		"no common name":            {"/staff", testenv.Leaf{Subject: pkix.Name{Organization: []string{"Example"}}}},
		"two common names": {"/staff", testenv.Leaf{Subject: pkix.Name{Organization: []string{"Example"}, ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "root"}}}}},
	} {
		r, err := w.ask("partners", c.path, w.pair(c.leaf))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := r.denied(t, 403, accepted); p.Reason != accepted {
			t.Errorf("%s: %s", name, p.Reason)
		}
	}
}

// TestUnverifiedCertificatesEndTheHandshake: where a certificate is optional, too.
func TestUnverifiedCertificatesEndTheHandshake(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	stranger := testenv.NewCA(t).Pair(partnerA)
	taken, expired, server := partnerA, partnerA, partnerA
	taken.Serial = revoked
	expired.NotAfter = time.Now().Add(-time.Minute)
	server.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, certificate := range map[string]*tls.Certificate{
		"another authority's": &stranger, "revoked": w.pair(taken), "expired": w.pair(expired), "a server's": w.pair(server),
	} {
		if r, err := w.ask("partners", "/open", certificate); err == nil {
			t.Errorf("%s: it is answered with %d", name, r.Status)
		}
	}
	if r, err := w.ask("only", "/open", nil); err == nil {
		t.Errorf("none where it is required: it is answered with %d", r.Status)
	}
	w.mustAsk("only", "/open", w.pair(partnerA)).ok(t)
	w.mustAsk("partners", "/open", w.pair(partnerA)).ok(t)
	// Below an intermediate authority that the client shows.
	below := w.clients.Intermediate()
	leaf := below.Pair(testenv.Leaf{DNS: partnerA.DNS})
	if _, err := w.ask("only", "/partners", &leaf); err == nil {
		t.Error("a chain with a gap is taken")
	}
	block := append([][]byte{}, leaf.Certificate...)
	leaf.Certificate = append(block, below.DER())
	w.mustAsk("only", "/partners", &leaf).ok(t)
}

// TestCertificateExpiresOnAnOpenConnection: the connection goes on, and the
// certificate is nobody's any more. Nor is a session resumed without another look.
func TestCertificateExpiresOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	soon := partnerA
	soon.NotAfter = time.Now().Add(4 * time.Second)
	client := w.client("edge.example.com", true, *w.pair(soon))
	client.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	mustAsk(t, client, w.secureURL("partners", "/partners")).ok(t)
	eventually(t, "it has expired", func() error {
		if r := mustAsk(t, client, w.secureURL("partners", "/partners")); r.Status != http.StatusUnauthorized {
			return errStatus(r)
		}
		return nil
	})
	mustAsk(t, client, w.secureURL("partners", "/partners")).denied(t, 401, "client-certificate-expired")
	// To the handshake it has expired when the second is over in which it does.
	eventually(t, "no new connection is made with it", func() error {
		client.CloseIdleConnections()
		if r, state, err := askedBy(client, w.secureURL("partners", "/open")); err == nil {
			return fmt.Errorf("resumed %t, it is answered with %d", state.DidResume, r.Status)
		}
		return nil
	})
}

// TestCertificatesAmongRequirements: beside a token, in the place of one, and in
// shadow.
func TestCertificatesAmongRequirements(t *testing.T) {
	t.Parallel()
	p := idp(t)
	w := startCertified(t)
	w.values["issuer"] = p.Issuer()
	w.replace(certified)
	alice := bearer(token(t, p, "sub=alice"))
	cert := w.pair(partnerA)
	eventually(t, "the issuer is known", func() error {
		if r := w.mustAsk("partners", "/both", cert, alice); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	e := w.mustAsk("partners", "/both", cert, alice).ok(t).echo(t)
	if e.header("X-User-ID") != "alice" || e.header("X-Partner") != "a.partners.example.com" || e.header("X-Tenant-ID") != "acme" {
		t.Errorf("the backend sees %v", e.Headers)
	}
	w.mustAsk("partners", "/both", cert).denied(t, 401, "credential-missing")
	w.mustAsk("partners", "/both", nil, alice).denied(t, 401, "credential-missing")
	w.mustAsk("partners", "/both", cert, bearer(token(t, p, "sub=alice", "tenant=other"))).denied(t, 403, "identity-mismatch")

	other := w.pair(testenv.Leaf{DNS: []string{"other.example.com"}})
	w.mustAsk("partners", "/either", nil).ok(t)
	w.mustAsk("partners", "/either", cert).ok(t)
	w.mustAsk("partners", "/either", other, alice).ok(t)
	w.mustAsk("partners", "/either", other).denied(t, 403, "client-certificate-not-accepted")
	w.mustAsk("partners", "/either", other, bearer("x")).denied(t, 401, "token-malformed")

	if e := w.mustAsk("partners", "/tried", cert).ok(t).echo(t); e.header("X-Partner") != "a.partners.example.com" {
		t.Errorf("in shadow the backend sees %q", e.header("X-Partner"))
	}
	if e := w.mustAsk("partners", "/tried", nil, header{"X-Partner", "forged"}).ok(t).echo(t); e.header("X-Partner") != "" {
		t.Errorf("in shadow the backend sees %q", e.header("X-Partner"))
	}
}

// TestClientAuthoritiesRotate: whom a listener takes changes with the file, and a
// revocation holds from the next handshake on.
func TestClientAuthoritiesRotate(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	next := testenv.NewCA(t)
	nextPair, oldPair := next.Pair(partnerA), w.pair(partnerA)
	// Lists before authorities: one of an authority that is not there is refused.
	list := func(of *testenv.CA) []byte { return of.Revoke(time.Now().Add(-time.Minute), time.Now().Add(time.Hour)) }
	w.write2("clients.crl", "clients.pem", append(list(w.clients), list(next)...), append(append([]byte{}, w.clients.PEM...), next.PEM...))
	eventually(t, "both are taken", func() error {
		for _, c := range []*tls.Certificate{&nextPair, oldPair} {
			if _, err := w.ask("partners", "/partners", c); err != nil {
				return err
			}
		}
		return nil
	})
	w.write2("clients.crl", "clients.pem", list(next), next.PEM)
	eventually(t, "the old is not taken any more", func() error {
		if _, err := w.ask("partners", "/partners", oldPair); err == nil {
			return fmt.Errorf("it is")
		}
		_, err := w.ask("partners", "/partners", &nextPair)
		return err
	})
	w.write2("clients.crl", "clients.pem", next.Revoke(time.Now().Add(-time.Minute), time.Now().Add(time.Hour), nextPair.Leaf.SerialNumber), next.PEM)
	eventually(t, "it is revoked", func() error {
		if _, err := w.ask("partners", "/partners", &nextPair); err == nil {
			return fmt.Errorf("it is not")
		}
		return nil
	})
}

// write2 replaces two files.
func (w certifiedWorld) write2(a, b string, contentA, contentB []byte) {
	w.pems.write(a, contentA)
	w.pems.write(b, contentB)
}

// TestExplainClientCertificate: the certificate that would be shown is judged by
// the very steps of the gateway; that an authority vouches for it is left to it.
func TestExplainClientCertificate(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	cert, _ := w.clients.Issue(partnerA)
	file := filepath.Join(t.TempDir(), "partner.pem")
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(path string, args ...string) string {
		return string(w.run(append([]string{"explain", w.file, "--url", "https://edge.example.com" + path}, args...)...))
	}
	for _, want := range []string{"DNS name *.partners.example.com", "Envoy verifies it in the handshake"} {
		if out := ask("/partners", "--client-cert", file); !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if out := ask("/workloads", "--client-cert", file); !strings.Contains(out, "client-certificate-not-accepted") {
		t.Errorf("it says:\n%s", out)
	}
	if out := ask("/partners"); !strings.Contains(out, "credential-missing") {
		t.Errorf("it says:\n%s", out)
	}
}

// TestLogIsNotForgedByTLS: neither by the name that a client asks for in its
// handshake nor by the names in its certificate.
func TestLogIsNotForgedByTLS(t *testing.T) {
	t.Parallel()
	w := startCertified(t)
	const evil = "\"}\n{\"status\":200,\"user\":\"root\"}\r\n\x1b[2J%n\u2028"
	certificate := w.pair(testenv.Leaf{Subject: pkix.Name{CommonName: evil, Organization: []string{"Example"}}})
	client := w.client(evil, false, *certificate)
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	r, _, err := askedBy(client, w.secureURL("partners", "/staff"))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.ok(t).echo(t).header("X-User-ID"); strings.ContainsAny(got, "\r\n\x1b") || !strings.HasPrefix(got, `"}%0A{"status"`) {
		t.Errorf("the backend sees %q", got)
	}
	if user := w.logged("/staff")["user"]; user != evil {
		t.Errorf("the log has the user %q", user)
	}
	if n := len(w.accessLog()); n != 1 {
		t.Errorf("%d lines for one request:\n%s", n, w.stdout)
	}
}
