package keys

import (
	"context"
	"database/sql"
	"time"
)

// tenantChange is one entry of the feed: what a name holds since change number
// seq. Without a tenant it holds nothing; with err, a row that cannot be read.
type tenantChange struct {
	seq    int64
	name   string
	tenant *Tenant
	err    error
}

// newestTenantChange is the number of the last change, 0 where there was none.
func (s *Store) newestTenantChange(ctx context.Context) (seq int64, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := s.file.replaced(); err != nil {
		return 0, err
	}
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM tenant_changes`).Scan(&seq)
	return seq, err
}

// tenantChangesAfter returns the first changes after number seq, limit at most, in
// order. Of several changes to a record it returns the last; after 0 it returns
// all records.
func (s *Store) tenantChangesAfter(ctx context.Context, seq int64, limit int) ([]tenantChange, error) {
	const query = `SELECT seq, tenant_changes.name, plan, limits, note, changed_at
		FROM tenant_changes LEFT JOIN tenants ON tenants.name = tenant_changes.name
		WHERE seq > $1 ORDER BY seq LIMIT $2`
	rows, err := s.db.QueryContext(ctx, query, seq, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var changes []tenantChange
	for rows.Next() {
		var c tenantChange
		var plan, limits, note sql.NullString
		var changed sql.NullInt64
		if err := rows.Scan(&c.seq, &c.name, &plan, &limits, &note, &changed); err != nil {
			return nil, err
		}
		if plan.Valid {
			c.tenant = &Tenant{Name: c.name, Plan: plan.String, Note: note.String, ChangedAt: time.UnixMilli(changed.Int64).UTC()}
			c.err = c.tenant.readLimits(limits.String)
		}
		changes = append(changes, c)
	}
	return changes, rows.Err()
}
