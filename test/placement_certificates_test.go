package test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const placedCertificates = `
listeners:
  - {name: public, address: "{{listen "public"}}", placement: {{.placement}}}
  - name: partners
    address: "{{listen "partners"}}"
    placement: {{.placement}}
    tls:
      certificates: [{cert: {{.certs}}/edge.crt, key: {{.certs}}/edge.key}]
      clientCA: {{.certs}}/clients.pem
      clientCRL: {{.certs}}/clients.crl
      forwardClientCertificate: true
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  jwt:
    main: {issuer: https://id.example.com/, audiences: [api], algorithms: [RS256], jwks: {file: "{{.keys}}"}, forward: {sub: X-User-ID, tenant: X-Tenant-ID}}
  apiKey:
    keys: {forward: {id: X-Key-ID, owner: X-User-ID}}
  clientCertificate:
    partners: {dnsNames: ["*.partners.example.com"], tenants: {a.partners.example.com: acme}, forward: {user: X-Partner, tenant: X-Tenant-ID, fingerprint: X-Fingerprint, serial: X-Serial}}
    workloads: {uris: ["spiffe://example.org/ns/*/sa/billing", "urn:example:billing"], forward: {uri: X-Workload, trustDomain: X-Trust}}
    staff: {organizations: [Example], user: commonName, tenant: organizationalUnit, forward: {user: X-User-ID, tenant: X-Tenant-ID, organization: X-Org}}
    mailed: {emails: ["*@example.com"], forward: {email: X-User-ID}}
    anybody: {user: dnsName, forward: {user: X-User-ID}}
routes:
  - {name: partners, match: {path: /partners}, auth: {anyOf: [{clientCertificate: partners}]}, to: [{backend: app}]}
  - {name: workloads, match: {path: /workloads}, auth: {anyOf: [{clientCertificate: workloads}]}, to: [{backend: app}]}
  - {name: staff, match: {path: /staff}, auth: {anyOf: [{clientCertificate: staff}]}, to: [{backend: app}]}
  - {name: mailed, match: {path: /mailed}, auth: {anyOf: [{clientCertificate: mailed}]}, to: [{backend: app}]}
  - {name: anybody, match: {path: /anybody}, auth: {anyOf: [{clientCertificate: anybody}], allowAnonymous: true}, to: [{backend: app}]}
  - {name: several, match: {path: /several}, auth: {anyOf: [{clientCertificate: workloads}, {clientCertificate: partners}]}, to: [{backend: app}]}
  - {name: before, match: {path: /before}, auth: {anyOf: [{clientCertificate: partners}, {jwt: main}]}, to: [{backend: app}]}
  - {name: behind, match: {path: /behind}, auth: {anyOf: [{jwt: main}, {clientCertificate: partners}], allowAnonymous: true}, to: [{backend: app}]}
  - {name: keyed, match: {path: /keyed}, auth: {anyOf: [{clientCertificate: partners}, {apiKey: keys}]}, to: [{backend: app}]}
  - {name: tried, match: {path: /tried}, auth: {anyOf: [{clientCertificate: partners, mode: shadow}]}, to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {allOf: [{jwt: main}, {clientCertificate: partners}]}, to: [{backend: app}]}
`

// certificateRoutes are the routes of that config, each with its path.
var certificateRoutes = []string{"partners", "workloads", "staff", "mailed", "anybody", "several", "before", "behind", "keyed", "tried", "both"}

// certificateTwins are two gateways that take the same certificates: one is asked about
// every request, the other need not be.
type certificateTwins struct {
	*pems
	clients *testenv.CA
	key     apiKey
	// one is the gateway that asks, other the one that need not.
	one, other *gateway
	// asked are the requests so far, in words, by their numbers, which stand in User-Agent.
	asked []string
	// answers counts them, by their reasons and statuses.
	answers map[string]int
}

