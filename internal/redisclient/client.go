package redisclient

import (
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// leastDialTimeout bounds a dial from below. go-redis dials in the background
// and keeps the connection if the request that wanted it has gone on, so a TLS
// handshake may take longer than a request waits.
const leastDialTimeout = time.Second

// reloadEvery is how often a client of a cluster asks which node has which slot
// when nothing told it to. A node that has moved says so by itself.
const reloadEvery = 10 * time.Second

// Needs are what a package needs of its connections.
type Needs struct {
	// Timeout ends a call, which is not repeated: what is done without Redis is
	// the caller's.
	Timeout time.Duration
	// PoolSize is how many connections there are at most to one server, and Idle
	// how many are kept open without use, unless the URL says otherwise.
	PoolSize, Idle int
}

// Client returns a client of the Redis at rawURL, and does not connect: a
// *redis.ClusterClient of a cluster, else a *redis.Client, which follows the
// master of sentinels. Errors are malformed URLs and unusable files; they do not
// repeat the URL, which may hold a password.
//
//	redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]            one server; rediss:// by TLS
//	unix://[USER:PASSWORD@]/PATH[?db=DATABASE]                one server, on a socket
//	redis://…HOST,HOST… | redis+cluster://…HOST               a cluster, of which some nodes are named
//	redis+sentinel://…HOST[:26379],HOST…/MASTER[/DATABASE]    the master that sentinels know by a name
func Client(rawURL string, files Files, needs Needs) (redis.UniversalClient, error) {
	l, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if err := files.addTo(l); err != nil {
		return nil, err
	}
	if l.base.PoolSize == 0 {
		l.base.PoolSize = needs.PoolSize
	}
	if l.base.MinIdleConns == 0 {
		l.base.MinIdleConns = needs.Idle
	}
	l.base.MinIdleConns = min(l.base.MinIdleConns, l.base.PoolSize)
	switch l.kind {
	case cluster:
		return redis.NewClusterClient(l.cluster(needs.Timeout)), nil
	case sentinel:
		return redis.NewFailoverClient(l.failover(needs.Timeout)), nil
	}
	return redis.NewClient(l.server(needs.Timeout)), nil
}

func (l *location) server(timeout time.Duration) *redis.Options {
	o := *l.base
	o.Addr = l.addrs[0]
	o.MaxRetries, o.DialerRetries = -1, 1 // none
	o.DialTimeout = max(timeout, leastDialTimeout)
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout
	o.ContextTimeoutEnabled = true
	o.PipelinePoolSize = -1
	o.ReadBufferSize, o.WriteBufferSize = bufferSize, bufferSize
	o.Protocol = 2 // nothing here needs RESP3's pushes
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true
	return &o
}

// bufferSize is that of a connection, each way. A call of one request has some
// hundred bytes, and longer ones are written in parts.
const bufferSize = 16 << 10

func (l *location) cluster(timeout time.Duration) *redis.ClusterOptions {
	o := l.server(timeout)
	return &redis.ClusterOptions{
		Addrs: l.addrs, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: true, PipelinePoolSize: o.PipelinePoolSize,
		PoolSize: o.PoolSize, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize,
		Protocol: o.Protocol, MaintNotificationsConfig: o.MaintNotificationsConfig, DisableIdentity: true,
		// A slot that is being moved costs a redirection (ASK), and one that has
		// moved another (MOVED). They come at once or not in time.
		MaxRedirects: 2, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 4 * time.Millisecond,
		// Commands go where their keys are; asking Redis what each one does is
		// another call, in the time of the first request.
		DisableRoutingPolicies:     true,
		ClusterStateReloadInterval: reloadEvery,
	}
}

func (l *location) failover(timeout time.Duration) *redis.FailoverOptions {
	o := l.server(timeout)
	return &redis.FailoverOptions{
		MasterName: l.master, SentinelAddrs: l.addrs,
		SentinelUsername: l.sentinelUser, SentinelPassword: l.sentinelPassword,
		Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: true, PipelinePoolSize: o.PipelinePoolSize,
		PoolSize: o.PoolSize, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize,
		Protocol: o.Protocol, DisableIdentity: true,
	}
}
