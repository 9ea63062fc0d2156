package test

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bindingKey is the key of an account at an authority, as it gives them out.
const bindingKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

const selfIssued = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
  - name: by-tls
    address: "{{listen "by-tls"}}"
    tls:
      certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]
      acme: &authority
        domains: [api.example.com, shop.example.com, blocked.example.com, elsewhere.example.com]
        agreeTermsOfService: true
        email: ops@example.com
        directory: "{{.directory}}"
        ca: {{.ca}}
        externalAccountBinding: {keyID: kid-1, keyEnv: BINDING_KEY}
  - name: by-http
    address: "{{listen "by-http"}}"
    tls:
      acme:
        domains: [www.example.com]
        agreeTermsOfService: true
        email: ops@example.com
        directory: "{{.directory}}"
        ca: {{.ca}}
        challenge: http-01
        externalAccountBinding: {keyID: kid-1, keyEnv: BINDING_KEY}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey: {partners: {from: {header: X-API-Key}}}
routes:
  - {name: all, match: {path: /**}, auth: {anyOf: [{apiKey: partners}]}, to: [{backend: app}]}
  - {name: moved, match: {methods: [GET], path: /**}, auth: public, redirect: {scheme: https}}
`

// TestACME: certificates are obtained from an authority that sees the names lead
// here, by TLS and by HTTP, through the Envoy that serves, before identity and
// redirects. A name that cannot be proved holds up no other.
func TestACME(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.server("first", "files.example.com")
	// The authority must know the gateway's ports, and the gateway the authority's.
	g := prepared(t, setup{config: selfIssued, env: []string{"BINDING_KEY=" + bindingKey},
		values: map[string]string{"app": backend(t, "app").Addr(), "certs": p.folder, "directory": "https://unset.example/", "ca": p.path("first.crt")}})
	a := pebble{
		asksHTTP: g.listeners["plain"], asksTLS: g.listeners["by-tls"], blocked: []string{"blocked.example.com"},
		bindings: map[string]string{"kid-1": bindingKey},
	}.start(t)
	dns, err := names()
	if err != nil {
		t.Fatal(err)
	}
	dns.AddDNSARecord("elsewhere.example.com", []string{"127.0.0.77"}) // nobody is there
	g.values["directory"], g.values["ca"] = a.directory, a.caFile
	g.write(selfIssued)
	g.begin()
	for name, listener := range map[string]string{"api.example.com": "by-tls", "shop.example.com": "by-tls", "www.example.com": "by-http"} {
		leaf := a.obtained(g, listener, name)
		if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != name {
			t.Errorf("%s has a certificate for %v", name, leaf.DNSNames)
		}
	}
	// The certificate of the file is served beside them, and to who asks for no name.
	for name, want := range map[string]string{"files.example.com": "files.example.com", "": "files.example.com", "unknown.example.com": "files.example.com"} {
		state, err := g.dialed("by-tls", &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil || state.PeerCertificates[0].DNSNames[0] != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	// Whom nobody vouches for has a stand-in, and why is told.
	for _, name := range []string{"blocked.example.com", "elsewhere.example.com"} {
		if err := standsIn(g, "by-tls", name); err != nil {
			t.Error(err)
		}
	}
	g.statusSays("acme:blocked.example.com")
	g.statusSays("rejectedIdentifier")
	g.statusSays("Failed to connect to 127.0.0.77")
	if m := g.metrics(); !strings.Contains(m, `gatewright_acme_tries_total{result="obtained"} 3`) || !strings.Contains(m, `gatewright_tls_certificate_expiry_timestamp_seconds{certificate="acme:api.example.com"}`) {
		t.Error("the metrics do not tell of it")
	}
	checkChallengesEnd(t, g)
	checkKeysStayInside(t, g)
}

// checkChallengesEnd: what no authority has asked for is not there, and who asks by
// the protocol of proofs is served nothing.
func checkChallengesEnd(t *testing.T, g *gateway) {
	t.Helper()
	for _, path := range []string{"", "x", "../../x", "%2e%2e/x", strings.Repeat("a", 4000), "x?y=z"} {
		if r := get(t, g.url("plain", "/.well-known/acme-challenge/"+path)); r.Status != http.StatusNotFound && r.Status != http.StatusBadRequest && r.Status != http.StatusFound {
			t.Errorf("%.40q: status %d: %s", path, r.Status, r.Body)
		}
	}
	get(t, g.url("plain", "/.well-known/acme-challenge/x")).denied(t, 404, "route-not-found")
	if line := g.logged("/.well-known/acme-challenge/x"); line["route"] != "gatewright.challenge" {
		t.Errorf("it is logged as %v", line["route"])
	}
	conn, err := tls.Dial("tcp", g.listeners["by-tls"], &tls.Config{ServerName: "api.example.com", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if r, err := spoken(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err == nil && r.Status != http.StatusNotFound {
		t.Errorf("status %d", r.Status)
	}
}

// checkKeysStayInside: nobody but the owner can read the files, and no key of them
// is told.
func checkKeysStayInside(t *testing.T, g *gateway) {
	t.Helper()
	status, _ := g.command("status", "-o", "json").CombinedOutput() // it is not content, and says so
	told := g.stdout.String() + g.stderr.String() + g.metrics() + string(g.run("render", g.file)) + string(status)
	files := 0
	err := filepath.WalkDir(filepath.Join(g.dir, "state", "acme"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		if e.IsDir() {
			return nil
		}
		files++
		content, err := os.ReadFile(path)
		for _, line := range strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' || r == '"' || r == '\\' }) {
			if len(line) > 40 && strings.Contains(string(content[:60]), "PRIVATE") && strings.Contains(told, line) {
				t.Errorf("%s: a line of it is told", path)
			}
		}
		return err
	})
	if err != nil || files < 4 { // three certificates and an account
		t.Errorf("%d files are kept, %v", files, err)
	}
	if strings.Contains(told, bindingKey) {
		t.Error("the key of the account is told")
	}
}

const oneDomain = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
  - name: secure
    address: "{{listen "secure"}}"
    tls:
      acme: {domains: [{{.domain}}], agreeTermsOfService: true, directory: "{{.directory}}", ca: {{.ca}}, challenge: {{.challenge}}, renewBefore: 1h}
routes:
  - {name: all, match: {path: /**}, auth: public, respond: {status: 204}}
`

// oneDomainValues are for oneDomain before there is an authority.
func oneDomainValues(t testing.TB, domain, challenge string) map[string]string {
	p := newPEMs(t)
	p.server("any", domain)
	return map[string]string{"domain": domain, "challenge": challenge, "directory": "https://unset.example/", "ca": p.path("any.crt")}
}

// begin starts a gateway that was prepared, as start does.
func (g *gateway) begin() {
	g.t.Helper()
	g.launch("run")
	g.waitReady()
	g.t.Cleanup(func() {
		g.stop()
		if g.t.Failed() {
			g.t.Logf("standard error of the gateway:\n%s", g.stderr)
		}
	})
}

// knowing tells a gateway of its authority.
func (g *gateway) knowing(a *authority, config string) {
	g.t.Helper()
	g.values["directory"], g.values["ca"] = a.directory, a.caFile
	g.write(config)
}

// TestACMERenews: a certificate is renewed before it ends, again and again, and no
// handshake fails meanwhile.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	g := prepared(t, setup{config: oneDomain, values: oneDomainValues(t, "api.example.com", "tls-alpn-01")})
	a := pebble{asksTLS: g.listeners["secure"], lifetime: 6 * time.Second}.start(t)
	g.knowing(a, oneDomain)
	g.begin()
	first := a.obtained(g, "secure", "api.example.com")
	var handshakes, failed atomic.Int64
	ended := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if _, err := a.shown(g, "secure", "api.example.com"); err != nil {
				failed.Add(1)
				t.Error("meanwhile: ", err)
			}
			handshakes.Add(1)
		}
	})
	known := map[string]bool{first.SerialNumber.String(): true}
	eventually(t, "it is renewed twice", func() error {
		leaf, err := a.shown(g, "secure", "api.example.com")
		if err != nil {
			return err
		}
		if known[leaf.SerialNumber.String()] = true; len(known) < 3 {
			return fmt.Errorf("%d certificates so far", len(known))
		}
		return nil
	})
	close(ended)
	asking.Wait()
	if failed.Load() > 0 || handshakes.Load() < 20 {
		t.Errorf("%d of %d handshakes failed", failed.Load(), handshakes.Load())
	}
}

// TestACMEWithoutAuthority: while the authority is away all else is served, by the
// certificate that there was before, or by a stand-in where there was none; it is
// told; and asked again.
func TestACMEWithoutAuthority(t *testing.T) {
	t.Parallel()
	g := prepared(t, setup{config: oneDomain, values: oneDomainValues(t, "api.example.com", "http-01")})
	early := pebble{asksHTTP: g.listeners["plain"]}.start(t)
	addr := early.server.Listener.Addr().String()
	early.stop()
	g.knowing(early, oneDomain)
	g.begin()
	if r := get(t, g.url("plain", "/1")); r.Status != http.StatusNoContent {
		t.Errorf("without TLS: status %d", r.Status)
	}
	if err := standsIn(g, "secure", "api.example.com"); err != nil {
		t.Error(err)
	}
	g.statusSays("not obtained yet")
	g.statusSays("connection refused")
	if out, err := g.command("status").CombinedOutput(); err == nil {
		t.Errorf("status finds it well:\n%s", out)
	}
	late := pebble{asksHTTP: g.listeners["plain"], addr: addr}.start(t)
	// Who vouches for the authority has changed, too: the file is read at each try.
	before, err := os.ReadFile(late.caFile)
	if err == nil {
		err = os.WriteFile(early.caFile, before, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	leaf := late.obtained(g, "secure", "api.example.com")
	late.stop()
	g.stop()
	g.launch("run")
	g.waitReady()
	if again, err := late.shown(g, "secure", "api.example.com"); err != nil || again.SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Errorf("started anew, it is not served: %v", err)
	}
}

// TestACMEOverAFleet: gateways that share a folder answer for each other, and of one
// domain one of them obtains the certificate, which all serve.
func TestACMEOverAFleet(t *testing.T) {
	t.Parallel()
	shared := t.TempDir()
	var fleet []*gateway
	for range 2 {
		fleet = append(fleet, prepared(t, setup{config: oneDomain, env: []string{"GATEWRIGHT_ACME_DIR=" + shared}, values: oneDomainValues(t, "api.example.com", "tls-alpn-01")}))
	}
	// Wherever a certificate is obtained, the second is asked.
	a := pebble{asksTLS: fleet[1].listeners["secure"]}.start(t)
	for _, g := range fleet {
		g.knowing(a, oneDomain)
		g.begin()
	}
	first := a.obtained(fleet[0], "secure", "api.example.com")
	if second := a.obtained(fleet[1], "secure", "api.example.com"); second.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("each has one of its own")
	}
	// One that only the first is told of is proved by the second, too.
	fleet[0].values["domain"] = "api.example.com, other.example.com"
	fleet[0].write(oneDomain)
	fleet[1].values["domain"] = "other.example.com, api.example.com"
	fleet[1].write(oneDomain)
	other := a.obtained(fleet[0], "secure", "other.example.com")
	if leaf := a.obtained(fleet[1], "secure", "other.example.com"); leaf.SerialNumber.Cmp(other.SerialNumber) != 0 {
		t.Error("each has one of its own")
	}
}
