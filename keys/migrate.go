package keys

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the statements of each version: the first is version 1.
// The files are named by their number, so the directory's order is theirs.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// migrate brings the tables to the newest version that this program knows. All
// versions that are missing are applied in one transaction; of processes that
// open a database at once, one applies them and the others find them applied.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := migrations()
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	// A current database is opened without a write.
	version, err := currentVersion(ctx, db, len(steps))
	if err != nil || version == len(steps) {
		return err
	}
	tx, err := db.BeginTx(ctx, nil) // BEGIN IMMEDIATE: see dataSource
	if err != nil {
		return fmt.Errorf("beginning the migration: %w", err)
	}
	if err := applyMissing(ctx, tx, steps); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing the migration: %w", err)
	}
	return nil
}

func applyMissing(ctx context.Context, tx *sql.Tx, steps []string) error {
	version, err := currentVersion(ctx, tx, len(steps))
	if err != nil {
		return err
	}
	if version == 0 {
		const table = `CREATE TABLE gatewright_migrations (version INTEGER NOT NULL PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`
		if _, err := tx.ExecContext(ctx, table); err != nil {
			return fmt.Errorf("creating gatewright_migrations: %w", err)
		}
	}
	for version < len(steps) {
		version++
		if _, err := tx.ExecContext(ctx, steps[version-1]); err != nil {
			return fmt.Errorf("applying migration %d: %w", version, err)
		}
		const applied = `INSERT INTO gatewright_migrations (version, applied_at) VALUES (?, ?)`
		if _, err := tx.ExecContext(ctx, applied, version, time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("recording migration %d: %w", version, err)
		}
	}
	return nil
}

// rowQuerier is a database or a transaction in it.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// currentVersion returns the version of the tables, 0 in an empty database. A
// database of somebody else's, or of a newer program, is an error: to write
// into it could only do harm.
func currentVersion(ctx context.Context, db rowQuerier, newest int) (int, error) {
	var tables, ours int
	const count = `SELECT count(*), coalesce(sum(name = 'gatewright_migrations'), 0) FROM sqlite_schema WHERE type = 'table'`
	if err := db.QueryRowContext(ctx, count).Scan(&tables, &ours); err != nil {
		return 0, fmt.Errorf("reading the list of tables: %w", err)
	}
	switch {
	case tables == 0:
		return 0, nil
	case ours == 0:
		return 0, errors.New("it is the database of another program")
	}
	var version int
	const highest = `SELECT coalesce(max(version), 0) FROM gatewright_migrations`
	if err := db.QueryRowContext(ctx, highest).Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the schema version: %w", err)
	}
	if version > newest {
		return 0, fmt.Errorf("its schema has version %d, this program knows up to %d: run a newer gatewright", version, newest)
	}
	return version, nil
}
