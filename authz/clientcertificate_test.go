package authz

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// certificateText is a certificate as Envoy sends it.
func certificateText(t testing.TB, ca *testenv.CA, l testenv.Leaf) string {
	t.Helper()
	if l.Usage == nil {
		l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	cert, _ := ca.Issue(l)
	// Envoy escapes these and no others.
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(string(cert))
}

// withCertificate is a request that came over a connection with the certificate.
func withCertificate(m *authv3.CheckRequest, certificate string) *authv3.CheckRequest {
	m.Attributes.Source.Certificate = certificate
	return m
}

func byCertificate(p *config.ClientCertificate) Requirement {
	return Requirement{ClientCertificate: p, names: newCertificateNames(p)}
}

func partnersCertificate() *config.ClientCertificate {
	return &config.ClientCertificate{
		Name: "partners", DNSNames: []string{"*.partners.example.com", "one.example.com"}, Tenants: map[string]string{"a.partners.example.com": "globex"},
		Forward: map[string]string{"user": "X-Partner", "tenant": "X-Tenant-ID"},
	}
}

// TestWhomACertificateNames is the table of providers and certificates: who the
// caller is, or why it is none.
func TestWhomACertificateNames(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	subject := func(cn string, organizations ...string) testenv.Leaf {
		return testenv.Leaf{Subject: pkix.Name{CommonName: cn, Organization: organizations}}
	}
	dns, emails, uris := []string{"*.example.com"}, []string{"*@example.com", "root@example.org"}, []string{"spiffe://example.org/ns/*/sa/**", "urn:example:a"}
	for name, c := range map[string]struct {
		provider config.ClientCertificate
		leaf     testenv.Leaf
		user     string // or the reason
		tenant   string
	}{
		"DNS name":                    {config.ClientCertificate{DNSNames: dns}, testenv.Leaf{DNS: []string{"A.Example.com"}}, "a.example.com", ""},
		"the first that is listed":    {config.ClientCertificate{DNSNames: dns}, testenv.Leaf{DNS: []string{"x.org", "b.example.com", "a.example.com"}}, "b.example.com", ""},
		"the domain itself":           {config.ClientCertificate{DNSNames: dns}, testenv.Leaf{DNS: []string{"example.com"}}, "client-certificate-not-accepted", ""},
		"without a list":              {config.ClientCertificate{User: config.PartDNSName}, testenv.Leaf{DNS: []string{"x.org"}}, "x.org", ""},
		"two without a list":          {config.ClientCertificate{User: config.PartDNSName}, testenv.Leaf{DNS: []string{"x.org", "y.org"}}, "client-certificate-not-accepted", ""},
		"e-mail":                      {config.ClientCertificate{Emails: emails}, testenv.Leaf{Emails: []string{"Bob@Example.com"}}, "Bob@example.com", ""},
		"e-mail of another":           {config.ClientCertificate{Emails: emails}, testenv.Leaf{Emails: []string{"bob@example.org"}}, "client-certificate-not-accepted", ""},
		"e-mail that is the wildcard": {config.ClientCertificate{Emails: emails}, testenv.Leaf{Emails: []string{"*@example.com"}}, "client-certificate-not-accepted", ""},
		"workload":                    {config.ClientCertificate{URIs: uris, Tenant: config.PartTrustDomain}, testenv.Leaf{URIs: []string{"spiffe://example.org/ns/a/sa/b/c"}}, "spiffe://example.org/ns/a/sa/b/c", "example.org"},
		"another URI":                 {config.ClientCertificate{URIs: uris}, testenv.Leaf{URIs: []string{"https://x.org", "urn:example:a"}}, "urn:example:a", ""},
		"workload with two names":     {config.ClientCertificate{URIs: uris}, testenv.Leaf{URIs: []string{"spiffe://example.org/ns/a/sa/b", "https://x.org"}}, "client-certificate-not-accepted", ""},
		"no workload":                 {config.ClientCertificate{User: config.PartURI}, testenv.Leaf{URIs: []string{"spiffe://example.org//a"}}, "client-certificate-not-accepted", ""},
		"a fragment":                  {config.ClientCertificate{URIs: uris}, testenv.Leaf{URIs: []string{"spiffe://example.org/ns/a/sa/b#c"}}, "client-certificate-not-accepted", ""},
		"common name":                 {config.ClientCertificate{CommonNames: []string{"a", "b"}}, subject("b"), "b", ""},
		"common name in capitals":     {config.ClientCertificate{CommonNames: []string{"a", "b"}}, subject("B"), "client-certificate-not-accepted", ""},
		"no subject at all":           {config.ClientCertificate{User: config.PartCommonName}, testenv.Leaf{}, "client-certificate-not-accepted", ""},
		"organization":                {config.ClientCertificate{Organizations: []string{"A"}, User: config.PartCommonName, Tenant: config.PartOrganization}, subject("x", "B", "A"), "x", "A"},
		"two organizations":           {config.ClientCertificate{User: config.PartCommonName, Tenant: config.PartOrganization}, subject("x", "B", "A"), "client-certificate-not-accepted", ""},
		"no organization":             {config.ClientCertificate{User: config.PartCommonName, Tenant: config.PartOrganization}, subject("x"), "client-certificate-not-accepted", ""},
		"one of each list":            {config.ClientCertificate{DNSNames: dns, Organizations: []string{"A"}}, testenv.Leaf{DNS: []string{"a.example.com"}, Subject: pkix.Name{Organization: []string{"B"}}}, "client-certificate-not-accepted", ""},
		"tenants":                     {config.ClientCertificate{DNSNames: dns, Tenants: map[string]string{"a.example.com": "acme"}}, testenv.Leaf{DNS: []string{"a.example.com"}}, "a.example.com", "acme"},
		"expired":                     {config.ClientCertificate{DNSNames: dns}, testenv.Leaf{DNS: []string{"a.example.com"}, NotAfter: time.Now().Add(-time.Second)}, "client-certificate-expired", ""},
		"a server's":                  {config.ClientCertificate{DNSNames: dns}, testenv.Leaf{DNS: []string{"a.example.com"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, "client-certificate-invalid", ""},
	} {
		p := c.provider
		p.Name = "p"
		q := byCertificate(&p)
		s := New(Options{})
		shown := &credentials{request: &request{certificate: certificateText(t, ca, c.leaf)}}
		for range 2 { // the second time from the table
			who, refused := s.satisfy(t.Context(), shown, &q, time.Now())
			switch {
			case refused != nil && string(refused.reason) != c.user:
				t.Errorf("%s: %s, want %s", name, refused.reason, c.user)
			case refused == nil && (who.User != c.user || who.Tenant != c.tenant || who.Provider != "p"):
				t.Errorf("%s: %+v, want %s of %s", name, who.Identity, c.user, c.tenant)
			}
			shown.peerRead = false
		}
	}
}

// TestTextsThatAreNoCertificate: whatever stands in its place is nobody.
func TestTextsThatAreNoCertificate(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	good := certificateText(t, ca, testenv.Leaf{DNS: []string{"a.partners.example.com"}})
	if _, err := readCertificate(good); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a word": "x", "half": good[:len(good)/2], "a broken escape": good + "%", "two": good + good, "more behind it": good + "x",
		"huge": good + strings.Repeat("%0A", maxCertificateBytes), "a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"no certificate in it": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}})),
	} {
		if _, err := readCertificate(text); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	g := newGate(t, nil, nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{byCertificate(partnersCertificate())}, AllowAnonymous: true})
	if r := g.check(t, withCertificate(ask(hash, "/"), "x")); reasonOf(r) != ReasonClientCertificateInvalid || deniedHeader(r, "www-authenticate") != `ClientCertificate realm="gateway"` {
		t.Errorf("a certificate that cannot be read: %v", r)
	}
	if r := g.check(t, ask(hash, "/")); !allows(r) {
		t.Errorf("nobody is allowed there: %v", r)
	}
	// A requirement that was not made by NewPolicy holds for nobody.
	raw := g.publish(&Policy{AnyOf: []Requirement{{ClientCertificate: &config.ClientCertificate{Name: "raw"}}}})
	if r := g.check(t, withCertificate(ask(raw, "/"), good)); reasonOf(r) != ReasonInternal {
		t.Errorf("%v", r)
	}
}

// TestCertificateBesideToken: of the two credentials the token says who the
// caller is and the certificate whose connection it is; they must not be of two
// tenants.
func TestCertificateBesideToken(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	now := time.Now()
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Clock = func() time.Time { return now } })
	both := g.publish(&Policy{AllOf: []Requirement{{JWT: mainJWT()}, byCertificate(partnersCertificate())}})
	certificate := certificateText(t, ca, testenv.Leaf{DNS: []string{"a.partners.example.com"}})
	stranger := certificateText(t, ca, testenv.Leaf{DNS: []string{"one.example.com"}})
	tokenOf := func(tenant string) line {
		return withToken(rsaSigner().token(map[string]any{"tenant": tenant, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}))
	}
	for name, c := range map[string]struct {
		certificate string
		token       line
		want        Reason
	}{
		"one tenant":               {certificate, tokenOf("globex"), ReasonAllowed},
		"two tenants":              {certificate, tokenOf("acme"), ReasonIdentityMismatch},
		"a partner without tenant": {stranger, tokenOf("acme"), ReasonAllowed},
		"no certificate":           {"", tokenOf("globex"), ReasonCredentialMissing},
	} {
		r := g.check(t, withCertificate(ask(both, "/", c.token), c.certificate))
		if reasonOf(r) != c.want {
			t.Errorf("%s: %s, want %s", name, reasonOf(r), c.want)
		}
		if c.want == ReasonAllowed && headersOf(r.GetOkResponse().GetHeaders())["x-user-id"] != "alice" {
			t.Errorf("%s: the backend is told %v", name, r.GetOkResponse().GetHeaders())
		}
	}
}

