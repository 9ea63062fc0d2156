package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long a writer waits for another process' writer.
	busyTimeout = 5 * time.Second
	// busyPause is the time between tries where SQLite does not wait by itself.
	busyPause = 10 * time.Millisecond
	// connections is how many of SQLite's readers a process opens: the Cache
	// needs one, the admin API and the command line another.
	connections = 4
)

// openSQLite opens or makes the database file at path.
func openSQLite(ctx context.Context, path, secret string) (*Store, error) {
	if path == "" || path == ":memory:" || strings.HasPrefix(path, "//") || strings.ContainsRune(path, 0) {
		return nil, errors.New("the URL names no file, must be sqlite:PATH, as " + DefaultDatabaseURL)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	secrets, err := prepareSQLite(ctx, db, path, secret)
	if err != nil {
		return nil, errors.Join(explained(err), db.Close())
	}
	store := newStore(db, sqliteDialect, secrets, func(context.Context) error { return nil })
	store.file = &openFile{path: path, info: info}
	return store, nil
}

// prepareSQLite sets what the file itself remembers, and brings what it holds up to date.
func prepareSQLite(ctx context.Context, db *sql.DB, path, secret string) (*ring, error) {
	// In WAL mode no reader waits for a writer, nor a writer for readers.
	if err := whileBusy(ctx, func() error { return setWAL(ctx, db) }); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db, sqliteDialect); err != nil {
		return nil, err
	}
	secrets, err := sqliteRing(ctx, db, path+secretSuffix, secret)
	if err != nil {
		return nil, err
	}
	return secrets, useSecrets(ctx, db, secrets)
}

// sqliteRing returns the secrets that are given, or else the one in the file. A
// file that is gone is not made anew while there are keys that need the old one.
func sqliteRing(ctx context.Context, db *sql.DB, path, secret string) (*ring, error) {
	if secret != "" {
		secrets, err := newRing(secret)
		if err != nil {
			return nil, fmt.Errorf("reading GATEWRIGHT_KEY_SECRET: %w", err)
		}
		return secrets, nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		used, err := usesSecrets(ctx, db)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); used && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the secret that keys were hashed with is gone: restore the file %s, or set GATEWRIGHT_KEY_SECRET", path)
		}
	}
	return fileRing(path)
}

// createPrivate makes an empty file that only its owner can read, which SQLite
// takes for an empty database, and whose mode it gives to the files beside it.
// A file that is already there is left alone.
//
// The file is made under another name and linked, rather than opened in place,
// because to close a descriptor of a database drops every lock that this
// process holds on it (sqlite.org/howtocorrupt.html, 2.2).
func createPrivate(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	empty, err := os.CreateTemp(filepath.Dir(path), ".gatewright-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	err = empty.Close()
	if err == nil {
		err = os.Link(empty.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil // another process was faster
	}
	return errors.Join(err, os.Remove(empty.Name()))
}

// dataSource returns what the driver opens: a file URI, in which no character
// of the path means anything but itself, and what every connection sets first.
func dataSource(path string) string {
	settings := url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_txlock":       {"immediate"},
		// A commit is on the disk before it is reported: a revocation must not
		// come undone by a power cut, as it can in WAL mode's usual NORMAL.
		"_synchronous": {"FULL"},
		"_defensive":   {"1"},
		"_dqs":         {"0"},
		"_pragma":      {"trusted_schema(0)"},
		"_error_rc":    {"1"},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}

func setWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return fmt.Errorf("setting WAL mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("setting WAL mode: the file system gives %q mode only", mode)
	}
	return nil
}

// whileBusy repeats do until it is no longer refused for another process' lock.
// SQLite waits by itself for most locks, not for the one that sets WAL mode.
func whileBusy(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for {
		err := do()
		if primaryCode(err) != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(busyPause):
		}
	}
}

// explained says in words what SQLite's codes for a bad file mean.
func explained(err error) error {
	switch primaryCode(err) {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is not an SQLite database, or its beginning is damaged: %w", err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the database is damaged, restore it from a copy: %w", err)
	default:
		return err
	}
}

// primaryCode returns SQLite's result code in err, without its extension, or 0.
func primaryCode(err error) int {
	var coded *sqlite.Error
	if !errors.As(err, &coded) {
		return 0
	}
	return coded.Code() & 0xff
}
