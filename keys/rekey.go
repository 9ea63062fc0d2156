package keys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// secretFault returns an error where keys of the database were hashed with a
// secret that is not in the ring: they would all be unusable, and be replaced
// one by one by people who do not know why.
func (r *ring) secretFault(ctx context.Context, db querier) error {
	used, err := fingerprints(ctx, db)
	if err != nil {
		return fmt.Errorf("looking for the secrets that keys were hashed with: %w", err)
	}
	var missing []string
	for _, fingerprint := range used {
		if r.byFingerprint(fingerprint) == nil {
			missing = append(missing, fingerprint)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("keys were hashed with a secret that is not given (fingerprint %s; given is %s): "+
		"restore GATEWRIGHT_KEY_SECRET, or the file of the secret beside the database; to change a secret, name the new and the old: NEW,OLD",
		strings.Join(missing, ", "), r.secrets[0].fingerprint)
}

// usesSecrets reports whether any key is hashed with a secret.
func usesSecrets(ctx context.Context, db querier) (bool, error) {
	used, err := fingerprints(ctx, db)
	if err != nil {
		return false, fmt.Errorf("looking for the secrets that keys were hashed with: %w", err)
	}
	return len(used) > 0, nil
}

// fingerprints returns those of all secrets in use. It hops through the indexes
// from one to the next, so it takes as long for a million keys as for one.
func fingerprints(ctx context.Context, db querier) ([]string, error) {
	var found []string
	for _, column := range []string{"hash", "previous_hash"} {
		query := `SELECT min(` + column + `) FROM keys WHERE ` + column + ` > $1 AND ` + column + ` < $2`
		for after := keyedMarker; ; {
			var next sql.NullString
			if err := db.QueryRowContext(ctx, query, after, pastPrefix(keyedMarker)).Scan(&next); err != nil {
				return nil, err
			}
			if !next.Valid {
				break
			}
			fingerprint, _, _ := strings.Cut(strings.TrimPrefix(next.String, keyedMarker), ":")
			found = append(found, fingerprint)
			after = pastPrefix(keyedMarker + fingerprint + ":")
		}
	}
	return found, nil
}

// pastPrefix returns the least text that is greater than all that begin with
// prefix, which ends in a colon.
func pastPrefix(prefix string) string { return strings.TrimSuffix(prefix, ":") + ";" }

// keyPlainHashes turns the unkeyed hashes of older versions into keyed ones, all
// or none.
func (r *ring) keyPlainHashes(ctx context.Context, db *sql.DB) error {
	plain, err := plainHashes(ctx, db)
	if err != nil || len(plain) == 0 {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for stored, keyed := range r.keyed(plain) {
		// Only if it is still the same: another process may do this too.
		const statement = `UPDATE keys SET hash = $1 WHERE hash = $2`
		if _, err := tx.ExecContext(ctx, statement, keyed.stored(), stored); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// keyed returns the keyed hash of each plain one. What cannot be read stays as
// it is, and is reported when it is used.
func (r *ring) keyed(plain []string) map[string]hash {
	keyed := make(map[string]hash, len(plain))
	for _, stored := range plain {
		if h, err := r.parseHash(stored); err == nil {
			keyed[stored] = h
		}
	}
	return keyed
}

func plainHashes(ctx context.Context, db querier) ([]string, error) {
	const query = `SELECT hash FROM keys WHERE hash >= $1 AND hash < $2`
	rows, err := db.QueryContext(ctx, query, plainMarker, pastPrefix(plainMarker))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var plain []string
	for rows.Next() {
		var stored string
		if err := rows.Scan(&stored); err != nil {
			return nil, err
		}
		plain = append(plain, stored)
	}
	return plain, rows.Err()
}