// TestTokensBoundToCertificates: a token is good over the connections of its
// owner alone, and one that is bound to nothing is not good at all.
func TestTokensBoundToCertificates(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	now := time.Now()
	bound := mainJWT()
	bound.CertificateBound = true
	g := newGate(t, keySetsFor(t, bound), func(o *Options) { o.Clock, o.Tokens = func() time.Time { return now }, 10 })
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: bound}}})
	mine, other := certificateText(t, ca, testenv.Leaf{}), certificateText(t, ca, testenv.Leaf{})
	read, err := readCertificate(mine)
	if err != nil {
		t.Fatal(err)
	}
	token := func(cnf any) line {
		return withToken(rsaSigner().token(map[string]any{"cnf": cnf, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}))
	}
	good := token(map[string]any{"x5t#S256": read.thumbprint})
	for name, c := range map[string]struct {
		certificate string
		token       line
		want        Reason
	}{
		"its own":              {mine, good, ReasonAllowed},
		"another's":            {other, good, ReasonTokenBindingMismatch},
		"none":                 {"", good, ReasonTokenBindingMismatch},
		"none that is read":    {"x", good, ReasonTokenBindingMismatch},
		"bound to nothing":     {mine, token(nil), ReasonTokenBindingMismatch},
		"bound to a key":       {mine, token(map[string]any{"jkt": read.thumbprint}), ReasonTokenBindingMismatch},
		"bound to a list":      {mine, token(map[string]any{"x5t#S256": []string{read.thumbprint}}), ReasonTokenBindingMismatch},
		"in hexadecimal":       {mine, token(map[string]any{"x5t#S256": read.fingerprint}), ReasonTokenBindingMismatch},
		"bound to the empty":   {"", token(map[string]any{"x5t#S256": ""}), ReasonTokenBindingMismatch},
		"a text for an object": {mine, token(read.thumbprint), ReasonTokenBindingMismatch},
	} {
		for range 2 { // the second time the token has been seen
			if r := g.check(t, withCertificate(ask(hash, "/", c.token), c.certificate)); reasonOf(r) != c.want {
				t.Errorf("%s: %s, want %s", name, reasonOf(r), c.want)
			}
		}
	}
	plain := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}})
	if bound := (&Policy{AnyOf: []Requirement{{JWT: bound}}}).Hash(); bound == plain {
		t.Error("it does not show in the hash")
	}
}

