package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocations(t *testing.T) {
	t.Parallel()
	for text, canonical := range map[string]string{
		"gateway.yaml":                  "gateway.yaml",
		"/etc/gw:1/a b.yaml":            "/etc/gw:1/a b.yaml",
		"etcd://h/k":                    "etcd://h:2379/k",
		"etcds://a,b:1,[::1]:2,[::1]/k": "etcds://a:2379,b:1,[::1]:2,[::1]:2379/k",
		"etcd://h:1//gateway/a%2Fb":     "etcd://h:1//gateway/a%2Fb",
		"consul://127.0.0.1/gw/config":  "consul://127.0.0.1:8500/gw/config",
		"consuls://h:443/k":             "consuls://h:443/k",
	} {
		l, err := parseLocation(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want(t, text, l.String(), canonical)
	}
}

func TestBadLocations(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, c := range []struct{ text, message string }{
		{"", "is empty"},
		{"s3://bucket/key", "unknown scheme, must be a path, etcd://"},
		{"etcd://user:" + secret + "@h/k", "holds credentials, which logs would show: set GATEWRIGHT_ETCD_"},
		{"consuls://" + secret + "@h/k", "holds credentials, which logs would show: set GATEWRIGHT_CONSUL_"},
		{"user:" + secret + "@etcd://h/k", "unknown scheme"},
		{"etcd:///k", "has no host"},
		{"etcd://h", "has no key"},
		{"etcd://h/", "has no key"},
		{"etcd://h/a/", "names a folder"},
		{"etcd://h/a?tls=1", "must not have ? or #"},
		{"etcd://h/a\n", "without control characters"},
		{"etcd://h/" + strings.Repeat("k", 401), "key of 401 bytes, must have at most 400"},
		{"etcd://a,,b/k", `host "": must be HOST`},
		{"etcd://a:b/k", "must be a number from 1 to 65535"},
		{"etcd://a:70000/k", "must be a number from 1 to 65535"},
		{"etcd://::1/k", `host "::1": must be HOST`},
		{"consul://a,b/k", "has 2 hosts, must have one"},
		{"consul://h//k", "do not begin with a slash"},
		{"consul://h/a/../k", "do not begin with a slash"},
	} {
		_, err := Open(c.text, Settings{}, t.TempDir(), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%q: got error %v, want %q in it", c.text, err, c.message)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(noPEM, []byte(secret), 0o600))
	for _, c := range []struct {
		text, message string
		settings      Settings
	}{
		{"etcd://h/k", "GATEWRIGHT_ETCD_USERNAME and GATEWRIGHT_ETCD_PASSWORD belong together", Settings{EtcdPassword: secret}},
		{"etcd://h/k", "GATEWRIGHT_ETCD_CA, _CERT and _KEY need TLS: write etcds://", Settings{EtcdCA: noPEM}},
		{"etcds://h/k", "reading GATEWRIGHT_ETCD_CA: " + noPEM + " holds no certificate", Settings{EtcdCA: noPEM}},
		{"etcds://h/k", "reading GATEWRIGHT_ETCD_CA: open /nowhere", Settings{EtcdCA: "/nowhere"}},
		{"etcds://h/k", "GATEWRIGHT_ETCD_CERT and GATEWRIGHT_ETCD_KEY belong together", Settings{EtcdCert: noPEM}},
		{"etcds://h/k", "reading GATEWRIGHT_ETCD_CERT and GATEWRIGHT_ETCD_KEY", Settings{EtcdCert: noPEM, EtcdKey: noPEM}},
		{"consul://h/k", "GATEWRIGHT_CONSUL_CA, _CERT and _KEY need TLS: write consuls://", Settings{ConsulKey: noPEM}},
		{"consuls://h/k", "reading GATEWRIGHT_CONSUL_CA", Settings{ConsulCA: noPEM}},
	} {
		_, err := Open(c.text, c.settings, t.TempDir(), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("got error %v, want %q in it", err, c.message)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	if _, err := Open("gateway.yaml", Settings{}, "", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file without a state directory is opened")
	}
}
