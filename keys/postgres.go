package keys

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds one try to reach PostgreSQL, unless the URL says
	// connect_timeout. Requests do not wait as long: see readTimeout.
	connectTimeout = 5 * time.Second
	// connectionAge is after how long a connection is made anew, so that a
	// name that now means another machine is looked up.
	connectionAge = 30 * time.Minute
)

// openPostgres opens the database at databaseURL through database/sql, as all
// queries are those of SQLite.
func openPostgres(ctx context.Context, databaseURL string, settings Settings) (*Store, error) {
	config, err := postgresConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	if settings.Secret == "" {
		return nil, errNoSecret
	}
	secrets, err := newRing(settings.Secret)
	if err != nil {
		return nil, fmt.Errorf("reading GATEWRIGHT_KEY_SECRET: %w", err)
	}
	redis, err := openRedis(settings, secrets)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(connectionAge)
	store := newStore(db, postgresDialect, secrets, func(ctx context.Context) error {
		// Whether it answers is asked within the time of the caller; once it
		// does, it is given the time that a migration needs.
		if err := db.PingContext(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), prepareTimeout)
		defer cancel()
		return prepare(ctx, db, postgresDialect, secrets)
	})
	store.redis = redis
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	if err := store.ready(ctx); err != nil && !comesBack(err) {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// postgresConfig reads a URL. Its errors repeat nothing of it: what is wrong
// with a URL is often a password with a slash in it.
func postgresConfig(databaseURL string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(databaseURL)
	if err != nil {
		return nil, errURL
	}
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errURL
	}
	if parsed.Query().Get("sslmode") == "" && os.Getenv("PGSSLMODE") == "" && leavesMachine(config) {
		return nil, errors.New("the URL names another machine and no sslmode: add ?sslmode=verify-full, or sslmode=disable on a network that nobody else is on")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gatewright"
	}
	return config, nil
}

var errURL = errors.New("the URL cannot be read, must be postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE, in which / is %2F, @ is %40, : is %3A and % is %25 within the password")

// leavesMachine reports whether any of the addresses is neither a socket nor
// loopback.
func leavesMachine(config *pgx.ConnConfig) bool {
	hosts := []string{config.Host}
	for _, fallback := range config.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		if !strings.HasPrefix(host, "/") && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return true
		}
	}
	return false
}

// comesBack reports whether what failed may succeed later without anybody
// changing a setting: the server, or the way to it, is down.
func comesBack(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:min(2, len(refused.Code))] {
		case "08", "53", "57", "58": // connection, resources, shutdown or start, the system's own
			return true
		}
		return false
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return false
	}
	var failed *pgconn.ConnectError
	return errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrConnDone) || pgconn.Timeout(err)
}
