package redisclient

import (
	"strings"
	"testing"
	"time"
)

func TestOptionsFailFastAndOnce(t *testing.T) {
	o, err := Options("rediss://user:hunter2@cache.example.com:6380/3", 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if o.Addr != "cache.example.com:6380" || o.DB != 3 || o.Password != "hunter2" || o.TLSConfig == nil {
		t.Errorf("address %s, database %d, TLS %v", o.Addr, o.DB, o.TLSConfig != nil)
	}
	if o.ReadTimeout != 20*time.Millisecond || o.DialTimeout != leastDialTimeout || o.MaxRetries != -1 || !o.ContextTimeoutEnabled {
		t.Errorf("timeouts %s and %s, %d retries", o.ReadTimeout, o.DialTimeout, o.MaxRetries)
	}
}

func TestMalformedURLsAreNotRepeated(t *testing.T) {
	for url, want := range map[string]string{
		"":                                      "must begin with redis://",
		"localhost:6379":                        "must begin with redis://",
		"http://:hunter2@localhost":             "must begin with redis://",
		"redis://:hunter2@local host":           "malformed URL",
		"redis://:hunter2@localhost/x":          "malformed URL",
		"redis://:hunter2@a,b":                  "Redis Cluster and Sentinel",
		"redis://:hunter2@a redis://:hunter2@b": "Redis Cluster and Sentinel",
	} {
		_, err := Options(url, time.Second)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Options(%q) = %v, want %q and no password", url, err, want)
		}
	}
}
