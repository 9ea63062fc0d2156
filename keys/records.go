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
	// Labels must all be there, with equal values.
	Labels map[string]string
	// Active leaves out what is revoked or expired.
	Active bool
	// UnusedSince leaves out what was used, or made, at that time or later.
	// Zero leaves out nothing.
	UnusedSince time.Time
}

// Create makes a key as spec says. The Secret is the only copy of its text:
// what is not shown now can never be shown.
func (s *Store) Create(ctx context.Context, spec Spec) (Record, Secret, error) {
	now := s.now()
	if err := spec.validate(now); err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", invalid(err))
	}
	key, err := New(s.random)
	if err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", err)
	}
	record := spec.record(key.ID, s.secrets.hashOf(digestOf(key.Secret.Reveal())), now)
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := insert(ctx, tx, record); err != nil {
			return err
		}
		return s.note(ctx, tx, actionCreate, record.ID, record)
	})
	if err != nil {
		return Record{}, Secret{}, fmt.Errorf("creating a key: %w", err)
	}
	return record, key.Secret, nil
}

func insert(ctx context.Context, tx *sql.Tx, r Record) error {
	permissions, err := json.Marshal(r.Permissions)
	if err != nil {
		return fmt.Errorf("writing permissions: %w", err)
	}
	labels := []byte(`{}`)
	if len(r.Labels) > 0 {
		if labels, err = json.Marshal(r.Labels); err != nil {
			return fmt.Errorf("writing labels: %w", err)
		}
	}
	const statement = `INSERT INTO keys (id, hash, name, owner, tenant, permissions, labels, imported, created_at, expires_at, plan)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	_, err = tx.ExecContext(ctx, statement, r.ID, r.hash.stored(), r.Name, r.Owner, r.Tenant, string(permissions),
		string(labels), r.Imported, milliseconds(r.CreatedAt), milliseconds(r.ExpiresAt), r.Plan)
	return err
}

// List returns the keys that filter lets through, oldest first. It is audited:
// where that cannot be written, nobody is shown the keys.
func (s *Store) List(ctx context.Context, filter Filter) ([]Record, error) {
	records, err := s.list(ctx, filter)
	if err == nil {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			return s.note(ctx, tx, actionList, "", filter.asked(len(records)))
		})
	}
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	return records, nil
}

// maxAsked bounds what the audit has of a filter, in bytes: who may read the keys
// must not be able to fill the database.
const maxAsked = 1 << 10

// asked is what the audit has of a list.
func (f Filter) asked(shown int) any {
	type asked struct {
		Owner       string            `json:"owner,omitempty"`
		Tenant      string            `json:"tenant,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
		Active      bool              `json:"active,omitempty"`
		UnusedSince time.Time         `json:"unusedSince,omitzero"`
		TooLong     bool              `json:"tooLong,omitempty"` // to be kept; no key has such a text
		Shown       int               `json:"shown"`
	}
	length := len(f.Owner) + len(f.Tenant)
	for name, value := range f.Labels {
		length += len(name) + len(value)
	}
	if length > maxAsked {
		return asked{TooLong: true, Shown: shown}
	}
	return asked{f.Owner, f.Tenant, f.Labels, f.Active, f.UnusedSince.UTC(), false, shown}
}

func (s *Store) list(ctx context.Context, filter Filter) ([]Record, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	unused := milliseconds(filter.UnusedSince)
	const query = `SELECT ` + recordColumns + `, used_at FROM keys LEFT JOIN key_uses USING (id)
		WHERE ($1 = '' OR owner = $1) AND ($2 = '' OR tenant = $2)
		AND (NOT $3 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)))
		AND (NOT $5 OR coalesce(used_at, created_at) < $6)
		ORDER BY created_at, id`
	rows, err := s.db.QueryContext(ctx, query, filter.Owner, filter.Tenant, filter.Active, s.now().UnixMilli(), unused.Valid, unused.Int64)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	records := []Record{}
	for rows.Next() {
		var used sql.NullInt64
		record, err := s.scanRecord(rows, &used)
		if err != nil {
			return nil, err
		}
		record.LastUsedAt = moment(used)
		if record.hasLabels(filter.Labels) {
			records = append(records, record)
		}
	}
	return records, rows.Err()
}

