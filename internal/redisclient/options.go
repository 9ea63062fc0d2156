// Package redisclient says how Gatewright's packages reach a Redis: one
// reading of GATEWRIGHT_REDIS_URL, and clients that fail fast and once.
package redisclient

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// leastDialTimeout bounds a dial from below. go-redis dials in the background
// and keeps the connection if the request that wanted it has gone on, so a TLS
// handshake may take longer than a request waits.
const leastDialTimeout = time.Second

// Options are those of a client of the Redis at rawURL (redis://, rediss:// or
// unix://) whose calls end after timeout and are not repeated: what is done
// without Redis is the caller's. Errors are malformed URLs; they do not repeat
// the URL, which may hold a password.
func Options(rawURL string, timeout time.Duration) (*redis.Options, error) {
	options, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = -1 // none
	options.DialerRetries = 1
	options.DialTimeout = max(timeout, leastDialTimeout)
	options.ReadTimeout, options.WriteTimeout = timeout, timeout
	options.PoolTimeout = timeout
	options.ContextTimeoutEnabled = true
	options.PipelinePoolSize = -1
	options.Protocol = 2 // nothing here needs RESP3's pushes
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DisableIdentity = true
	return options, nil
}

// parse reads the URL of one Redis.
func parse(rawURL string) (*redis.Options, error) {
	if strings.Count(rawURL, "://") > 1 {
		return nil, errors.New("several URLs: not yet supported: Redis Cluster and Sentinel")
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	case strings.Contains(u.Host, ","):
		return nil, errors.New("several hosts: not yet supported: Redis Cluster and Sentinel")
	case u.Opaque != "" || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, errors.New("malformed URL: must begin with redis://, rediss:// or unix://")
	}
	options, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	return options, nil
}

// withoutURL is the cause of a url.Error, which quotes the whole URL.
func withoutURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
}