func startCertificateTwins(t *testing.T) *certificateTwins {
	t.Helper()
	p, clients, app := newPEMs(t), testenv.NewCA(t), backend(t, "app")
	p.server("edge", "edge.example.com")
	p.write("clients.pem", clients.PEM)
	below := clients.Intermediate()
	p.write("clients.crl", clients.Revoke(time.Now().Add(-time.Minute), time.Now().Add(time.Hour), revoked), below.Revoke(time.Now().Add(-time.Minute), time.Now().Add(time.Hour)))
	p.write("clients.pem", clients.PEM, below.PEM)
	p.write("jwks.json", madeKeys().set(t))
	placed := func(placement string) *gateway {
		return start(t, setup{
			config: placedCertificates,
			values: map[string]string{"app": app.Addr(), "certs": p.folder, "keys": p.path("jwks.json"), "placement": placement},
			env:    []string{"GATEWRIGHT_DATABASE_URL=sqlite:" + filepath.Join(p.folder, "keys.db")},
		})
	}
	w := &certificateTwins{pems: p, clients: clients, one: placed("service"), other: placed("auto"), answers: map[string]int{}}
	w.key = w.one.createKey("--tenant", "acme", "--owner", "carol")
	return w
}

// shownBy is a certificate, and how its owner speaks: a connection to each gateway, which
// is kept.
type shownBy struct {
	name    string
	clients [2]*http.Client
}

// shownOver is that of a certificate, or of none, over HTTP/1.1 or HTTP/2.
func (w *certificateTwins) shownOver(name, protocol string, certificate *tls.Certificate) shownBy {
	s := shownBy{name: name + " over " + protocol}
	for i := range s.clients {
		config := &tls.Config{RootCAs: w.ca.Pool(), ServerName: "edge.example.com", MinVersion: tls.VersionTLS12}
		if certificate != nil {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
		}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: protocol == "h2", MaxConnsPerHost: 1}
		if protocol != "h2" {
			transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
		w.t.Cleanup(transport.CloseIdleConnections)
		s.clients[i] = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	return s
}

// compareShown asks both gateways and fails where their answers differ, or only one of
// them ends the handshake. ok tells that they have answered.
func (w *certificateTwins) compareShown(t *testing.T, by shownBy, path string, headers ...header) (answer shownAnswer, ok bool) {
	t.Helper()
	headers = append(slices.Clone(headers), header{"Host", "edge.example.com"}, header{"User-Agent", fmt.Sprint("pair/", len(w.asked))})
	var answers [2]shownAnswer
	var errs [2]error
	for range 20 { // on a machine that stands still, a question may go unanswered in its time
		var both sync.WaitGroup
		for i, g := range []*gateway{w.one, w.other} {
			both.Go(func() { answers[i], errs[i] = askShown(by.clients[i], g.secureURL("partners", path), headers) })
		}
		both.Wait()
		if answers[0].status != http.StatusServiceUnavailable && answers[1].status != http.StatusServiceUnavailable {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		t.Errorf("%s, %s: one answers, the other does not: %v, %v", by.name, path, errs[0], errs[1])
		return shownAnswer{}, false
	}
	if errs[0] != nil {
		return shownAnswer{}, false
	}
	if answers[0] != answers[1] {
		t.Errorf("%s, %s, %q:\nasked, it is\n%d\n%s\n%s\nin Envoy, it is\n%d\n%s\n%s", by.name, path, headers, answers[0].status, answers[0].headers, answers[0].body,
			answers[1].status, answers[1].headers, answers[1].body)
	}
	w.asked = append(w.asked, fmt.Sprintf("%s, %s, %q", by.name, path, headers))
	w.answers[fmt.Sprint(answers[0].status, " ", answers[0].reason)]++
	return answers[0], true
}

// shownAnswer is all of an answer that must not depend on where a policy runs. It is
// comparable.
type shownAnswer struct {
	status                int
	reason, headers, body string
}

func askShown(c *http.Client, url string, headers []header) (shownAnswer, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return shownAnswer{}, err
	}
	for _, h := range headers {
		if h.name == "Host" {
			req.Host = h.value
		} else {
			req.Header.Add(h.name, h.value)
		}
	}
	response, err := c.Do(req)
	if err != nil {
		return shownAnswer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return shownAnswer{}, err
	}
	var document struct{ Reason string }
	_ = json.Unmarshal(body, &document) // what is no document has no reason
	return shownAnswer{response.StatusCode, document.Reason, steadyHeaders(response.Header), steadyBody(body)}, nil
}

// shownCase is a certificate, and the routes that let it pass where it is shown alone.
type shownCase struct {
	name   string
	leaf   testenv.Leaf
	passes string
	// refused tells that the handshake ends with it.
	refused bool
	// by is another authority than the one of clients.
	by *testenv.CA
}

var (
	clientUse   = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	organizedBy = asn1.ObjectIdentifier{2, 5, 4, 10}
	namedBy     = asn1.ObjectIdentifier{2, 5, 4, 3}
)

// attribute is a part of a subject, in whatever type of text.
func attribute(of asn1.ObjectIdentifier, tag int, text string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: of, Value: asn1.RawValue{Tag: tag, Bytes: []byte(text)}}
}