func (r Record) hasLabels(wanted map[string]string) bool {
	for name, value := range wanted {
		if has, ok := r.Labels[name]; !ok || has != value {
			return false
		}
	}
	return true
}

// ByID returns the key of that id, or an error that wraps ErrNotFound.
func (s *Store) ByID(ctx context.Context, id string) (Record, error) {
	if err := idFault("reading", id); err != nil {
		return Record{}, err
	}
	err := s.ready(ctx)
	var record Record
	if err == nil {
		record, err = s.selectOne(ctx, s.db, id)
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading key %s: %w", id, err)
	}
	return record, nil
}

// Revoke ends the use of a key, on every gateway that has the database open,
// for good. A key already revoked stays as it is; its Record is returned
// again. The error wraps ErrNotFound where there is no such key.
func (s *Store) Revoke(ctx context.Context, id string) (Record, error) {
	if err := idFault("revoking", id); err != nil {
		return Record{}, err
	}
	var record Record
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		const statement = `UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`
		result, err := tx.ExecContext(ctx, statement, s.now().UnixMilli(), id)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if record, err = s.selectOne(ctx, tx, id); err != nil || changed == 0 {
			return err
		}
		return s.note(ctx, tx, actionRevoke, id, map[string]any{})
	})
	if err != nil {
		return Record{}, fmt.Errorf("revoking key %s: %w", id, err)
	}
	return record, nil
}

// selectOne returns the key of that id, or ErrNotFound.
func (s *Store) selectOne(ctx context.Context, db querier, id string) (Record, error) {
	const query = `SELECT ` + recordColumns + `, used_at FROM keys LEFT JOIN key_uses USING (id) WHERE id = $1`
	var used sql.NullInt64
	record, err := s.scanRecord(db.QueryRowContext(ctx, query, id), &used)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	record.LastUsedAt = moment(used)
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
const recordColumns = `id, hash, previous_hash, previous_until, name, owner, tenant, permissions, labels, imported, created_at, expires_at, revoked_at, plan`

// errUnreadable marks a row that is there but makes no sense, as opposed to a
// database that does not answer.
var errUnreadable = errors.New("unreadable record")

// scanRecord reads recordColumns from a row, and what follows them into more.
// Beside an errUnreadable it returns the ID alone.
func (s *Store) scanRecord(row interface{ Scan(...any) error }, more ...any) (Record, error) {
	var r Record
	var hashText, permissions, labels string
	var previousText sql.NullString
	var created int64
	var previousUntil, expires, revoked sql.NullInt64
	err := row.Scan(append([]any{&r.ID, &hashText, &previousText, &previousUntil, &r.Name, &r.Owner, &r.Tenant,
		&permissions, &labels, &r.Imported, &created, &expires, &revoked, &r.Plan}, more...)...)
	if err != nil {
		return Record{}, err
	}
	unreadable := func(field string, err error) (Record, error) {
		return Record{ID: r.ID}, fmt.Errorf("%w of key %s: %s: %w", errUnreadable, r.ID, field, err)
	}
	if r.hash, err = s.secrets.parseHash(hashText); err != nil {
		return unreadable("hash", err)
	}
	if previousText.Valid {
		if r.previous, err = s.secrets.parseHash(previousText.String); err != nil {
			return unreadable("previous_hash", err)
		}
	}
	if err := json.Unmarshal([]byte(permissions), &r.Permissions); err != nil {
		return unreadable("permissions", err)
	}
	if labels != "{}" {
		if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
			return unreadable("labels", err)
		}
	}
	r.CreatedAt = time.UnixMilli(created).UTC()
	r.PreviousUntil, r.ExpiresAt, r.RevokedAt = moment(previousUntil), moment(expires), moment(revoked)
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
