package test

import (
	"crypto/tls"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// pems writes certificates for a gateway's listeners into a folder of the test.
type pems struct {
	t      testing.TB
	folder string
	ca     *testenv.CA // of servers
}

func newPEMs(t testing.TB) *pems {
	t.Helper()
	return &pems{t: t, folder: t.TempDir(), ca: testenv.NewCA(t)}
}

func (p *pems) path(name string) string { return filepath.Join(p.folder, name) }

func (p *pems) write(name string, content ...[]byte) {
	p.t.Helper()
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	testenv.ReplaceFile(p.t, p.path(name), all)
}

// server makes a server's certificate, NAME.crt and NAME.key.
func (p *pems) server(name string, dns ...string) {
	p.t.Helper()
	p.ca.IssueFiles(testenv.Leaf{DNS: dns}, p.path(name+".crt"), p.path(name+".key"))
}

// client trusts the servers of these files, and shows a certificate if there is
// one, also where the server names other authorities. Each request has a
// connection of its own unless keep is set.
func (p *pems) client(serverName string, keep bool, certificates ...tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: p.ca.Pool(), ServerName: serverName, MinVersion: tls.VersionTLS12}
	if len(certificates) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: !keep}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// askedBy is the answer to a GET, and the connection's state.
func askedBy(c *http.Client, url string, headers ...header) (reply, *tls.ConnectionState, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return reply{}, nil, err
	}
	for _, h := range headers {
		if h.name == "Host" {
			req.Host = h.value
		} else {
			req.Header.Add(h.name, h.value)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, nil, err
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, resp.TLS, nil
}

func mustAsk(t testing.TB, c *http.Client, url string, headers ...header) reply {
	t.Helper()
	r, _, err := askedBy(c, url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (g *gateway) secureURL(listener, path string) string {
	g.t.Helper()
	addr := g.listeners[listener]
	if addr == "" {
		g.t.Fatalf("no listener %q", listener)
	}
	return "https://" + addr + path
}

// dialed is the state of a handshake with a listener.
func (g *gateway) dialed(listener string, c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", g.listeners[listener], c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// serialOf is the serial number of the certificate that a server shows.
func serialOf(s *tls.ConnectionState) string { return s.PeerCertificates[0].SerialNumber.String() }

// filesUnder are the contents of all files of a folder.
func filesUnder(t testing.TB, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		all[path] = string(readFile(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
