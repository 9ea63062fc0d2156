package door_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/testenv"
)

var edge = testenv.Leaf{DNS: []string{"edge-7"}}

// shown is the serial number of the certificate that the door shows.
func (h *house) shown(pair tls.Certificate) (string, error) {
	conn, err := tls.Dial("tcp", h.addr, &tls.Config{
		// Whose it is, is what is asked.
		InsecureSkipVerify: true,
		Certificates:       []tls.Certificate{pair}, NextProtos: []string{"h2"},
	})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// reloads is the wanted text of the metric.
func reloads(applied, invalid int) string {
	return fmt.Sprintf(`
# HELP gatewright_grpc_certificate_reloads_total Changes of the gRPC port's certificate files, by result: applied, or invalid (the files before them stay).
# TYPE gatewright_grpc_certificate_reloads_total counter
gatewright_grpc_certificate_reloads_total{result="applied"} %d
gatewright_grpc_certificate_reloads_total{result="invalid"} %d
`, applied, invalid)
}

func (h *house) awaitReloads(applied, invalid int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%d changes are applied and %d are not", applied, invalid), func() error {
		return h.expectMetric("gatewright_grpc_certificate_reloads_total", reloads(applied, invalid))
	})
}

// TestAllFilesAreReplaced while a stream is open: it stays, new connections
// are made with the new files, and those of the old authority no more.
func TestAllFilesAreReplaced(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	settings.BindNodeID = true
	h := build(t, ca, settings)
	old := ca.Pair(edge)
	stream, err := deltaFirst(soon(t), h.client(old), &corev3.Node{Id: "edge-7"})
	if err != nil {
		t.Fatal(err)
	}
	next := testenv.NewCA(t)
	testenv.ReplaceFile(t, settings.CA, next.PEM)
	next.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, settings.Cert, settings.Key)
	h.ca = next
	h.awaitReloads(1, 0)

	if err := check(soon(t), h.client(next.Pair(edge))); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
	if err := check(soon(t), h.client(old)); status.Code(err) != codes.Unavailable {
		t.Errorf("a client of the old authority: %v, want Unavailable", err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType,
		ResourceNamesUnsubscribe: []string{"app"}, ResourceNamesSubscribe: []string{"app"}}); err != nil {
		t.Fatal(err)
	}
	if err := answered(stream); err != nil {
		t.Errorf("the stream that was open: %v", err)
	}
}

// TestSessionsAreNotResumed: a client of an authority that was taken away does
// not come back by what it remembers of an earlier connection.
func TestSessionsAreNotResumed(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Pair(edge)}, RootCAs: ca.Pool(),
		ServerName: "gatewright.internal", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if err := check(soon(t), h.clientWith(config)); err != nil {
		t.Fatal(err)
	}
	// The pair stays, so that the client has no reason of its own to leave.
	testenv.ReplaceFile(t, settings.CA, testenv.NewCA(t).PEM)
	h.awaitReloads(1, 0)
	if err := check(soon(t), h.clientWith(config)); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}

// TestBadFilesKeepTheOld, are told once with what is wrong, and end when they
// are put right.
func TestBadFilesKeepTheOld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, ca *testenv.CA, s door.Settings)
		want  []string
	}{
		"another key": {func(t *testing.T, ca *testenv.CA, s door.Settings) {
			_, key := ca.Issue(edge)
			testenv.ReplaceFile(t, s.Key, key)
		}, []string{"GATEWRIGHT_GRPC_KEY", "does not match"}},
		"half of a certificate": {func(t *testing.T, ca *testenv.CA, s door.Settings) {
			cert, _ := ca.Issue(edge)
			testenv.ReplaceFile(t, s.Cert, cert[:len(cert)/2])
		}, []string{"GATEWRIGHT_GRPC_CERT"}},
		"no authority": {func(t *testing.T, _ *testenv.CA, s door.Settings) {
			testenv.ReplaceFile(t, s.CA, nil)
		}, []string{"GATEWRIGHT_GRPC_CA", "no certificate in PEM"}},
		"a bundle with junk": {func(t *testing.T, ca *testenv.CA, s door.Settings) {
			testenv.ReplaceFile(t, s.CA, append(ca.PEM, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...))
		}, []string{"GATEWRIGHT_GRPC_CA", "block 2"}},
		"a file that is gone": {func(t *testing.T, _ *testenv.CA, s door.Settings) {
			if err := os.Remove(s.Key); err != nil {
				t.Fatal(err)
			}
		}, []string{"GATEWRIGHT_GRPC_KEY", "no such file"}},
		"a file without end": {func(t *testing.T, _ *testenv.CA, s door.Settings) {
			testenv.ReplaceFile(t, s.CA, make([]byte, 2<<20))
		}, []string{"GATEWRIGHT_GRPC_CA", "larger than"}},
		"an expired certificate": {func(t *testing.T, ca *testenv.CA, s door.Settings) {
			ca.IssueFiles(testenv.Leaf{NotAfter: time.Now().Add(-time.Minute)}, s.Cert, s.Key)
		}, []string{"GATEWRIGHT_GRPC_CERT", "expired on"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, settings := withTLS(t)
			h := build(t, ca, settings)
			before, err := h.shown(ca.Pair(edge))
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, ca, settings)
			h.awaitReloads(0, 1)
			if now, err := h.shown(ca.Pair(edge)); err != nil || now != before {
				t.Errorf("it shows %s (%v), want %s as before", now, err, before)
			}
			if err := check(soon(t), h.client(ca.Pair(edge))); err != nil {
				t.Errorf("a client: %v", err)
			}
			told := h.log.String()
			for _, want := range c.want {
				if !strings.Contains(told, want) {
					t.Errorf("it is not said that %q: %s", want, told)
				}
			}
			if strings.Contains(told, "PRIVATE KEY") || strings.Contains(told, "BEGIN") {
				t.Errorf("the log has the content of a file: %s", told)
			}
			testenv.ReplaceFile(t, settings.CA, ca.PEM)
			ca.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, settings.Cert, settings.Key)
			eventually(t, "the files that are good again are used", func() error {
				now, err := h.shown(ca.Pair(edge))
				if err == nil && now == before {
					err = errors.New("it shows the old one")
				}
				return err
			})
		})
	}
}

// TestFilesBehindALink: Kubernetes turns a symbolic link from one folder of
// files to another.
func TestFilesBehindALink(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	ca := testenv.NewCA(t)
	version := func(name string) {
		dir := filepath.Join(mount, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		ca.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
		testenv.ReplaceFile(t, filepath.Join(dir, "ca.crt"), ca.PEM)
		link := filepath.Join(mount, "..data")
		if err := os.Symlink(name, link+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".next", link); err != nil {
			t.Fatal(err)
		}
	}
	version("..1")
	data := filepath.Join(mount, "..data")
	h := build(t, ca, door.Settings{
		Cert: filepath.Join(data, "tls.crt"), Key: filepath.Join(data, "tls.key"), CA: filepath.Join(data, "ca.crt"),
	})
	version("..2")
	h.awaitReloads(1, 0)
	if err := check(soon(t), h.client(ca.Pair(edge))); err != nil {
		t.Error(err)
	}
}
