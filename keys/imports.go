package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Import is a key of another program: what it shall be, and either its text or
// the SHA-256 of that.
type Import struct {
	Spec
	// Line is where it stands in its file, for faults.
	Line int

	digest digest
	id     string // that in its text, where it is one of ours
}

// The bounds of a text that is not ours. A shorter one could be guessed.
const (
	minImportedBytes = 16
	maxImportedBytes = 512
)

// importedTextFault returns why a text cannot be the key of another program. It
// repeats nothing of it.
func importedTextFault(text string) error {
	switch {
	case len(text) < minImportedBytes || len(text) > maxImportedBytes:
		return fmt.Errorf("%d bytes, must be %d to %d", len(text), minImportedBytes, maxImportedBytes)
	case strings.HasPrefix(text, prefix):
		return fmt.Errorf("it begins with %s as ours do, and is none", prefix)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("must be printable ASCII without space")
	}
	return nil
}

// Import adds all of imports, or none. Its error has every fault, each with its
// line. The id of a key that was made here before is that in its text; of any
// other it is drawn from its text by the secret, so that it can be found.
func (s *Store) Import(ctx context.Context, imports []Import) ([]Record, error) {
	records, err := s.importable(imports)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := s.presentFault(ctx, tx, imports, records); err != nil {
			return err
		}
		// The keys come last: from the first of them on other writers of keys
		// wait, and one of them may have a revocation.
		for _, record := range records {
			if err := s.note(ctx, tx, actionImport, record.ID, record); err != nil {
				return err
			}
		}
		for i, record := range records {
			if err := insert(ctx, tx, record); err != nil {
				return fmt.Errorf("line %d: %w", imports[i].Line, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("importing keys: %w", err)
	}
	return records, nil
}

// importable returns the records that imports describe, or all their faults
// but those that only the database knows.
func (s *Store) importable(imports []Import) ([]Record, error) {
	now := s.now()
	var faults []error
	lines := map[string]int{}
	var records []Record
	for _, i := range imports {
		if err := i.validate(now); err != nil {
			faults = append(faults, atLine(i.Line, err))
		}
		record := i.record(i.id, s.secrets.hashOf(i.digest), now)
		if i.id == "" {
			record.ID, record.Imported = s.secrets.secrets[0].importedID(i.digest), true
		}
		if first, twice := lines[record.ID]; twice {
			faults = append(faults, fmt.Errorf("line %d: the same key as in line %d", i.Line, first))
		} else {
			lines[record.ID] = i.Line
		}
		records = append(records, record)
	}
	if len(faults) > 0 {
		return nil, invalid(errors.Join(faults...))
	}
	return records, nil
}

// presentFault returns which of the keys are there already, under whichever of
// the secrets they were imported.
func (s *Store) presentFault(ctx context.Context, tx *sql.Tx, imports []Import, records []Record) error {
	lines := map[string]int{}
	for i, record := range records {
		lines[record.ID] = imports[i].Line
		if record.Imported {
			for _, secret := range s.secrets.secrets[1:] {
				lines[secret.importedID(imports[i].digest)] = imports[i].Line
			}
		}
	}
	present, err := s.presentIDs(ctx, tx, slices.Sorted(maps.Keys(lines)))
	if err != nil {
		return fmt.Errorf("looking for keys that are there already: %w", err)
	}
	slices.SortFunc(present, func(a, b string) int { return lines[a] - lines[b] })
	var faults []error
	for _, id := range present {
		faults = append(faults, fmt.Errorf("line %d: the key is there already, as %s", lines[id], id))
	}
	return invalid(errors.Join(faults...))
}

// presentIDs returns those of ids that are keys.
func (s *Store) presentIDs(ctx context.Context, tx *sql.Tx, ids []string) ([]string, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT id FROM keys WHERE id IN (`+s.dialect.ids+`)`, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var present []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		present = append(present, id)
	}
	return present, rows.Err()
}

// atLine gives each of the faults joined in err its line.
func atLine(line int, err error) error {
	var lines []error
	for fault := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, fmt.Errorf("line %d: %s", line, fault))
	}
	return errors.Join(lines...)
}
