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

//go:embed migrations/*/*.sql
var migrationFiles embed.FS

// migrations returns the statements of each version: the first is version 1.
// Each kind of database has its own, and counts its own versions. The files are named by their number, so the directory's order is theirs.
func migrations(folder string) ([]string, error) {
	names, err := fs.Glob(migrationFiles, folder+"/*.sql")
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
func migrate(ctx context.Context, db *sql.DB, dialect dialect) error {
	steps, err := migrations(dialect.migrations)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	// A current database is opened without a write.
	version, err := currentVersion(ctx, db, dialect, len(steps))
	if err != nil || version == len(steps) {
		return err
	}
	tx, err := db.BeginTx(ctx, nil) // in SQLite BEGIN IMMEDIATE: see dataSource
	if err != nil {
		return fmt.Errorf("beginning the migration: %w", err)
	}
	if err := applyMissing(ctx, tx, dialect, steps); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing the migration: %w", err)
	}
	return nil
}

func applyMissing(ctx context.Context, tx *sql.Tx, dialect dialect, steps []string) error {
	if dialect.writersLock != "" {
		if _, err := tx.ExecContext(ctx, dialect.writersLock); err != nil {
			return fmt.Errorf("waiting for other processes' migrations: %w", err)
		}
	}
	version, err := currentVersion(ctx, tx, dialect, len(steps))
	if err != nil {
		return err
	}
	if version == 0 {
		const table = `CREATE TABLE gatewright_migrations (version INTEGER NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`
		if _, err := tx.ExecContext(ctx, table); err != nil {
			return fmt.Errorf("creating gatewright_migrations: %w", err)
		}
	}
	for version < len(steps) {
		version++
		if _, err := tx.ExecContext(ctx, steps[version-1]); err != nil {
			return fmt.Errorf("applying migration %d: %w", version, err)
		}
		const applied = `INSERT INTO gatewright_migrations (version, applied_at) VALUES ($1, $2)`
		if _, err := tx.ExecContext(ctx, applied, version, time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("recording migration %d: %w", version, err)
		}
	}
	return nil
}

// currentVersion returns the version of the tables, 0 in an empty database. A
// database of somebody else's, or of a newer program, is an error: to write
// into it could only do harm.
func currentVersion(ctx context.Context, db querier, dialect dialect, newest int) (int, error) {
	var tables, ours int
	if err := db.QueryRowContext(ctx, dialect.tables).Scan(&tables, &ours); err != nil {
		return 0, fmt.Errorf("reading the list of tables: %w", err)
	}
	switch {
	case tables == 0:
		return 0, nil
	case ours == 0:
		return 0, errors.New("it is the database of another program: give keys one of their own (or, in PostgreSQL, a schema: ?search_path=NAME)")
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
