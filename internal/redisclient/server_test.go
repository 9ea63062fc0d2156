package redisclient

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/testenv"
)

// use does what our packages do with a client: values one by one and in a row, a
// script, and announcements.
func use(t *testing.T, url string, files Files) redis.UniversalClient {
	t.Helper()
	client, err := Client(url, files, Needs{Timeout: 5 * time.Second, PoolSize: 4, Idle: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx := t.Context()
	_, err = client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range 20 {
			pipe.Set(ctx, fmt.Sprintf("gw:%d", i), i, time.Minute)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("writing a row of values: %v", err)
	}
	for i := range 20 {
		key := fmt.Sprintf("gw:%d", i)
		if got, err := client.Get(ctx, key).Int(); err != nil || got != i {
			t.Fatalf("%s: got %d, %v", key, got, err)
		}
		script := redis.NewScript("return redis.call('INCR', KEYS[1])")
		if got, err := script.Run(ctx, client, []string{key}).Int(); err != nil || got != i+1 {
			t.Fatalf("script on %s: got %d, %v", key, got, err)
		}
	}
	subscription := client.Subscribe(ctx, "gw:news")
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel()
	testenv.Eventually(t, "an announcement is heard", func() error {
		if err := client.Publish(ctx, "gw:news", "").Err(); err != nil {
			return err
		}
		select {
		case <-messages:
			return nil
		case <-time.After(50 * time.Millisecond):
			return context.DeadlineExceeded
		}
	})
	return client
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	use(t, testenv.StartRedis(t).URL(), Files{})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	use(t, testenv.StartRedisCluster(t, 5*time.Second).URL(), Files{})
}

func TestTLSAndUser(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedisTLS(t, "~gw:*", "&gw:*", "+@all", "-@admin")
	files := Files{CA: server.CA, Cert: server.Cert, Key: server.Key}
	use(t, server.URL(), files)
	for name, bad := range map[string]struct {
		url   string
		files Files
	}{
		"without the authority":   {server.URL(), Files{Cert: server.Cert, Key: server.Key}},
		"without a certificate":   {server.URL(), Files{CA: server.CA}},
		"by another name":         {"rediss://" + server.User + ":" + server.Password + "@localhost:" + server.Addr[len("127.0.0.1:"):], files},
		"with a wrong password":   {"rediss://" + server.User + ":wrong@" + server.Addr, files},
		"by plain text":           {"redis://" + server.User + ":" + server.Password + "@" + server.Addr, Files{}},
		"without a user, and ACL": {"rediss://gatewright2:x@" + server.Addr, files},
	} {
		client, err := Client(bad.url, bad.files, Needs{Timeout: time.Second, PoolSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Get(t.Context(), "gw:1").Err(); err == nil || err == redis.Nil {
			t.Errorf("%s: %v, want refused", name, err)
		}
		_ = client.Close()
	}
}

// The client follows the master that the sentinels name.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	sentinels := testenv.StartRedisSentinels(t, time.Second)
	client := use(t, sentinels.URL(), Files{})
	sentinels.Master.Kill()
	testenv.Eventually(t, "the replica is the master", func() error {
		return client.Set(t.Context(), "gw:after", 1, time.Minute).Err()
	})
	if got := sentinels.Replica.Do("GET", "gw:after"); got != "1" {
		t.Errorf("the old replica has %v, want what was written after the failover", got)
	}
}
