package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// found is what the database holds of an id: a record; or, with both fields
// nil, nothing; or a row that cannot be read, and so neither admits nor denies.
type found struct {
	record *Record
	err    error
	// version is the number of the record's last change, read at once with it; 0
	// where somebody has taken that out of the feed.
	version int64
	// from is who had it.
	from layer
}

// change is one entry of the feed: what an id holds since change number seq.
type change struct {
	seq int64
	id  string
	found
}

// lookUp returns what is stored under each of ids. An id that nothing is
// stored under is missing in the answer.
func (s *Store) lookUp(ctx context.Context, ids []string) (map[string]found, error) {
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("looking up keys: %w", err)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("looking up keys: %w", err)
	}
	query := `SELECT ` + recordColumns + `, coalesce(seq, 0) FROM keys LEFT JOIN key_changes USING (id)
		WHERE id IN (` + s.dialect.ids + `)`
	rows, err := s.db.QueryContext(ctx, query, string(list))
	if err != nil {
		return nil, fmt.Errorf("looking up keys: %w", err)
	}
	defer rows.Close()
	answer := make(map[string]found, len(ids))
	for rows.Next() {
		var version int64
		record, err := s.scanRecord(rows, &version)
		if err != nil && !errors.Is(err, errUnreadable) {
			return nil, fmt.Errorf("looking up keys: %w", err)
		}
		answer[record.ID] = readable(record, version, err)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("looking up keys: %w", err)
	}
	return answer, nil
}

// newest is how far the feed goes.
type newest struct {
	// seq is the number of the last change, 0 where there was none.
	seq int64
	// imported says whether any key was imported: only then can a text that is
	// not one of ours be a key.
	imported bool
}

func (s *Store) newestChange(ctx context.Context) (newest, error) {
	if err := s.ready(ctx); err != nil {
		return newest{}, fmt.Errorf("reading the number of the last change: %w", err)
	}
	if err := s.file.replaced(); err != nil {
		return newest{}, err
	}
	var n newest
	const query = `SELECT coalesce(max(seq), 0), EXISTS (SELECT 1 FROM keys WHERE imported) FROM key_changes`
	if err := s.db.QueryRowContext(ctx, query).Scan(&n.seq, &n.imported); err != nil {
		return newest{}, fmt.Errorf("reading the number of the last change: %w", err)
	}
	return n, nil
}

// changesAfter returns the first changes after number seq, limit at most, in
// order. Of several changes to a key it returns the last.
func (s *Store) changesAfter(ctx context.Context, seq int64, limit int) ([]change, error) {
	ids, changes, err := s.changedIDs(ctx, seq, limit)
	if err != nil {
		return nil, fmt.Errorf("reading changes: %w", err)
	}
	// What the ids hold is read after their numbers, so it is at least as new;
	// what is newer comes again with a higher number.
	holds, err := s.lookUp(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		changes[i].found = holds[changes[i].id]
	}
	return changes, nil
}

func (s *Store) changedIDs(ctx context.Context, seq int64, limit int) (ids []string, changes []change, err error) {
	const query = `SELECT seq, id FROM key_changes WHERE seq > $1 ORDER BY seq LIMIT $2`
	rows, err := s.db.QueryContext(ctx, query, seq, limit)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.seq, &c.id); err != nil {
			return nil, nil, err
		}
		ids, changes = append(ids, c.id), append(changes, c)
	}
	return ids, changes, rows.Err()
}

// ring returns the secrets that the keys are hashed with.
func (s *Store) ring() *ring { return s.secrets }

func readable(record Record, version int64, err error) found {
	if err != nil {
		return found{err: err}
	}
	return found{record: &record, version: version}
}

// latestChanges returns the numbers of the newest changes, limit at most, the
// oldest of them first, all read at once.
func (s *Store) latestChanges(ctx context.Context, limit int) ([]change, error) {
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("reading the latest changes: %w", err)
	}
	const query = `SELECT seq, id FROM (SELECT seq, id FROM key_changes ORDER BY seq DESC LIMIT $1) AS newest ORDER BY seq`
	rows, err := s.db.QueryContext(ctx, query, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the latest changes: %w", err)
	}
	defer rows.Close()
	var changes []change
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.seq, &c.id); err != nil {
			return nil, fmt.Errorf("reading the latest changes: %w", err)
		}
		changes = append(changes, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the latest changes: %w", err)
	}
	return changes, nil
}

// identity tells the database from every other, and from its own past: what was
// read of one says nothing of another, though the keys have the same ids.
func (s *Store) identity(ctx context.Context) (string, error) {
	if err := s.ready(ctx); err != nil {
		return "", fmt.Errorf("reading which database it is: %w", err)
	}
	var identity string
	if err := s.db.QueryRowContext(ctx, s.dialect.identity).Scan(&identity); err != nil {
		return "", fmt.Errorf("reading which database it is: %w", err)
	}
	return identity, nil
}