// TestCertificateTableIsBounded, and what is asked for again stays in it.
func TestCertificateTableIsBounded(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	text := certificateText(t, ca, testenv.Leaf{DNS: []string{"a.example.com"}})
	var table certificateTable
	first, err := table.read(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * certificateEntries {
		// The same certificate in other spellings: each is an entry of its own.
		if _, err := table.read(text + strings.Repeat("%0A", i+1)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			if again, err := table.read(text); err != nil || again != first {
				t.Fatalf("after %d others it is read again: %v", i, err)
			}
		}
	}
	if n := len(table.young) + len(table.old); n > 2*certificateEntries {
		t.Errorf("%d are kept", n)
	}
}

// TestHashKnowsClientCertificates: what a provider says of itself is in the
// address of the policies that name it.
func TestHashKnowsClientCertificates(t *testing.T) {
	t.Parallel()
	hash := func(change func(*config.ClientCertificate)) string {
		p := partnersCertificate()
		change(p)
		return (&Policy{AnyOf: []Requirement{byCertificate(p)}}).Hash()
	}
	seen := map[string]string{hash(func(*config.ClientCertificate) {}): "nothing"}
	for name, change := range map[string]func(*config.ClientCertificate){
		"name":          func(p *config.ClientCertificate) { p.Name = "x" },
		"uris":          func(p *config.ClientCertificate) { p.URIs = []string{"x"} },
		"dnsNames":      func(p *config.ClientCertificate) { p.DNSNames = []string{"x"} },
		"emails":        func(p *config.ClientCertificate) { p.Emails = []string{"x"} },
		"commonNames":   func(p *config.ClientCertificate) { p.CommonNames = []string{"x"} },
		"organizations": func(p *config.ClientCertificate) { p.Organizations = []string{"x"} },
		"user":          func(p *config.ClientCertificate) { p.User = config.PartEmail },
		"tenant":        func(p *config.ClientCertificate) { p.Tenant = config.PartOrganization },
		"tenants":       func(p *config.ClientCertificate) { p.Tenants = nil },
		"forward":       func(p *config.ClientCertificate) { p.Forward = nil },
	} {
		h := hash(change)
		if seen[h] != "" {
			t.Errorf("another %s is the same policy as another %s", name, seen[h])
		}
		seen[h] = name
	}
}

// FuzzReadCertificate: no bytes make it panic, and what it reads it reads again
// as the same.
func FuzzReadCertificate(f *testing.F) {
	ca := testenv.NewCA(f)
	for _, l := range []testenv.Leaf{{}, {DNS: []string{"a.example.com"}, URIs: []string{"spiffe://a/b"}, Emails: []string{"a@b.c"}, Subject: pkix.Name{CommonName: "a\r\n", Organization: []string{"b"}}}} {
		cert, _ := ca.Issue(l)
		block, _ := pem.Decode(cert)
		f.Add(block.Bytes, "")
	}
	f.Add([]byte{}, "x%")
	f.Fuzz(func(t *testing.T, der []byte, behind string) {
		text := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		_, _ = readCertificate(text + behind)
		a, err := readCertificate(text)
		if err != nil {
			return
		}
		b, err := readCertificate(text)
		if err != nil || fmt.Sprint(a.uris, a.dnsNames, a.emails, a.commonNames, a.serial) != fmt.Sprint(b.uris, b.dnsNames, b.emails, b.commonNames, b.serial) {
			t.Errorf("%v, then %v (%v)", a, b, err)
		}
	})
}

// BenchmarkCheckByCertificate is a certificate seen before, without gRPC.
func BenchmarkCheckByCertificate(b *testing.B) {
	ca := testenv.NewCA(b)
	p := &Policy{AnyOf: []Requirement{byCertificate(partnersCertificate())}}
	s := New(Options{Policies: knownPolicies{p.Hash(): p}})
	text := certificateText(b, ca, testenv.Leaf{DNS: []string{"a.partners.example.com"}})
	data := must(proto.Marshal(withCertificate(asEnvoySends(ask(p.Hash(), "/")), text)))
	b.ReportAllocs()
	for b.Loop() {
		in := &wireRequest{}
		_ = in.UnmarshalBinary(data)
		if _, err := s.checkWire(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadCertificate is one that has not been seen.
func BenchmarkReadCertificate(b *testing.B) {
	text := certificateText(b, testenv.NewCA(b), testenv.Leaf{DNS: []string{"a.partners.example.com"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readCertificate(text); err != nil {
			b.Fatal(err)
		}
	}
}
