package keys

import "time"

// Settings are what the environment says of keys.
type Settings struct {
	// DatabaseURL is what Open opens. Empty means DefaultDatabaseURL.
	DatabaseURL string `envconfig:"GATEWRIGHT_DATABASE_URL" default:"sqlite:gatewright.db"`
	// Secret is what keys are hashed with: 32 bytes or more, the same for all
	// that have the database open. Empty: with SQLite that in the file
	// PATH.secret, which is made where there is none; with PostgreSQL an error.
	// To change it without ending keys: NEW,OLD.
	Secret string `envconfig:"GATEWRIGHT_KEY_SECRET"`
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

// DefaultCacheEntries is how many keys a Cache remembers unless told otherwise.
const DefaultCacheEntries = 65536
