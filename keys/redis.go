package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
)

// announceTimeout bounds how long the writer of a change waits to announce it.
const announceTimeout = 500 * time.Millisecond

// sharedRedis is the Redis beside a database. It is a convenience: what it
// holds is believed only where it can be proven current, what it announces
// costs a read, and nothing fails without it.
type sharedRedis struct {
	// values is asked while requests wait, so for a short time only.
	values  redis.UniversalClient
	timeout time.Duration
	// news takes as long as it takes, to announce a change or to hear of one.
	news    redis.UniversalClient
	channel string
}

// openRedis returns that of settings, nil where there is none. It does not
// connect. Errors are malformed settings.
func openRedis(settings Settings, secrets *ring) (*sharedRedis, error) {
	if settings.RedisURL == "" {
		return nil, nil
	}
	timeout := settings.RedisTimeout
	switch {
	case timeout < 0:
		return nil, fmt.Errorf("redis: GATEWRIGHT_KEYS_REDIS_TIMEOUT=%s, must be > 0", timeout)
	case timeout == 0:
		timeout = DefaultRedisTimeout
	}
	// One goroutine asks; the other connection is one that it gave up.
	values, err := redisclient.Client(settings.RedisURL, settings.Redis, redisclient.Needs{Timeout: timeout, PoolSize: 2})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	news, err := redisclient.Client(settings.RedisURL, settings.Redis, redisclient.Needs{Timeout: announceTimeout, PoolSize: 2})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), values.Close())
	}
	return &sharedRedis{values: values, timeout: timeout, news: news, channel: channelName(secrets)}, nil
}

func (r *sharedRedis) close() error {
	if r == nil {
		return nil
	}
	return errors.Join(r.values.Close(), r.news.Close())
}

// announce tells all instances that something was changed. That nobody hears
// it is no error: all of them look by themselves, a little later.
func (r *sharedRedis) announce(ctx context.Context) {
	if r == nil {
		return
	}
	// The change is made, whether or not its maker still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
	defer cancel()
	_ = r.news.Publish(ctx, r.channel, "").Err()
}

// listen calls heard for each announcement until ctx ends. What a message says
// is not looked at: whoever can reach Redis can send one.
func (r *sharedRedis) listen(ctx context.Context, heard func()) {
	subscription := r.news.Subscribe(ctx, r.channel)
	defer subscription.Close() // it was only read
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-messages:
			if !open {
				return
			}
			heard()
		}
	}
}
