package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Filter says which keys a listing holds. The zero value lists all.
type Filter struct {
	// Owner and Tenant, where not empty, must be equal.
	Owner, Tenant string
	// Active leaves out what is revoked or expired.
	Active bool
}

// Create makes a key as spec says. The Secret is the only copy of its text:
// what is not shown now can never be shown.
func (s *Store) Create(ctx context.Context, spec Spec) (Record, Secret, error) {
	now := s.now()
	if err := spec.validate(now); err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", err)
	}
	key, err := New(s.random)
	if err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", err)
	}
	record := spec.record(key, now)
	if err := s.insert(ctx, record); err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", err)
	}
	return record, key.Secret, nil
}

func (s *Store) insert(ctx context.Context, r Record) error {
	permissions, err := json.Marshal(r.Permissions)
	if err != nil {
		return fmt.Errorf("writing permissions: %w", err)
	}
	const statement = `INSERT INTO keys (` + recordColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	_, err = s.db.ExecContext(ctx, statement, r.ID, r.hash.stored(), r.Name, r.Owner, r.Tenant,
		string(permissions), milliseconds(r.CreatedAt), milliseconds(r.ExpiresAt), milliseconds(r.RevokedAt))
	return err
}

// List returns the keys that filter lets through, oldest first.
func (s *Store) List(ctx context.Context, filter Filter) ([]Record, error) {
	const query = `SELECT ` + recordColumns + ` FROM keys
		WHERE (?1 = '' OR owner = ?1) AND (?2 = '' OR tenant = ?2)
		AND (NOT ?3 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?4)))
		ORDER BY created_at, id`
	rows, err := s.db.QueryContext(ctx, query, filter.Owner, filter.Tenant, filter.Active, s.now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	defer rows.Close()
	records := []Record{}
	for rows.Next() {
		record, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("listing keys: %w", err)
		}
		records = append(records, record)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	return records, nil
}

// ByID returns the key of that id, or an error that wraps ErrNotFound.
func (s *Store) ByID(ctx context.Context, id string) (Record, error) {
	return s.byID(ctx, "reading", id)
}

// Revoke ends the use of a key, on every gateway that has the database open,
// for good. A key already revoked stays as it is; its Record is returned
// again. The error wraps ErrNotFound where there is no such key.
func (s *Store) Revoke(ctx context.Context, id string) (Record, error) {
	if err := idFault("revoking", id); err != nil {
		return Record{}, err
	}
	const statement = `UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`
	if _, err := s.db.ExecContext(ctx, statement, s.now().UnixMilli(), id); err != nil {
		return Record{}, fmt.Errorf("revoking key %s: %w", id, err)
	}
	return s.byID(ctx, "revoking", id)
}

func (s *Store) byID(ctx context.Context, verb, id string) (Record, error) {
	if err := idFault(verb, id); err != nil {
		return Record{}, err
	}
	const query = `SELECT ` + recordColumns + ` FROM keys WHERE id = ?`
	record, err := scanRecord(s.db.QueryRowContext(ctx, query, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, fmt.Errorf("%s key %s: %w", verb, id, err)
	}
	return record, nil
}

// idFault refuses what is no id without repeating it: people give the key
// itself where its id is wanted, and errors are logged.
func idFault(verb, id string) error {
	if parsed, ok := Parse(id); ok {
		return fmt.Errorf("%s a key: this is the key itself, its id is %s: %w", verb, parsed.ID, ErrNotFound)
	}
	if !isID(id) {
		return fmt.Errorf("%s a key: not an id, which is %d characters of %s: %w", verb, idChars, alphabet, ErrNotFound)
	}
	return nil
}

// recordColumns are the columns that scanRecord reads, in its order.
const recordColumns = `id, hash, name, owner, tenant, permissions, created_at, expires_at, revoked_at`

// errUnreadable marks a row that is there but makes no sense, as opposed to a
// database that does not answer.
var errUnreadable = errors.New("unreadable record")

// scanRecord reads recordColumns from a row. Beside an errUnreadable it returns
// the ID alone.
func scanRecord(row interface{ Scan(...any) error }) (Record, error) {
	var r Record
	var hashText, permissions string
	var created int64
	var expires, revoked sql.NullInt64
	err := row.Scan(&r.ID, &hashText, &r.Name, &r.Owner, &r.Tenant, &permissions, &created, &expires, &revoked)
	if err != nil {
		return Record{}, err
	}
	if r.hash, err = parseHash(hashText); err != nil {
		return Record{ID: r.ID}, fmt.Errorf("%w of key %s: %w", errUnreadable, r.ID, err)
	}
	if err := json.Unmarshal([]byte(permissions), &r.Permissions); err != nil {
		return Record{ID: r.ID}, fmt.Errorf("%w of key %s: permissions: %w", errUnreadable, r.ID, err)
	}
	r.CreatedAt = time.UnixMilli(created).UTC()
	r.ExpiresAt, r.RevokedAt = moment(expires), moment(revoked)
	return r, nil
}

// milliseconds returns what the database holds of t: nothing for the zero time.
func milliseconds(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// moment is the inverse of milliseconds.
func moment(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}
