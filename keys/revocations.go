package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// maxRevocationText bounds each text of a revocation, in bytes: more than any
// issuer's ids have.
const maxRevocationText = 1024

// ErrNoRevocation says that no revocation has the number that was asked for.
var ErrNoRevocation = errors.New("there is no revocation")

// RevokeTokens puts a revocation into force, on every gateway that has the
// database open, and returns it with its number. Revocations of which all tokens
// have expired are deleted on the way.
func (s *Store) RevokeTokens(ctx context.Context, r Revocation) (Revocation, error) {
	r.At = s.now().UTC().Truncate(time.Millisecond)
	if err := r.fault(r.At); err != nil {
		return Revocation{}, fmt.Errorf("revoking tokens: %w", invalid(err))
	}
	if err := s.ready(ctx); err != nil {
		return Revocation{}, fmt.Errorf("revoking tokens: %w", err)
	}
	const over = `DELETE FROM token_revocations WHERE until <= $1`
	if _, err := s.db.ExecContext(ctx, over, r.At.UnixMilli()); err != nil {
		return Revocation{}, fmt.Errorf("revoking tokens: deleting what is over: %w", err)
	}
	const statement = `INSERT INTO token_revocations (issuer, token_id, subject, issued_before, until, at, actor, why)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`
	err := s.db.QueryRowContext(ctx, statement, r.Issuer, r.TokenID, r.Subject,
		milliseconds(r.IssuedBefore), milliseconds(r.Until), r.At.UnixMilli(), r.By, r.Why).Scan(&r.ID)
	if err != nil {
		return Revocation{}, fmt.Errorf("revoking tokens: %w", err)
	}
	return r, nil
}

// RestoreTokens takes a revocation back, on every gateway: what it was about
// holds again as far as it has not expired. The error wraps
// ErrNoRevocation where there is no such revocation.
func (s *Store) RestoreTokens(ctx context.Context, number int64) (Revocation, error) {
	if err := s.ready(ctx); err != nil {
		return Revocation{}, fmt.Errorf("restoring tokens: %w", err)
	}
	const statement = `DELETE FROM token_revocations WHERE id = $1 RETURNING ` + revocationColumns
	r, err := scanRevocation(s.db.QueryRowContext(ctx, statement, number))
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w %d", ErrNoRevocation, number)
	}
	if err != nil {
		return Revocation{}, fmt.Errorf("restoring tokens: %w", err)
	}
	return r, nil
}

// Revocations are all that are in force, oldest first.
func (s *Store) Revocations(ctx context.Context) ([]Revocation, error) {
	all, err := s.revocationsAfter(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("listing revocations: %w", err)
	}
	return all, nil
}

// revocationsAfter are those with higher numbers.
func (s *Store) revocationsAfter(ctx context.Context, number int64) ([]Revocation, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	const query = `SELECT ` + revocationColumns + ` FROM token_revocations
		WHERE id > $1 AND (until IS NULL OR until > $2) ORDER BY id`
	rows, err := s.db.QueryContext(ctx, query, number, s.now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []Revocation{}
	for rows.Next() {
		r, err := scanRevocation(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// revocationsState is by what a gateway sees that revocations have changed.
type revocationsState struct {
	// newest is the highest number; rewritten counts the rows that have been
	// changed or deleted.
	newest, rewritten int64
}

func (s *Store) revocationsState(ctx context.Context) (revocationsState, error) {
	if err := s.ready(ctx); err != nil {
		return revocationsState{}, err
	}
	if err := s.file.replaced(); err != nil {
		return revocationsState{}, err
	}
	var state revocationsState
	const query = `SELECT (SELECT coalesce(max(id), 0) FROM token_revocations), (SELECT rewritten FROM token_revocations_state)`
	err := s.db.QueryRowContext(ctx, query).Scan(&state.newest, &state.rewritten)
	return state, err
}

// revocationColumns are what scanRevocation reads, in its order.
const revocationColumns = `id, issuer, token_id, subject, issued_before, until, at, actor, why`

func scanRevocation(row interface{ Scan(...any) error }) (Revocation, error) {
	var r Revocation
	var before, until sql.NullInt64
	var at int64
	if err := row.Scan(&r.ID, &r.Issuer, &r.TokenID, &r.Subject, &before, &until, &at, &r.By, &r.Why); err != nil {
		return Revocation{}, err
	}
	r.IssuedBefore, r.Until, r.At = moment(before), moment(until), time.UnixMilli(at).UTC()
	return r, nil
}