// alternative is a certificate's alternative names, each of a kind (RFC 5280, section
// 4.2.1.6) and in whatever bytes.
func alternative(t testing.TB, names ...asn1.RawValue) []pkix.Extension {
	t.Helper()
	for i := range names {
		names[i].Class = asn1.ClassContextSpecific
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
}

func (w *certificateTwins) shownCases() []shownCase {
	const dns, uri, email = 2, 6, 1
	partner := func(names ...string) testenv.Leaf { return testenv.Leaf{DNS: names, Usage: clientUse} }
	workload := func(uris ...string) testenv.Leaf { return testenv.Leaf{URIs: uris, Usage: clientUse} }
	raw := func(names ...asn1.RawValue) testenv.Leaf {
		return testenv.Leaf{Extensions: alternative(w.t, names...), Usage: clientUse}
	}
	staff := func(attributes ...pkix.AttributeTypeAndValue) testenv.Leaf {
		return testenv.Leaf{Subject: pkix.Name{ExtraNames: attributes}, Usage: clientUse}
	}
	with := func(l testenv.Leaf, change func(*testenv.Leaf)) testenv.Leaf { change(&l); return l }
	const partners = "partners anybody several before behind keyed tried"
	return []shownCase{
		{name: "a partner", leaf: partner("a.partners.example.com"), passes: partners},
		{name: "a partner of no tenant", leaf: partner("b.partners.example.com"), passes: partners},
		{name: "two names of the list", leaf: partner("b.partners.example.com", "a.partners.example.com"), passes: "partners several before behind keyed tried"},
		{name: "another name first", leaf: partner("x.example.com", "a.partners.example.com"), passes: "partners several before behind keyed tried"},
		{name: "a name in capitals", leaf: partner("A.Partners.Example.COM"), passes: partners},
		{name: "a wildcard", leaf: partner("*.partners.example.com"), passes: "tried"},
		{name: "a wildcard beside a name", leaf: partner("*.partners.example.com", "a.partners.example.com"), passes: partners},
		{name: "another name", leaf: partner("a.example.com"), passes: "anybody tried"},
		{name: "commas in a name", leaf: raw(asn1.RawValue{Tag: dns, Bytes: []byte("x,a.partners.example.com")}), passes: partners},
		{name: "no names", leaf: testenv.Leaf{Usage: clientUse}, passes: "tried"},
		{name: "a name that is not ASCII", leaf: raw(asn1.RawValue{Tag: dns, Bytes: []byte("ä.partners.example.com")}), passes: "tried"},
		{name: "a workload", leaf: workload("spiffe://example.org/ns/prod/sa/billing"), passes: "workloads several tried"},
		{name: "a workload and a partner", leaf: testenv.Leaf{DNS: []string{"a.partners.example.com"}, URIs: []string{"spiffe://example.org/ns/prod/sa/billing"}, Usage: clientUse}, passes: "workloads " + partners},
		{name: "two SPIFFE IDs", leaf: workload("spiffe://example.org/ns/prod/sa/billing", "spiffe://example.org/ns/prod/sa/x"), passes: "tried"},
		{name: "a URI in another spelling", leaf: raw(asn1.RawValue{Tag: uri, Bytes: []byte("URN:example:billing")}), passes: "tried"},
		{name: "a URI that is no URI", leaf: raw(asn1.RawValue{Tag: uri, Bytes: []byte("urn:example:billing")}, asn1.RawValue{Tag: uri, Bytes: []byte("http://[a")}), passes: "tried"},
		{name: "a URI with a space", leaf: raw(asn1.RawValue{Tag: uri, Bytes: []byte("urn:example:billing")}, asn1.RawValue{Tag: uri, Bytes: []byte("http://a b/")}), passes: "tried"},
		{name: "another URI beside", leaf: workload("urn:example:other", "urn:example:billing"), passes: "workloads several tried"},
		{name: "staff", leaf: testenv.Leaf{Subject: pkix.Name{CommonName: "Zoë\r\nX-Org: root", Organization: []string{"Example"}, OrganizationalUnit: []string{"50% a,b"}}, Usage: clientUse}, passes: "staff tried"},
		{name: "staff of no unit", leaf: testenv.Leaf{Subject: pkix.Name{CommonName: "bob", Organization: []string{"Example"}}, Usage: clientUse}, passes: "tried"},
		{name: "two common names", leaf: staff(attribute(namedBy, asn1.TagUTF8String, "bob"), attribute(namedBy, asn1.TagUTF8String, "root"), attribute(organizedBy, asn1.TagUTF8String, "Example")), passes: "tried"},
		// Envoy reads these, and Gatewright does not.
		{name: "a text of another alphabet", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) {
			l.Subject.ExtraNames = []pkix.AttributeTypeAndValue{attribute(organizedBy, asn1.TagPrintableString, "a_b@c")}
		}), passes: "tried"},
		{name: "an extension that is critical and must not be", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) {
			l.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x01}}}
		}), passes: "tried"},
		{name: "an address", leaf: testenv.Leaf{Emails: []string{"Billing@example.com"}, Usage: clientUse}, passes: "mailed tried"},
		{name: "two addresses", leaf: raw(asn1.RawValue{Tag: email, Bytes: []byte("x@Example.com")}, asn1.RawValue{Tag: email, Bytes: []byte("y@example.com")}), passes: "mailed tried"},
		// What it is for, by whom, and since when, are the handshake's.
		{name: "a server's", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), refused: true},
		{name: "anything's", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), refused: true},
		{name: "code's", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), refused: true},
		{name: "nothing's in particular", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Usage = []x509.ExtKeyUsage{} }), passes: partners},
		{name: "revoked", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Serial = revoked }), refused: true},
		{name: "expired", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.NotAfter = time.Now().Add(-2 * time.Second) }), refused: true},
		{name: "a stranger's", leaf: partner("a.partners.example.com"), refused: true, by: testenv.NewCA(w.t)},
		{name: "a serial number of one byte", leaf: with(partner("a.partners.example.com"), func(l *testenv.Leaf) { l.Serial = big.NewInt(7) }), passes: partners},
	}
}

