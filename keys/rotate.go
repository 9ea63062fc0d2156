package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Rotate gives a key a new secret; its id, and all that it may do, stay. The
// secret before goes on for overlap, so that its holders can change to the new
// one; with an overlap of 0 it ends at once, as after a leak. The new text is
// one of ours also where the key was imported.
//
// A key that is revoked or expired is not rotated. While an earlier rotation's
// overlap lasts, only an overlap of 0 is taken: a key has two secrets at most.
func (s *Store) Rotate(ctx context.Context, id string, overlap time.Duration) (Record, Secret, error) {
	if err := idFault("rotating", id); err != nil {
		return Record{}, Secret{}, err
	}
	if overlap < 0 {
		return Record{}, Secret{}, invalid(fmt.Errorf("rotating key %s: overlap: %s, must not be negative", id, overlap))
	}
	key, err := newSecretOf(id, s.random)
	if err != nil {
		return Record{}, Secret{}, fmt.Errorf("rotating key %s: %w", id, err)
	}
	var record Record
	err = s.change(ctx, func(tx *sql.Tx) (err error) {
		record, err = s.rotate(ctx, tx, key, overlap)
		return err
	})
	if err != nil {
		return Record{}, Secret{}, fmt.Errorf("rotating key %s: %w", id, err)
	}
	return record, key.Secret, nil
}

func (s *Store) rotate(ctx context.Context, tx *sql.Tx, key Key, overlap time.Duration) (Record, error) {
	before, err := s.selectOne(ctx, tx, key.ID)
	if err != nil {
		return Record{}, err
	}
	now := s.now()
	if err := before.rotationFault(now, overlap); err != nil {
		return Record{}, invalid(err)
	}
	after := before
	after.hash = s.secrets.hashOf(digestOf(key.Secret.Reveal()))
	after.previous = before.hash
	after.PreviousUntil = inMilliseconds(now.Add(overlap))
	// Of two rotations at once one is refused, as the hash is no longer the same.
	const statement = `UPDATE keys SET hash = $1, previous_hash = $2, previous_until = $3
		WHERE id = $4 AND hash = $5 AND revoked_at IS NULL`
	result, err := tx.ExecContext(ctx, statement, after.hash.stored(), after.previous.stored(),
		milliseconds(after.PreviousUntil), key.ID, before.hash.stored())
	if err != nil {
		return Record{}, err
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return Record{}, err
	}
	if changed != 1 {
		return Record{}, invalid(errors.New("somebody else changed it meanwhile: try again"))
	}
	return after, s.note(ctx, tx, actionRotate, key.ID, map[string]any{"previousUntil": after.PreviousUntil})
}

// rotationFault returns why a key cannot be rotated now.
func (r Record) rotationFault(now time.Time, overlap time.Duration) error {
	switch {
	case r.StateAt(now) != Valid:
		return fmt.Errorf("it is %s: create another", r.StateAt(now))
	case overlap > 0 && now.Before(r.PreviousUntil):
		return fmt.Errorf("its secret before the last rotation goes on until %s: wait, or rotate with an overlap of 0, which ends both",
			r.PreviousUntil.Format(time.RFC3339))
	}
	return nil
}
