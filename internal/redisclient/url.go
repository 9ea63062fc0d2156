package redisclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The forms of a URL. A scheme says which one it is, or several hosts do.
const (
	single   = "single"
	cluster  = "cluster"
	sentinel = "sentinel"
)

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
)

// options are what a URL may say of a connection behind its "?". All else that
// go-redis would read there is either fixed by how a client is used, or has a
// setting of its own.
var options = []string{
	"pool_size", "min_idle_conns", "max_idle_conns", "conn_max_idle_time", "conn_max_lifetime", "client_name",
}

// location is a URL, read.
type location struct {
	kind string
	tls  bool
	// addrs are host:port of the server, of some nodes of the cluster, or of the
	// sentinels; of a Unix socket its path.
	addrs  []string
	master string // the name that sentinels know the master by
	// base has what go-redis reads of a URL: user, password, database, options.
	base *redis.Options
	// The sentinels' own user and password.
	sentinelUser, sentinelPassword string
}

// parse reads a URL, or several of one cluster. Its errors repeat neither.
func parse(rawURL string) (*location, error) {
	urls := strings.FieldsFunc(rawURL, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
	if len(urls) == 1 {
		urls = splitURLs(urls[0])
	}
	if len(urls) == 0 {
		return nil, errNoScheme
	}
	first, err := parseOne(urls[0])
	if err != nil {
		return nil, err
	}
	for i, text := range urls[1:] {
		next, err := parseOne(strings.Trim(text, ","))
		switch {
		case err != nil:
			return nil, fmt.Errorf("URL %d of %d: %w", i+2, len(urls), err)
		case first.kind == sentinel || next.kind == sentinel:
			return nil, errors.New("several URLs are a cluster: several sentinels stand in one URL, redis+sentinel://HOST,HOST/MASTER")
		case first.base.Network == "unix" || next.base.Network == "unix":
			return nil, errors.New("several URLs are a cluster, which has no Unix sockets")
		case !first.sameCredentials(next):
			return nil, fmt.Errorf("URL %d of %d has another scheme, user, password, database or options than the first: all nodes of a cluster have the same", i+2, len(urls))
		}
		first.kind = cluster
		first.addrs = append(first.addrs, next.addrs...)
	}
	if first.kind == cluster && first.base.DB != 0 {
		return nil, fmt.Errorf("database %d: a cluster has database 0 alone", first.base.DB)
	}
	return first, nil
}

var errNoScheme = errors.New("malformed URL: must begin with redis://, rediss://, redis+cluster://, rediss+cluster://, redis+sentinel://, rediss+sentinel:// or unix://")

// splitURLs splits at the commas that a scheme follows. Others stand between
// hosts, or in a password.
func splitURLs(text string) []string {
	var urls []string
	rest := text
	for from := 0; ; {
		i := strings.IndexByte(rest[from:], ',')
		if i < 0 {
			return append(urls, rest)
		}
		from += i + 1
		if scheme, _, ok := strings.Cut(rest[from:], "://"); ok && isScheme(scheme) {
			urls = append(urls, rest[:from-1])
			rest, from = rest[from:], 0
		}
	}
}

func isScheme(s string) bool {
	_, _, ok := kindOf(s)
	return ok
}

// kindOf is what a scheme says.
func kindOf(scheme string) (kind string, tls, ok bool) {
	name, suffix, _ := strings.Cut(scheme, "+")
	switch {
	case scheme == "unix":
		return single, false, true
	case name != "redis" && name != "rediss":
		return "", false, false
	}
	switch tls := name == "rediss"; {
	case scheme == name:
		return single, tls, true
	case suffix == cluster, suffix == sentinel:
		return suffix, tls, true
	}
	return "", false, false
}

// parseOne reads one URL, whose host may be several.
func parseOne(rawURL string) (*location, error) {
	scheme, rest, found := strings.Cut(rawURL, "://")
	kind, secure, ok := kindOf(scheme)
	if !found || !ok {
		return nil, errNoScheme
	}
	if scheme == "unix" {
		return parseUnix(rawURL)
	}
	l := &location{kind: kind, tls: secure}
	// url.Parse takes no several hosts: it reads the URL without them.
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse("redis://" + user + "host" + path)
	if err != nil {
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	if err := l.readHosts(hosts); err != nil {
		return nil, err
	}
	if err := l.readMaster(u); err != nil {
		return nil, err
	}
	return l, l.readBase(u)
}

// readHosts reads HOST[:PORT],HOST[:PORT]…
func (l *location) readHosts(hosts string) error {
	port := defaultPort
	if l.kind == sentinel {
		port = defaultSentinelPort
	}
	for _, host := range strings.Split(hosts, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" || host[0] != '[' && strings.Contains(u.Hostname(), ":") {
			return errors.New("malformed URL: hosts must be HOST[:PORT], several of them with commas between")
		}
		p := u.Port()
		if p == "" {
			p = port
		}
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("malformed URL: a port must be between 1 and 65535")
		}
		l.addrs = append(l.addrs, net.JoinHostPort(u.Hostname(), p))
	}
	if len(l.addrs) > 1 && l.kind == single {
		l.kind = cluster
	}
	return nil
}

