package testenv

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisTLS is a real Redis of a test's own that speaks TLS alone, asks for a
// client certificate, and for a user and password.
type RedisTLS struct {
	*RedisServer
	// CA, Cert and Key are PEM files: whom to trust, and what to show.
	CA, Cert, Key string
	// User may do what Gatewright does on the keys of Gatewright, and no more.
	User, Password string
}

// StartRedisTLS starts one. rules are those of the user, as in ACL SETUSER.
func StartRedisTLS(t testing.TB, rules ...string) *RedisTLS {
	t.Helper()
	dir := ShortDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	ca := NewCA(t)
	if err := os.WriteFile(path("ca.pem"), ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	ca.IssueFiles(Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, path("server.pem"), path("server.key"))
	ca.IssueFiles(Leaf{}, path("client.pem"), path("client.key"))
	pair, err := tls.LoadX509KeyPair(path("client.pem"), path("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	addr := Addr(t)
	r := &RedisTLS{CA: path("ca.pem"), Cert: path("client.pem"), Key: path("client.key"), User: "gatewright", Password: "hunter2"}
	secure := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	r.RedisServer = startRedisServer(t, &redis.Options{Addr: addr, TLSConfig: secure},
		memoryOnly(dir, "--bind", "127.0.0.1", "--port", "0", "--tls-port", portOf(addr), "--tls-auth-clients", "yes",
			"--tls-ca-cert-file", r.CA, "--tls-cert-file", path("server.pem"), "--tls-key-file", path("server.key"))...)
	set := []any{"ACL", "SETUSER", r.User, "on", ">" + r.Password}
	for _, rule := range rules {
		set = append(set, rule)
	}
	r.Do(set...)
	return r
}

// URL is what GATEWRIGHT_REDIS_URL is set to.
func (r *RedisTLS) URL() string { return "rediss://" + r.User + ":" + r.Password + "@" + r.Addr }
