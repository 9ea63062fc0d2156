package door_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestWhoComesIn: nobody without a certificate of the one authority, made for
// clients and not expired; and the server goes on afterwards.
func TestWhoComesIn(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings)
	edge := testenv.Leaf{DNS: []string{"edge-7"}}
	right := ca.Pair(edge)
	strangers := testenv.NewCA(t)
	expired, forServers := edge, edge
	expired.NotAfter = time.Now().Add(-time.Minute)
	forServers.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	old := func(c *tls.Config) *grpc.ClientConn {
		c.Certificates, c.RootCAs, c.ServerName = []tls.Certificate{right}, ca.Pool(), "gatewright.internal"
		return h.clientWith(c)
	}
	for name, conn := range map[string]*grpc.ClientConn{
		"no certificate":               h.client(),
		"of another authority":         h.client(strangers.Pair(edge)),
		"expired":                      h.client(ca.Pair(expired)),
		"made for servers":             h.client(ca.Pair(forServers)),
		"no TLS":                       h.dial(h.addr, insecure.NewCredentials()),
		"TLS 1.1":                      old(&tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}),
		"a cipher suite without AEAD":  old(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}),
		"a cipher suite without ECDHE": old(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}),
	} {
		t.Run(name, func(t *testing.T) {
			before := h.refused("handshake")
			if err := check(soon(t), conn); status.Code(err) != codes.Unavailable {
				t.Errorf("a unary call: %v, want Unavailable", err)
			}
			if _, err := deltaFirst(soon(t), conn, &corev3.Node{Id: "edge-7"}); status.Code(err) != codes.Unavailable {
				t.Errorf("a stream: %v, want Unavailable", err)
			}
			eventually(t, "it is counted", func() error {
				if h.refused("handshake") == before {
					return errors.New("it is not")
				}
				return nil
			})
		})
	}
	for name, conn := range map[string]*grpc.ClientConn{
		"TLS 1.3":                  h.client(right),
		"TLS 1.2":                  old(&tls.Config{MaxVersion: tls.VersionTLS12}),
		"a socket of this machine": h.local(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(soon(t), conn); err != nil {
				t.Errorf("a unary call: %v", err)
			}
			if _, err := deltaFirst(soon(t), conn, &corev3.Node{Id: "edge-7"}); err != nil {
				t.Errorf("a stream: %v", err)
			}
		})
	}
	if n := strings.Count(h.log.String(), "refused on the gRPC port"); n != 1 {
		t.Errorf("%d lines in the log for one peer in one minute, want 1", n)
	}
}

// TestCallsAreCheckedToo: should a handshake ever let somebody through without
// a certificate, no call does.
func TestCallsAreCheckedToo(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings, door.WithoutHandshake)
	conn := h.dial(h.addr, insecure.NewCredentials())
	if err := check(soon(t), conn); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a unary call: %v, want Unauthenticated", err)
	}
	if _, err := deltaFirst(soon(t), conn, &corev3.Node{Id: "edge-7"}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an incremental stream: %v, want Unauthenticated", err)
	}
	if err := sotwFirst(soon(t), conn, &corev3.Node{Id: "edge-7"}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream: %v, want Unauthenticated", err)
	}
	if err := accessLog(soon(t), conn, nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an access log: %v, want Unauthenticated", err)
	}
	if n := h.refused("no-certificate"); n != 4 {
		t.Errorf("%v were counted, want 4", n)
	}
}

// TestHandshakesEnd: a stranger who says nothing, or half of something, does
// not hold a connection.
func TestHandshakesEnd(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings, door.WithShortHandshake)
	for name, said := range map[string]string{"nothing": "", "half of a hello": "\x16\x03\x01\x02\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, said); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) || isTimeout(err) {
				t.Errorf("got %v, want the end of the connection", err)
			}
		})
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestSettingsThatAreHalf: half a TLS is refused, with the name of what lacks.
func TestSettingsThatAreHalf(t *testing.T) {
	t.Parallel()
	_, whole := withTLS(t)
	_, other := withTLS(t)
	with := func(change func(*door.Settings)) door.Settings {
		s := whole
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		settings door.Settings
		want     []string
	}{
		"no key":            {with(func(s *door.Settings) { s.Key = "" }), []string{"GATEWRIGHT_GRPC_KEY: not set, though GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_CA are"}},
		"an authority only": {door.Settings{CA: whole.CA}, []string{"GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_KEY: not set, though GATEWRIGHT_GRPC_CA is"}},
		"bound to nothing":  {door.Settings{BindNodeID: true}, []string{"GATEWRIGHT_GRPC_BIND_NODE_ID=true", "no certificate"}},
		"no such file":      {with(func(s *door.Settings) { s.CA = "/no/such/ca.pem" }), []string{"GATEWRIGHT_GRPC_CA", "/no/such/ca.pem", "no such file"}},
		"not its key":       {with(func(s *door.Settings) { s.Key = other.Key }), []string{"GATEWRIGHT_GRPC_CERT=" + whole.Cert, "GATEWRIGHT_GRPC_KEY=" + other.Key, "does not match"}},
		"a key as an authority": {with(func(s *door.Settings) { s.CA = whole.Key }), []string{
			"GATEWRIGHT_GRPC_CA=" + whole.Key, "block 1 is a PRIVATE KEY, must be a CERTIFICATE"}},
		"no PEM": {with(func(s *door.Settings) { s.CA = "settings.go" }), []string{"GATEWRIGHT_GRPC_CA=settings.go", "no certificate in PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := door.New(c.settings, nil, prometheus.NewRegistry())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("it is not said that %q: %v", want, err)
				}
			}
		})
	}
}

// TestWithoutTLS: a door without certificates asks for none.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	if err := check(soon(t), h.dial(h.addr, insecure.NewCredentials())); err != nil {
		t.Error(err)
	}
}

// TestExpiryIsSeen: when the certificate ends is a metric, and one that has
// ended is told at the start, which it does not stop.
func TestExpiryIsSeen(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	ended := time.Now().Add(-time.Hour).Truncate(time.Second)
	ca.IssueFiles(testenv.Leaf{NotAfter: ended}, settings.Cert, settings.Key)
	h := build(t, ca, settings)
	if err := h.expectMetric("gatewright_grpc_certificate_expiry_timestamp_seconds", fmt.Sprintf(`
# HELP gatewright_grpc_certificate_expiry_timestamp_seconds When the certificate that the gRPC port shows expires.
# TYPE gatewright_grpc_certificate_expiry_timestamp_seconds gauge
gatewright_grpc_certificate_expiry_timestamp_seconds %d
`, ended.Unix())); err != nil {
		t.Error(err)
	}
	if !strings.Contains(h.log.String(), "it expired on") {
		t.Errorf("nothing is said of it: %s", h.log)
	}
}
