package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var services = []string{"redis", "postgres", "grafana", "prometheus", "gatewright", "etcd"}

func folders(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, s := range services {
		if err := os.Mkdir(filepath.Join(dir, s), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestFirstStart: what is shared fits together, two installations share nothing, and
// a second start changes nothing.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir, other := folders(t), folders(t)
	for _, d := range []string{dir, other} {
		if err := makeSecrets(d, rand.Reader, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	password := read(t, dir, "gatewright/redis-password")
	if len(password) < secretBytes || read(t, dir, "redis/redis.conf") != "requirepass "+password+"\n" {
		t.Errorf("Redis and Gatewright have different passwords, or short ones")
	}
	if read(t, dir, "gatewright/pgpass") != "*:*:*:gatewright:"+read(t, dir, "postgres/password")+"\n" {
		t.Error("PostgreSQL and Gatewright have different passwords")
	}
	if read(t, dir, "gatewright/admin-token") != read(t, dir, "prometheus/token") {
		t.Error("Prometheus has another token than the admin port")
	}
	before := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o440 {
			t.Errorf("%s: mode %o, want 440", rel, info.Mode().Perm())
		}
		before[rel] = read(t, dir, rel)
		if rel != "gatewright/complete" && before[rel] == read(t, other, rel) {
			t.Errorf("%s is the same in two installations", rel)
		}
		return nil
	})
	if err != nil || len(before) != 15 {
		t.Fatalf("%d files, %v", len(before), err)
	}
	if err := makeSecrets(dir, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	for path, content := range before {
		if read(t, dir, path) != content {
			t.Errorf("a second start has changed %s", path)
		}
	}
}

// TestCutOff: a start that could not finish is begun anew, over what it has left.
func TestCutOff(t *testing.T) {
	t.Parallel()
	dir := folders(t)
	if err := os.Remove(filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := makeSecrets(dir, rand.Reader, time.Now()); err == nil || !strings.Contains(err.Error(), "is its folder a volume") {
		t.Errorf("without the folder of etcd: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "etcd"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := makeSecrets(dir, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	if read(t, dir, "redis/redis.conf") != "requirepass "+read(t, dir, "gatewright/redis-password")+"\n" {
		t.Error("two halves of different starts")
	}
}

// TestNoChance: where no chance can be had, there are no secrets.
func TestNoChance(t *testing.T) {
	t.Parallel()
	dir := folders(t)
	if err := makeSecrets(dir, broken{}, time.Now()); err == nil {
		t.Error("secrets were made of nothing")
	}
	if _, err := os.Stat(filepath.Join(dir, "redis", "redis.conf")); err == nil {
		t.Error("Redis has a password of nothing")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no chance here") }

// TestCertificates: the two believe each other, and the client is no server.
func TestCertificates(t *testing.T) {
	t.Parallel()
	files, err := etcdCertificates(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, f := range files {
		content[f.path] = f.content
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(content["etcd/ca.crt"])) || content["etcd/ca.crt"] != content["gatewright/etcd-ca.crt"] {
		t.Fatal("no authority, or two")
	}
	pair := func(name string) *x509.Certificate {
		p, err := tls.X509KeyPair([]byte(content[name+".crt"]), []byte(content[name+".key"]))
		if err != nil {
			t.Fatal(err)
		}
		return p.Leaf
	}
	server, client := pair("etcd/server"), pair("gatewright/etcd")
	for _, name := range []string{"etcd", "localhost", "127.0.0.1"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("the client's certificate serves")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"secrets"}, {"health"}, {"other", "x"}, {"health", "nothing"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