// issued is a certificate that Go itself need not be able to read.
func (w *certificateTwins) issued(c shownCase) *tls.Certificate {
	w.t.Helper()
	by := w.clients
	if c.by != nil {
		by = c.by
	}
	cert, key := by.Issue(c.leaf)
	block, _ := pem.Decode(cert)
	secret, _ := pem.Decode(key)
	private, err := x509.ParsePKCS8PrivateKey(secret.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: private}
}

// besideCertificates are what a request may show beside its certificate.
func (w *certificateTwins) besideCertificates() [][]header {
	good := placementCases()[0].request(0).headers[1]
	return [][]header{
		{good},
		{bearer("x.y.z")},
		{{"Authorization", "Basic YTpi"}},
		{{"Authorization", ""}},
		{w.key.header()},
		{{"X-API-Key", ""}},
		{good, w.key.header()},
		{{"X-User-ID", "root"}, {"X-Partner", "root"}, {"X-Tenant-ID", "other"}, {"X-Fingerprint", "00"}, {"X-Forwarded-Client-Cert", "Hash=00;DNS=a.partners.example.com"}, {"X-Gatewright-Certificate", "1"}},
		{{"Cookie", "a=b"}, {"Proxy-Authorization", "Bearer x"}},
	}
}

// TestPlacementsAgreeOnCertificates: whoever shows whatever certificate gets the same
// answer, for the same reason, and a backend is told the same, wherever its policy runs;
// and who is let pass is asked about once.
func TestPlacementsAgreeOnCertificates(t *testing.T) {
	t.Parallel()
	w := startCertificateTwins(t)
	for _, c := range w.shownCases() {
		t.Run(c.name, func(t *testing.T) {
			certificate := w.issued(c)
			for _, protocol := range []string{"http/1.1", "h2"} { // what has been seen once is remembered
				by := w.shownOver(c.name, protocol, certificate)
				for _, route := range certificateRoutes {
					answer, ok := w.compareShown(t, by, "/"+route)
					if ok == c.refused {
						t.Fatalf("it is answered: %t", ok)
					}
					if passes := slices.Contains(strings.Fields(c.passes), route); ok && (answer.status == http.StatusOK) != passes {
						t.Errorf("%s: %d, and passes is %t", route, answer.status, passes)
					}
				}
			}
		})
	}
	partner := w.issued(shownCase{leaf: testenv.Leaf{DNS: []string{"c.partners.example.com"}, Usage: clientUse}})
	for name, certificate := range map[string]*tls.Certificate{"a partner": partner, "nobody": nil} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			by := w.shownOver(name, protocol, certificate)
			for _, route := range certificateRoutes {
				for _, beside := range append([][]header{nil, nil}, w.besideCertificates()...) {
					w.compareShown(t, by, "/"+route, beside...)
				}
			}
		}
	}
	w.askNothing(t, partner)
	w.compareLogs(t)
	t.Logf("%d pairs; one has asked about %d, the other about %d; %v", len(w.asked), checks(t, w.one), checks(t, w.other), w.answers)
}

