package keys

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultDatabaseURL is the database of a gateway that was told of none.
const DefaultDatabaseURL = "sqlite:gatewright.db"

// ErrNotFound says that no key has the id that was asked for.
var ErrNotFound = errors.New("no such key")

// Store is the database of keys. Any number of processes may have the same one
// open. Its methods may be called from several goroutines at once.
type Store struct {
	db      *sql.DB
	dialect dialect
	secrets *ring
	// file is that of SQLite, nil with PostgreSQL.
	file *openFile
	// redis is what all instances share beside the database, nil where there is none.
	redis *sharedRedis
	// prepared is what is still to be done before the first use.
	prepared *preparation
	// actor is who changes keys, for the audit.
	actor string

	now    func() time.Time
	random io.Reader
}

// preparation brings a database up to date once, when it can be reached.
type preparation struct {
	mu   sync.Mutex // held by the one who does it
	done atomic.Bool
	do   func(ctx context.Context) error
}

// prepareTimeout bounds one try to bring a database up to date.
const prepareTimeout = time.Minute

// Open opens the database that settings name, makes its tables where there are
// none, and brings them to the version of this program.
//
// The URL is sqlite:PATH, as sqlite:gatewright.db or sqlite:/var/lib/gatewright/keys.db,
// whose file can be read by its owner only; or postgres://USER:PASSWORD@HOST:PORT/DATABASE
// with the parameters of libpq. The empty string is DefaultDatabaseURL.
//
// A PostgreSQL that cannot be reached now is no error: the Store is made ready
// at the first use that reaches it, and uses before that fail. What will not get
// better by waiting (a wrong password, a newer version's tables, another
// secret) is an error here.
//
// The caller calls Close in the end.
func Open(ctx context.Context, settings Settings) (*Store, error) {
	databaseURL := settings.DatabaseURL
	if databaseURL == "" {
		databaseURL = DefaultDatabaseURL
	}
	// The URL is not repeated in errors: it may hold a password.
	scheme, path, found := strings.Cut(databaseURL, ":")
	switch {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		store, err := openPostgres(ctx, databaseURL, settings)
		if err != nil {
			return nil, fmt.Errorf("opening the key database: %w", err)
		}
		return store, nil
	case found && scheme == "sqlite":
		store, err := openSQLite(ctx, path, settings.Secret)
		if err != nil {
			return nil, fmt.Errorf("opening the key database %s: %w", path, err)
		}
		return store, nil
	default:
		return nil, errors.New("opening the key database: unknown kind of URL, must be sqlite:PATH, as " + DefaultDatabaseURL + ", or postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
}

func newStore(db *sql.DB, dialect dialect, secrets *ring, prepare func(context.Context) error) *Store {
	return &Store{
		db: db, dialect: dialect, secrets: secrets, prepared: &preparation{do: prepare},
		actor: actorUnknown, now: time.Now, random: rand.Reader,
	}
}

// Close ends all use of the database.
func (s *Store) Close() error {
	if err := errors.Join(s.db.Close(), s.redis.close()); err != nil {
		return fmt.Errorf("closing the key database: %w", err)
	}
	return nil
}

// ready returns once the database was brought up to date. It is called before
// each use, and costs nothing after the first that succeeds.
func (s *Store) ready(ctx context.Context) error {
	p := s.prepared
	if p.done.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done.Load() {
		return nil
	}
	if err := p.do(ctx); err != nil {
		return err
	}
	p.done.Store(true)
	return nil
}

// prepare brings the tables up to date and the hashes under a secret.
func prepare(ctx context.Context, db *sql.DB, dialect dialect, secrets *ring) error {
	if err := migrate(ctx, db, dialect); err != nil {
		return err
	}
	return useSecrets(ctx, db, secrets)
}

// useSecrets refuses secrets that do not fit the database's keys, and hashes
// anew what no secret protects yet.
func useSecrets(ctx context.Context, db *sql.DB, secrets *ring) error {
	if err := secrets.secretFault(ctx, db); err != nil {
		return err
	}
	if err := secrets.keyPlainHashes(ctx, db); err != nil {
		return fmt.Errorf("hashing keys of an older version under the secret: %w", err)
	}
	return nil
}

// querier is a database or a transaction in it.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// openFile is the file that the Store has open, as it was when it was opened.
type openFile struct {
	path string
	info os.FileInfo
}

// replaced returns an error once the path names another file, or none: SQLite
// would go on reading the old one, and never hear of a revocation again.
func (f *openFile) replaced() error {
	if f == nil {
		return nil
	}
	now, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("looking for the database file: %w", err)
	}
	if !os.SameFile(f.info, now) {
		return errors.New("the database file was replaced while it was open: start again")
	}
	return nil
}
