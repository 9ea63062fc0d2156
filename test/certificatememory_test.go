package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// remembering is an Envoy with the script that remembers certificates, of which a
// generation has few.
type remembering struct {
	*pems
	addr    string
	clients *testenv.CA
}

const fewCertificates = 3

func startRemembering(t *testing.T) remembering {
	t.Helper()
	w := remembering{newPEMs(t), testenv.Addr(t), testenv.NewCA(t)}
	w.server("edge", "edge.example.com")
	w.write("clients.pem", w.clients.PEM)
	text := string(readFile(t, "../xds/certificates.lua"))
	const bound = "local most = 1024 "
	if strings.Count(text, bound) != 1 {
		t.Fatal("the script has another bound")
	}
	script, err := json.Marshal(strings.Replace(text, bound, fmt.Sprintf("local most = %d ", fewCertificates), 1))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(w.addr)
	foreignEnvoy(t, "testdata/certificates.yaml", map[string]any{"port": port, "certs": w.folder, "script": string(script), "policies": strings.Split("abcdefgh", "")}, w.addr)
	return w
}

// told has the script hear a verdict: of this policy, on the certificate's end.
func told(policy string, expires time.Time) []header {
	return []header{{"X-Judged-By", policy}, {"X-Expires", fmt.Sprint(expires.Unix())}}
}

// TestCertificatesAreRemembered: by policy and certificate, in front of their end, for who
// shows nothing else; and of many those that were shown last.
func TestCertificatesAreRemembered(t *testing.T) {
	t.Parallel()
	w := startRemembering(t)
	shown, another := w.clients.Pair(testenv.Leaf{}), w.clients.Pair(testenv.Leaf{})
	ask := func(certificate *tls.Certificate, policy string, headers ...header) string {
		t.Helper()
		var all []tls.Certificate
		if certificate != nil {
			all = append(all, *certificate)
		}
		r := mustAsk(t, w.client("edge.example.com", false, all...), "https://"+w.addr+"/"+policy, headers...)
		return strings.TrimSpace(r.Header.Get("x-caller") + " " + r.Header.Get("x-partner"))
	}
	known := func(policy string) string { return policy + " bob b%,ö" }
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	unknown := ask(&shown, "a")
	want("at first", ask(&shown, "a", told("b", time.Now().Add(time.Hour))...), unknown)
	want("told of another policy", ask(&shown, "a", header{"X-Judged-By", "a"}), unknown)
	want("told of no certificate", ask(&shown, "a", told("a", time.Now())...), unknown)
	want("told of one that ends now", ask(&shown, "a", told("a", time.Now().Add(time.Hour))...), unknown)
	want("told", ask(&shown, "a"), known("a"))
	want("told once", ask(&shown, "a", header{"X-Partner", "root"}), known("a"))
	want("another policy", ask(&shown, "b"), unknown)
	want("another certificate", ask(&another, "a"), unknown)
	want("none", ask(nil, "a"), unknown)
	for _, h := range []header{{"Authorization", "Bearer x"}, {"authorization", ""}, {"X-API-Key", ""}} {
		want("beside "+h.name, ask(&shown, "a", h), unknown)
	}
	// Each of these makes it forget, but for those that are shown again.
	for _, policy := range strings.Split("bcdefgh", "") {
		ask(&shown, policy, told(policy, time.Now().Add(time.Hour))...)
		want("shown again", ask(&shown, "a"), known("a"))
	}
	want("the last", ask(&shown, "h"), known("h"))
	want("the first, not shown again", ask(&shown, "b"), unknown)
	remembered := 0
	for _, policy := range strings.Split("abcdefgh", "") {
		if ask(&shown, policy) != unknown {
			remembered++
		}
	}
	if remembered > 2*fewCertificates {
		t.Errorf("%d are remembered, of two generations of %d", remembered, fewCertificates)
	}
}
