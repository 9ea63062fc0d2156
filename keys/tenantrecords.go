package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Tenants returns the records of all customers, by name.
func (s *Store) Tenants(ctx context.Context) ([]Tenant, error) {
	all, err := s.tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing tenants: %w", err)
	}
	return all, nil
}

func (s *Store) tenants(ctx context.Context) ([]Tenant, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+tenantColumns+` FROM tenants ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Tenant{}
	for rows.Next() {
		t, err := scanTenant(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// Tenant returns the record of a customer, or an error that wraps ErrNotFound.
func (s *Store) Tenant(ctx context.Context, name string) (Tenant, error) {
	err := s.ready(ctx)
	var t Tenant
	if err == nil {
		t, err = selectTenant(ctx, s.db, name)
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("reading tenant %.64q: %w", name, err)
	}
	return t, nil
}

// SetTenant changes the record of a customer, on every gateway that has the
// database open, and returns it. change is given the record as it is, with
// nothing but the name where there is none, and may be called once only. Of two
// changes at once the second is given what the first has made.
func (s *Store) SetTenant(ctx context.Context, name string, change func(*Tenant)) (Tenant, error) {
	var t Tenant
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if s.dialect.tenantsLock != "" {
			if _, err := tx.ExecContext(ctx, s.dialect.tenantsLock); err != nil {
				return err
			}
		}
		t, err = selectTenant(ctx, tx, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		t.Name = name
		t.Limits = maps.Clone(t.Limits)
		change(&t)
		t.ChangedAt = inMilliseconds(s.now())
		if err := t.validate(); err != nil {
			return invalid(err)
		}
		if err := s.noteOf(ctx, tx, Audited{Action: actionSetTenant, Tenant: name}, t); err != nil {
			return err
		}
		return putTenant(ctx, tx, t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("setting tenant %.64q: %w", name, err)
	}
	return t, nil
}

// RemoveTenant removes the record of a customer, on every gateway: its callers
// have the limits that everybody has. It returns the record as it was. The error
// wraps ErrNotFound where there is none.
func (s *Store) RemoveTenant(ctx context.Context, name string) (Tenant, error) {
	var t Tenant
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		t, err = scanTenant(tx.QueryRowContext(ctx, `DELETE FROM tenants WHERE name = $1 RETURNING `+tenantColumns, name))
		if err != nil && !errors.Is(err, errUnreadable) { // what makes no sense can go
			return tenantMissing(err)
		}
		return s.noteOf(ctx, tx, Audited{Action: actionRemoveTenant, Tenant: name}, map[string]any{})
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("removing tenant %.64q: %w", name, err)
	}
	return t, nil
}

func selectTenant(ctx context.Context, db querier, name string) (Tenant, error) {
	t, err := scanTenant(db.QueryRowContext(ctx, `SELECT `+tenantColumns+` FROM tenants WHERE name = $1`, name))
	return t, tenantMissing(err)
}

// errNoTenant is ErrNotFound in words that fit.
var errNoTenant = missing{"no such tenant"}

// missing is an ErrNotFound of something else than a key.
type missing struct{ text string }

func (m missing) Error() string { return m.text }

// Is implements errors.Is.
func (missing) Is(target error) bool { return target == ErrNotFound }

// tenantMissing is the error of a read that found no row, and any other as it is.
func tenantMissing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNoTenant
	}
	return err
}

func putTenant(ctx context.Context, tx *sql.Tx, t Tenant) error {
	limits := []byte(`{}`)
	if len(t.Limits) > 0 {
		var err error
		if limits, err = json.Marshal(t.Limits); err != nil {
			return fmt.Errorf("writing limits: %w", err)
		}
	}
	const statement = `INSERT INTO tenants (name, plan, limits, note, changed_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO UPDATE SET plan = excluded.plan, limits = excluded.limits, note = excluded.note, changed_at = excluded.changed_at`
	_, err := tx.ExecContext(ctx, statement, t.Name, t.Plan, string(limits), t.Note, t.ChangedAt.UnixMilli())
	return err
}

// tenantColumns are those that scanTenant reads, in its order.
const tenantColumns = `name, plan, limits, note, changed_at`

func scanTenant(row interface{ Scan(...any) error }) (Tenant, error) {
	var t Tenant
	var limits string
	var changed int64
	if err := row.Scan(&t.Name, &t.Plan, &limits, &t.Note, &changed); err != nil {
		return Tenant{}, err
	}
	t.ChangedAt = time.UnixMilli(changed).UTC()
	return t, t.readLimits(limits)
}

// readLimits reads the column. Its error marks a row that is there and makes no
// sense: somebody has written it by hand.
func (t *Tenant) readLimits(text string) error {
	if text == "{}" {
		return nil
	}
	var limits map[string]config.Numbers
	if err := json.Unmarshal([]byte(text), &limits); err != nil {
		return fmt.Errorf("%w of tenant %.64q: limits: %w", errUnreadable, t.Name, err)
	}
	t.Limits = limits
	return nil
}
