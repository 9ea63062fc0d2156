package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// written writes a file of a test, and returns its path.
func written(t *testing.T, content ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, bytes.Join(content, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReadPair: what Envoy is given is the certificates and the key, and nothing
// else of the files.
func TestReadPair(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	cert, key := ca.Issue(testenv.Leaf{DNS: []string{"edge.example.com"}})
	now := time.Now()
	pair, problem := ReadPair(written(t, []byte("subject=/CN=edge\n"), cert, ca.PEM), written(t, []byte("Bag Attributes\n"), key), now)
	if problem != nil {
		t.Fatal(problem)
	}
	if !bytes.Equal(pair.Chain, append(bytes.Clone(cert), ca.PEM...)) || !bytes.Equal(pair.Key, key) || pair.Leaf.DNSNames[0] != "edge.example.com" {
		t.Errorf("it reads %s%s of %v", pair.Chain, pair.Key, pair.Leaf.DNSNames)
	}
	_, otherKey := ca.Issue(testenv.Leaf{})
	clientCert, clientKey := ca.Issue(testenv.Leaf{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for name, c := range map[string]struct {
		cert, key string
		at        time.Time
		part      Part
		rule      string
	}{
		"no certificate":   {filepath.Join(t.TempDir(), "none"), written(t, key), now, Cert, "must be a file that is there"},
		"no key":           {written(t, cert), filepath.Join(t.TempDir(), "none"), now, Key, "must be a file that is there"},
		"a folder":         {t.TempDir(), written(t, key), now, Cert, "must be a file, not"},
		"half":             {written(t, cert[:len(cert)/2]), written(t, key), now, Cert, "must have whole blocks"},
		"half a chain":     {written(t, cert, cert[:30], cert), written(t, key), now, Cert, "must have whole blocks"},
		"empty":            {written(t), written(t, key), now, Cert, "must have a CERTIFICATE"},
		"swapped":          {written(t, key), written(t, cert), now, Cert, "is a PRIVATE KEY"},
		"another's key":    {written(t, cert), written(t, otherKey), now, Key, "does not match"},
		"garbage key":      {written(t, cert), written(t, []byte("-----BEGIN PRIVATE KEY-----\nSECRET==\n-----END PRIVATE KEY-----\n")), now, Key, "must be the private key"},
		"garbage block":    {written(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), written(t, key), now, Cert, "block 1 is no certificate"},
		"huge":             {written(t, cert, bytes.Repeat([]byte("\n"), MaxFile)), written(t, key), now, Cert, "at most"},
		"expired":          {written(t, cert), written(t, key), now.Add(2 * time.Hour), Cert, "expired on"},
		"not yet valid":    {written(t, cert), written(t, key), now.Add(-2 * time.Hour), Cert, "is not valid before"},
		"for clients only": {written(t, clientCert), written(t, clientKey), now, Cert, "must be a certificate for servers"},
	} {
		_, problem := ReadPair(c.cert, c.key, c.at)
		switch {
		case problem == nil:
			t.Errorf("%s: it is taken", name)
		case problem.Part != c.part || !strings.Contains(problem.Rule, c.rule):
			t.Errorf("%s: %s: %s", name, problem.Part, problem.Rule)
		case strings.Contains(problem.Rule, "SECRET"):
			t.Errorf("%s: the key is told: %s", name, problem.Rule)
		}
	}
}

// TestReadAuthorities: one that is passed over is an outage, and one without its
// list of revocations is, too.
func TestReadAuthorities(t *testing.T) {
	t.Parallel()
	ca, other := testenv.NewCA(t), testenv.NewCA(t)
	now := time.Now()
	leaf, _ := ca.Issue(testenv.Leaf{})
	crl := func(of *testenv.CA, next time.Time) []byte {
		return of.Revoke(now.Add(-time.Minute), next, big.NewInt(7))
	}
	soon := now.Add(time.Hour)
	got, problem := ReadAuthorities(written(t, ca.PEM, other.PEM), written(t, crl(ca, soon), crl(other, soon)), now)
	if problem != nil {
		t.Fatal(problem)
	}
	if !bytes.Equal(got.CA, append(bytes.Clone(ca.PEM), other.PEM...)) || bytes.Count(got.CRL, []byte("BEGIN X509 CRL")) != 2 {
		t.Errorf("it reads %s%s", got.CA, got.CRL)
	}
	for name, c := range map[string]struct {
		ca, crl string
		at      time.Time
		part    Part
		rule    string
	}{
		"none":                  {filepath.Join(t.TempDir(), "none"), "", now, CA, "must be a file that is there"},
		"a leaf":                {written(t, ca.PEM, leaf), "", now, CA, "block 2 is the certificate of"},
		"all expired":           {written(t, ca.PEM), "", now.Add(3 * time.Hour), CA, "expired on"},
		"no list":               {written(t, ca.PEM), filepath.Join(t.TempDir(), "none"), now, CRL, "must be a file that is there"},
		"a list of one alone":   {written(t, ca.PEM, other.PEM), written(t, crl(ca, soon)), now, CRL, "must have a list of"},
		"a stranger's list":     {written(t, ca.PEM), written(t, crl(other, soon)), now, CRL, "is not signed"},
		"a list of yesterday":   {written(t, ca.PEM), written(t, crl(ca, now.Add(-time.Second))), now, CRL, "expired on"},
		"a list that is none":   {written(t, ca.PEM), written(t, leaf), now, CRL, "is a CERTIFICATE"},
		"a list that is broken": {written(t, ca.PEM), written(t, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")})), now, CRL, "is no revocation list"},
	} {
		_, problem := ReadAuthorities(c.ca, c.crl, c.at)
		if problem == nil {
			t.Errorf("%s: it is taken", name)
		} else if problem.Part != c.part || !strings.Contains(problem.Rule, c.rule) {
			t.Errorf("%s: %s: %s", name, problem.Part, problem.Rule)
		}
	}
}

// TestSumOf: every change of a file is another state, and so is that it is gone.
func TestSumOf(t *testing.T) {
	t.Parallel()
	a, b := written(t, []byte("a")), written(t, []byte("b"))
	seen := map[Sum]string{}
	for name, paths := range map[string][]string{"a b": {a, b}, "b a": {b, a}, "a": {a}, "gone": {filepath.Join(t.TempDir(), "x")}, "empty": {written(t)}, "folder": {t.TempDir()}} {
		sum := SumOf(paths...)
		if seen[sum] != "" {
			t.Errorf("%s is %s", name, seen[sum])
		}
		if sum != SumOf(paths...) {
			t.Errorf("%s changes by itself", name)
		}
		seen[sum] = name
	}
}

// TestSPIFFEIDs holds names to the form of the SPIFFE-ID document, section 2.
func TestSPIFFEIDs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"spiffe://example.org/a", "spiffe://a_b-c.1/Ns/x.y_z-1", "spiffe://example.org/..a", "spiffe://example.org/" + strings.Repeat("a", 2000)} {
		if _, err := ParseSPIFFEID(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "spiffe:", "spiffe://", "spiffe:///a", "spiffe://example.org", "spiffe://example.org/", "spiffe://example.org/a/", "spiffe://example.org//a",
		"spiffe://example.org/a//b", "spiffe://example.org/.", "spiffe://example.org/a/../b", "spiffe://example.org/%61", "spiffe://example.org/a?b", "spiffe://example.org/a?",
		"spiffe://example.org/a#", "spiffe://example.org:80/a", "spiffe://u@example.org/a", "spiffe://Example.org/a", "SPIFFE://example.org/a", "http://example.org/a",
		"spiffe://example.org/ä", "spiffe://example.org/a b", "spiffe://example.org/*", "spiffe://example.org/**", "spiffe://[::1]/a", "spiffe://exa%6dple.org/a",
		"spiffe://example.org/" + strings.Repeat("a", 2048), "spiffe://" + strings.Repeat("a", 256) + "/a",
	} {
		if id, err := ParseSPIFFEID(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, id)
		}
	}
}

func TestSPIFFEPatterns(t *testing.T) {
	t.Parallel()
	for pattern, cases := range map[string]map[string]bool{
		"spiffe://a/b":      {"spiffe://a/b": true, "spiffe://a/B": false, "spiffe://a/b/c": false, "spiffe://ab/b": false, "spiffe://a/bb": false},
		"spiffe://a/*/c":    {"spiffe://a/b/c": true, "spiffe://a/c": false, "spiffe://a/b/b/c": false, "spiffe://a/b/c/d": false},
		"spiffe://a/b/**":   {"spiffe://a/b/c": true, "spiffe://a/b/c/d": true, "spiffe://a/b": false, "spiffe://a/bc/d": false},
		"spiffe://a/**":     {"spiffe://a/b": true, "spiffe://b/b": false},
		"spiffe://a/*/**":   {"spiffe://a/b": false, "spiffe://a/b/c": true},
		"spiffe://a.b/ns/*": {"spiffe://a.b/ns/x": true, "spiffe://axb/ns/x": false},
	} {
		p, err := ParseSPIFFEPattern(pattern)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		for name, want := range cases {
			id, err := ParseSPIFFEID(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Takes(id); got != want {
				t.Errorf("%s takes %s: %v", pattern, name, got)
			}
		}
	}
	for _, bad := range []string{"spiffe://*/a", "spiffe://a/**/b", "spiffe://a/b*", "spiffe://a/"} {
		if _, err := ParseSPIFFEPattern(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestReadClientPair: a certificate for servers alone is none to show as a client.
func TestReadClientPair(t *testing.T) {
	t.Parallel()
	ca := testenv.NewCA(t)
	for name, c := range map[string]struct {
		usage []x509.ExtKeyUsage
		taken bool
	}{
		"for clients": {[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, true}, "for both": {nil, true},
		"for anything": {[]x509.ExtKeyUsage{x509.ExtKeyUsageAny}, true}, "for servers": {[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, false},
	} {
		cert, key := ca.Issue(testenv.Leaf{Usage: c.usage})
		if _, problem := ReadClientPair(written(t, cert), written(t, key), time.Now()); (problem == nil) != c.taken {
			t.Errorf("%s: %v", name, problem)
		}
	}
}

// TestReadSystemRoots: what is in the machine's bundle and is no authority, or none
// any more, is passed over, and nothing is trusted for it.
func TestReadSystemRoots(t *testing.T) {
	ca := testenv.NewCA(t)
	leaf, _ := ca.Issue(testenv.Leaf{})
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	t.Setenv("SSL_CERT_FILE", written(t, []byte("# Everybody\n"), garbage, leaf, ca.PEM))
	roots, problem := ReadSystemRoots(time.Now())
	if problem != nil || !bytes.Equal(roots.CA, ca.PEM) || !roots.NotAfter.IsZero() {
		t.Errorf("%v, %+v", problem, roots)
	}
	if _, problem := ReadSystemRoots(time.Now().Add(2 * time.Hour)); problem == nil {
		t.Error("one that has expired is taken")
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "none"))
	if _, problem := ReadSystemRoots(time.Now()); problem == nil || problem.Rule != noSuchFile {
		t.Errorf("no file: %v", problem)
	}
	// The machine of the tests has one.
	t.Setenv("SSL_CERT_FILE", "")
	if path, found := SystemRoots(); found {
		if _, problem := ReadSystemRoots(time.Now()); problem != nil {
			t.Errorf("%s: %v", path, problem)
		}
	}
}
