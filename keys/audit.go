package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The actions that the audit knows.
const (
	actionCreate = "create"
	actionRotate = "rotate"
	actionRevoke = "revoke"
	actionImport = "import"
	actionList   = "list"

	actionSetTenant    = "set-tenant"
	actionRemoveTenant = "remove-tenant"
)

// actorUnknown is who changed a key where nobody said.
const actorUnknown = "unknown"

// Audited is one change of a key, or of a tenant's record, that was made through a Store, or one look at the
// list of keys. Changes made in the database by hand are followed by every gateway, and not audited.
type Audited struct {
	// At is when, in UTC.
	At time.Time `json:"at"`
	// Actor is who: what As was told.
	Actor string `json:"actor"`
	// Action is create, list, rotate, revoke, import, set-tenant or remove-tenant.
	Action string `json:"action"`
	// KeyID is the key, empty where it is a tenant's record or a list.
	KeyID string `json:"keyId,omitempty"`
	// Tenant is whose record was changed, empty where it is a key.
	Tenant string `json:"tenant,omitempty"`
	// Detail is what it was changed to, or which keys were asked for and how many were
	// shown: a JSON object, never a secret.
	Detail json.RawMessage `json:"detail"`
}

// As returns the same Store, whose changes are audited as made by actor.
func (s *Store) As(actor string) *Store {
	as := *s
	as.actor = actor
	return &as
}

// AuditFilter says which changes are told. The zero value is the last
// DefaultAuditLimit of all.
type AuditFilter struct {
	// KeyID, where not empty, is the one key.
	KeyID string
	// Tenant, where not empty, is the one tenant whose record was changed.
	Tenant string
	// Since is the time of the oldest; zero is any.
	Since time.Time
	// Limit is how many at most, of the newest. Less than 1 is DefaultAuditLimit.
	Limit int
}

// DefaultAuditLimit is how many changes are told unless more are asked for.
const DefaultAuditLimit = 1000

// Audit returns changes, oldest first.
func (s *Store) Audit(ctx context.Context, filter AuditFilter) ([]Audited, error) {
	audited, err := s.audit(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return audited, nil
}

func (s *Store) audit(ctx context.Context, filter AuditFilter) ([]Audited, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if filter.Limit < 1 {
		filter.Limit = DefaultAuditLimit
	}
	var since int64
	if !filter.Since.IsZero() {
		since = filter.Since.UnixMilli()
	}
	const query = `SELECT at, actor, action, key_id, tenant, detail FROM
		(SELECT * FROM key_audit WHERE ($1 = '' OR key_id = $1) AND ($2 = '' OR tenant = $2) AND at >= $3 ORDER BY seq DESC LIMIT $4) AS newest
		ORDER BY seq`
	rows, err := s.db.QueryContext(ctx, query, filter.KeyID, filter.Tenant, since, filter.Limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	audited := []Audited{}
	for rows.Next() {
		var a Audited
		var at int64
		var detail string
		if err := rows.Scan(&at, &a.Actor, &a.Action, &a.KeyID, &a.Tenant, &detail); err != nil {
			return nil, err
		}
		a.At, a.Detail = time.UnixMilli(at).UTC(), json.RawMessage(detail)
		audited = append(audited, a)
	}
	return audited, rows.Err()
}

// change makes a change in a transaction of its own: what do writes and audits
// is there whole or not at all. All instances are told of it.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	if err := s.transact(ctx, do); err != nil {
		return err
	}
	s.redis.announce(ctx)
	return nil
}

// transact is change, of which no instance need be told.
func (s *Store) transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		if undone := tx.Rollback(); !errors.Is(undone, sql.ErrTxDone) {
			err = errors.Join(err, undone)
		}
		return err
	}
	return tx.Commit()
}

// note writes one change of a key into the audit.
func (s *Store) note(ctx context.Context, tx *sql.Tx, action, id string, detail any) error {
	return s.noteOf(ctx, tx, Audited{Action: action, KeyID: id}, detail)
}

// noteOf writes one change into the audit: what of, and what to.
func (s *Store) noteOf(ctx context.Context, tx *sql.Tx, a Audited, detail any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	const statement = `INSERT INTO key_audit (at, actor, action, key_id, tenant, detail) VALUES ($1, $2, $3, $4, $5, $6)`
	if _, err := tx.ExecContext(ctx, statement, s.now().UnixMilli(), s.actor, a.Action, a.KeyID, a.Tenant, string(text)); err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}