// compareLogs compares what the access logs say of each request.
func (w *certificateTwins) compareLogs(t *testing.T) {
	t.Helper()
	one, other := w.logged(t, w.one), w.logged(t, w.other)
	for i, asked := range w.asked {
		agent := fmt.Sprint("pair/", i)
		if one[agent] == "" || one[agent] != other[agent] {
			t.Errorf("of %s\nlogged when asked:\n%s\nlogged in Envoy:\n%s", asked, one[agent], other[agent])
		}
	}
}

// logged are the lines of a gateway's log without what is passing, by the user agents,
// once the last request is there. Of a request that was asked anew the last one counts.
func (w *certificateTwins) logged(t *testing.T, g *gateway) map[string]string {
	t.Helper()
	lines := map[string]string{}
	for agent, line := range pairLines(t, g, len(w.asked)) {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		lines[agent] = string(text)
	}
	return lines
}

// askNothing fails where the gateway is asked about a certificate that its Envoy knows.
func (w *certificateTwins) askNothing(t *testing.T, certificate *tls.Certificate) {
	t.Helper()
	by := w.shownOver("a partner", "h2", certificate)
	before := checks(t, w.other)
	for range 5 {
		for _, route := range []string{"partners", "anybody", "several", "before", "behind", "keyed", "tried"} {
			w.compareShown(t, by, "/"+route)
		}
	}
	if n := checks(t, w.other) - before; n != 0 {
		t.Errorf("the gateway was asked about %d requests whose certificate is known", n)
	}
}