// readMaster takes the master's name, and the sentinels' own credentials, out of
// the URL of sentinels.
func (l *location) readMaster(u *url.URL) error {
	if l.kind != sentinel {
		return nil
	}
	name, database, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if name == "" {
		return errors.New("no master: sentinels are redis+sentinel://HOST:26379,HOST:26379/MASTER")
	}
	l.master = name
	u.Path, u.RawPath = "/"+database, ""
	q := u.Query()
	l.sentinelUser, l.sentinelPassword = q.Get("sentinel_username"), q.Get("sentinel_password")
	q.Del("sentinel_username")
	q.Del("sentinel_password")
	u.RawQuery = q.Encode()
	return nil
}

// readBase reads user, password, database and options.
func (l *location) readBase(u *url.URL) error {
	if u.Fragment != "" {
		return errors.New("malformed URL: nothing may stand behind #")
	}
	if err := knownOptions(u.Query()); err != nil {
		return err
	}
	base, err := redis.ParseURL(u.String())
	if err != nil {
		return fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	l.base = base
	return nil
}

// parseUnix reads unix://[USER:PASSWORD@]/PATH[?db=N].
func parseUnix(rawURL string) (*location, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	if err := knownOptions(u.Query(), "db"); err != nil {
		return nil, err
	}
	base, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	return &location{kind: single, addrs: []string{base.Addr}, base: base}, nil
}

// knownOptions refuses an option that would have no effect, or a bad one.
func knownOptions(query url.Values, more ...string) error {
	for name := range query {
		switch {
		case slices.Contains(options, name), slices.Contains(more, name):
		case name == "skip_verify":
			return errors.New("option skip_verify: certificates are always verified; GATEWRIGHT_REDIS_CA names an authority of your own")
		default:
			return fmt.Errorf("option %q: not known; there are %s", name, strings.Join(append(more, options...), ", "))
		}
	}
	return nil
}

// sameCredentials says whether two URLs can be of one cluster.
func (l *location) sameCredentials(other *location) bool {
	a, b := l.base, other.base
	return l.tls == other.tls && a.Username == b.Username && a.Password == b.Password && a.DB == b.DB &&
		a.PoolSize == b.PoolSize && a.MinIdleConns == b.MinIdleConns && a.MaxIdleConns == b.MaxIdleConns &&
		a.ConnMaxIdleTime == b.ConnMaxIdleTime && a.ConnMaxLifetime == b.ConnMaxLifetime && a.ClientName == b.ClientName
}

// withoutURL is the cause of a url.Error, which quotes the whole URL.
func withoutURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
}
