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
	"time"
)

// DefaultDatabaseURL is the database of a gateway that was told of none.
const DefaultDatabaseURL = "sqlite:gatewright.db"

// ErrNotFound says that no key has the id that was asked for.
var ErrNotFound = errors.New("no such key")

// Store is the database of keys. Any number of processes may have the same one
// open. Its methods may be called from several goroutines at once.
type Store struct {
	db   *sql.DB
	file openFile

	now    func() time.Time
	random io.Reader
}

// Open opens the database at databaseURL, makes it where there is none, and
// brings its tables to the version of this program. The URL is sqlite:PATH, as
// sqlite:gatewright.db or sqlite:/var/lib/gatewright/keys.db; the empty string
// is DefaultDatabaseURL. A new file can be read by its owner only.
//
// The caller calls Close in the end.
func Open(ctx context.Context, databaseURL string) (*Store, error) {
	if databaseURL == "" {
		databaseURL = DefaultDatabaseURL
	}
	// The URL is not repeated in errors: others than SQLite's hold passwords.
	scheme, path, found := strings.Cut(databaseURL, ":")
	switch {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return nil, errors.New("opening the key database: not yet supported: PostgreSQL")
	case !found || scheme != "sqlite":
		return nil, errors.New("opening the key database: unknown kind of URL, must be sqlite:PATH, as " + DefaultDatabaseURL)
	}
	db, file, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening the key database %s: %w", path, err)
	}
	return &Store{db: db, file: file, now: time.Now, random: rand.Reader}, nil
}

// Close ends all use of the database.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the key database: %w", err)
	}
	return nil
}

// openFile is the file that the Store has open, as it was when it was opened.
type openFile struct {
	path string
	info os.FileInfo
}

// replaced returns an error once the path names another file, or none: SQLite
// would go on reading the old one, and never hear of a revocation again.
func (f openFile) replaced() error {
	now, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("looking for the database file: %w", err)
	}
	if !os.SameFile(f.info, now) {
		return errors.New("the database file was replaced while it was open: start again")
	}
	return nil
}
