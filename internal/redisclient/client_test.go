package redisclient

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Whatever the URL, calls fail fast and once.
func TestClientsFailFastAndOnce(t *testing.T) {
	t.Parallel()
	needs := Needs{Timeout: 20 * time.Millisecond, PoolSize: 7, Idle: 2}
	one, err := Client("rediss://user:hunter2@cache.example.com:6380/3", Files{}, needs)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.Close() }()
	o := one.(*redis.Client).Options()
	if o.Addr != "cache.example.com:6380" || o.DB != 3 || o.Username != "user" || o.Password != "hunter2" || o.TLSConfig == nil {
		t.Errorf("address %s, database %d, TLS %t", o.Addr, o.DB, o.TLSConfig != nil)
	}
	if o.ReadTimeout != needs.Timeout || o.DialTimeout != leastDialTimeout || o.MaxRetries != 0 || !o.ContextTimeoutEnabled || o.PoolSize != 7 {
		t.Errorf("timeouts %s and %s, %d retries, %d connections", o.ReadTimeout, o.DialTimeout, o.MaxRetries, o.PoolSize)
	}

	many, err := Client("redis://user:hun,ter2@a:1,b?pool_size=3", Files{}, needs)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = many.Close() }()
	c := many.(*redis.ClusterClient).Options()
	if !slices.Equal(c.Addrs, []string{"a:1", "b:6379"}) || c.Password != "hun,ter2" || c.PoolSize != 3 || c.TLSConfig != nil {
		t.Errorf("addresses %v, %d connections, TLS %t", c.Addrs, c.PoolSize, c.TLSConfig != nil)
	}
	if c.ReadTimeout != needs.Timeout || c.MaxRetries != -1 || !c.ContextTimeoutEnabled {
		t.Errorf("timeout %s, %d retries", c.ReadTimeout, c.MaxRetries)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]location{
		"redis://h":                            {kind: single, addrs: []string{"h:6379"}},
		"redis://[::1]:7000/2":                 {kind: single, addrs: []string{"[::1]:7000"}},
		"redis://user:pass,word@localhost:1/2": {kind: single, addrs: []string{"localhost:1"}},
		"rediss://u:p@h":                       {kind: single, addrs: []string{"h:6379"}, tls: true},
		"unix:///run/redis.sock?db=1":          {kind: single, addrs: []string{"/run/redis.sock"}},
		"redis://a,b:7000,[::1]":               {kind: cluster, addrs: []string{"a:6379", "b:7000", "[::1]:6379"}},
		"redis://a redis://b":                  {kind: cluster, addrs: []string{"a:6379", "b:6379"}},
		"rediss://u:p@a,rediss://u:p@b:1":      {kind: cluster, addrs: []string{"a:6379", "b:1"}, tls: true},
		"redis+cluster://a":                    {kind: cluster, addrs: []string{"a:6379"}},
		"rediss+cluster://a,b":                 {kind: cluster, addrs: []string{"a:6379", "b:6379"}, tls: true},
		"redis+sentinel://a,b:1/main":          {kind: sentinel, addrs: []string{"a:26379", "b:1"}, master: "main"},
		"rediss+sentinel://u:p@a/main/3":       {kind: sentinel, addrs: []string{"a:26379"}, master: "main", tls: true},
		"redis://:p%40,redis%3A@h?pool_size=7": {kind: single, addrs: []string{"h:6379"}},
		"redis+sentinel://a/main?sentinel_username=su&sentinel_password=sp": {
			kind: sentinel, addrs: []string{"a:26379"}, master: "main", sentinelUser: "su", sentinelPassword: "sp"},
	} {
		got, err := parse(url)
		if err != nil {
			t.Errorf("parse(%q): %v", url, err)
			continue
		}
		if got.kind != want.kind || got.tls != want.tls || got.master != want.master || !slices.Equal(got.addrs, want.addrs) ||
			got.sentinelUser != want.sentinelUser || got.sentinelPassword != want.sentinelPassword {
			t.Errorf("parse(%q) = %+v, want %+v", url, got, want)
		}
	}
}

func TestMalformedURLsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                                            "must begin with redis://",
		"localhost:6379":                                              "must begin with redis://",
		"redis:localhost":                                             "must begin with redis://",
		"http://:hunter2@localhost":                                   "must begin with redis://",
		"redis+tls://:hunter2@localhost":                              "must begin with redis://",
		"redis://:hunter2@local host":                                 "must begin with redis://",
		"redis://":                                                    "hosts must be",
		"redis://:hunter2@":                                           "hosts must be",
		"redis://:hunter2@a,,b":                                       "hosts must be",
		"redis://:hunter2@::1":                                        "hosts must be",
		"redis://:hunter2@localhost:x":                                "hosts must be",
		"redis://:hunter2@localhost:0":                                "a port must be",
		"redis://:hunter2@localhost:65536":                            "a port must be",
		"redis://:hunter2@localhost/x":                                "malformed URL",
		"redis://:hunter2%zz@localhost":                               "malformed URL",
		"redis://:hunter2@localhost/#x":                               "nothing may stand behind #",
		"redis://:hunter2@localhost?nonsense=1":                       `option "nonsense": not known`,
		"redis://:hunter2@localhost?pool_size=x":                      "malformed URL",
		"rediss://:hunter2@h?skip_verify=true":                        "certificates are always verified",
		"redis://:hunter2@a,b/1":                                      "a cluster has database 0 alone",
		"redis://:hunter2@a,redis://:hunter3@b":                       "URL 2 of 2 has another scheme, user",
		"redis://:hunter2@a,rediss://:hunter2@b":                      "URL 2 of 2 has another scheme, user",
		"redis://a,unix:///x":                                         "no Unix sockets",
		"redis+sentinel://:hunter2@a":                                 "no master",
		"redis+sentinel://:hunter2@a/":                                "no master",
		"redis+sentinel://:hunter2@a/m/x":                             "malformed URL",
		"redis+sentinel://:hunter2@a/m,redis+sentinel://:hunter2@b/m": "several sentinels stand in one URL",
		"unix://": "malformed URL",
	} {
		client, err := Client(url, Files{}, Needs{Timeout: time.Second})
		if err == nil {
			_ = client.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("Client(%q): %v, want %q and no password", url, err, want)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := testenv.NewCA(t)
	certPEM, keyPEM := ca.Issue(testenv.Leaf{})
	authorities, cert, key := file("ca.pem", ca.PEM), file("cert.pem", certPEM), file("key.pem", keyPEM)
	for _, c := range []struct {
		url   string
		files Files
		want  string // in the error; none if empty
	}{
		{"rediss://h", Files{CA: authorities, Cert: cert, Key: key}, ""},
		{"rediss+sentinel://h/m", Files{CA: authorities}, ""},
		{"redis://h", Files{Password: file("password", []byte("hunter2\n"))}, ""},
		{"redis://h", Files{CA: authorities}, "need TLS: write rediss://"},
		{"unix:///h", Files{Cert: cert, Key: key}, "need TLS"},
		{"rediss://h", Files{CA: file("junk", []byte("junk"))}, "holds no certificate in PEM"},
		{"rediss://h", Files{CA: "/nowhere"}, "reading GATEWRIGHT_REDIS_CA: open /nowhere"},
		{"rediss://h", Files{Cert: cert}, "belong together"},
		{"rediss://h", Files{Cert: cert, Key: authorities}, "reading GATEWRIGHT_REDIS_CERT and GATEWRIGHT_REDIS_KEY"},
		{"redis://:hunter2@h", Files{Password: "/nowhere"}, "set one of them"},
		{"redis://h", Files{Password: "/nowhere"}, "reading GATEWRIGHT_REDIS_PASSWORD_FILE"},
		{"redis://h", Files{Password: file("empty", []byte("\n"))}, "holds no password"},
	} {
		client, err := Client(c.url, c.files, Needs{Timeout: time.Second})
		if err == nil {
			if o, ok := client.(*redis.Client); ok && c.files.Password != "" && o.Options().Password != "hunter2" {
				t.Errorf("%+v: password %q, want that of the file", c.files, o.Options().Password)
			}
			_ = client.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %+v: %v, want %q", c.url, c.files, err, c.want)
		}
	}
}
