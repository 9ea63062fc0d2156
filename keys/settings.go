package keys

import (
	"time"

	"github.com/gatewright/gatewright/internal/redisclient"
)

// Settings are what the environment says of keys.
type Settings struct {
	// DatabaseURL is what Open opens. Empty means DefaultDatabaseURL.
	DatabaseURL string `envconfig:"GATEWRIGHT_DATABASE_URL" default:"sqlite:gatewright.db"`
	// Secret is what keys are hashed with: 32 bytes or more, the same for all
	// that have the database open. Empty: with SQLite that in the file
	// PATH.secret, which is made where there is none; with PostgreSQL an error.
	// To change it without ending keys: NEW,OLD.
	Secret string `envconfig:"GATEWRIGHT_KEY_SECRET"`
	// SecretFile is a file with Secret, which then stands in no environment. It is
	// read once, by who loads the settings.
	SecretFile string `envconfig:"GATEWRIGHT_KEY_SECRET_FILE"`
	// RedisURL is the Redis that all instances share. What is read of a PostgreSQL
	// is kept there for the others, and changes are announced there. Empty is none.
	// It is that of rate limits, too.
	RedisURL string `envconfig:"GATEWRIGHT_REDIS_URL"`
	// Redis is what connections need beside that URL.
	Redis redisclient.Files
	// RedisTimeout is the longest that a look-up waits for that Redis before it
	// asks the database. 0 means DefaultRedisTimeout.
	RedisTimeout time.Duration `envconfig:"GATEWRIGHT_KEYS_REDIS_TIMEOUT" default:"5ms"`
	// CacheEntries is how many keys a Cache remembers, at some 700 bytes each.
	// Less than 1 means DefaultCacheEntries.
	CacheEntries int `envconfig:"GATEWRIGHT_KEYS_CACHE_ENTRIES" default:"65536"`
	// StaleFor is how long keys that a Cache remembers go on working once the
	// database has not answered for 1.5 s. 0 is not at all.
	StaleFor time.Duration `envconfig:"GATEWRIGHT_KEYS_STALE_FOR" default:"60s"`
	// RevocationsRequired refuses tokens with 503 revocations-unavailable as long
	// as the revocations are not known: after a start at which the database did
	// not answer and no copy of them was there. Otherwise tokens pass meanwhile,
	// those that were revoked among them.
	RevocationsRequired bool `envconfig:"GATEWRIGHT_REVOCATIONS_REQUIRED"`
}

// DefaultRedisTimeout is less than a limit waits for Redis: a look-up has the
// database to go to, which is about as near.
const DefaultRedisTimeout = 5 * time.Millisecond

// DefaultCacheEntries is how many keys a Cache remembers unless told otherwise.
const DefaultCacheEntries = 65536
