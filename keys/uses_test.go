package keys

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestLastUseIsWrittenInBatches(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		record, text := create(t, r.other)
		unused, _ := create(t, r.other)
		r.want(t, text, Valid)
		r.want(t, otherSecret(t, text), Unknown)
		used := inMilliseconds(r.clock.Now())
		lastUsed := func() time.Time {
			t.Helper()
			read, err := r.other.ByID(t.Context(), record.ID)
			if err != nil {
				t.Fatal(err)
			}
			return read.LastUsedAt
		}
		if at := lastUsed(); !at.IsZero() {
			t.Errorf("used at %v before anything was written", at)
		}
		before, err := r.other.newestChange(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.writeUses(t.Context())
		if at := lastUsed(); !at.Equal(used) {
			t.Errorf("used at %v, want %v", at, used)
		}
		if after, err := r.other.newestChange(t.Context()); err != nil || after != before {
			t.Errorf("a use is in the feed: %+v, %v", after, err)
		}
		// Another instance whose clock is behind, or that writes late.
		if err := r.other.writeUses(t.Context(), map[string]time.Time{record.ID: used.Add(-time.Hour), "0000000000000": used}); err != nil {
			t.Fatal(err)
		}
		if at := lastUsed(); !at.Equal(used) {
			t.Errorf("used at %v, want %v still", at, used)
		}
		r.other.now = func() time.Time { return used.Add(time.Hour) }
		listed, err := r.other.List(t.Context(), Filter{UnusedSince: used})
		if err != nil || len(listed) > 1 || len(listed) == 1 && listed[0].ID != unused.ID {
			t.Errorf("unused: %+v, %v; want none but %s", listed, err, unused.ID)
		}
		listed, err = r.other.List(t.Context(), Filter{UnusedSince: used.Add(time.Hour)})
		if err != nil || len(listed) != 2 {
			t.Errorf("unused for an hour: %+v, %v; want both", listed, err)
		}
		execute(t, db.url, `DELETE FROM keys`)
		var left int
		if err := openRaw(t, db.url).QueryRowContext(t.Context(), `SELECT count(*) FROM key_uses`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d uses of deleted keys, %v; want none", left, err)
		}
	})
}

// sink is a source that takes uses, or refuses them.
type sink struct {
	source
	refused bool
	written []map[string]time.Time
}

func (s *sink) writeUses(_ context.Context, uses map[string]time.Time) error {
	if s.refused {
		return errors.New("refused by the test")
	}
	s.written = append(s.written, uses)
	return nil
}

func TestUsesAreKeptUntilTheyAreWritten(t *testing.T) {
	s := &sink{refused: true}
	cache := newCache(s, Settings{CacheEntries: usesBatch + 1}, time.Now, discard())
	for i := range usesBatch + 10 { // nine too many
		cache.uses.note(fmt.Sprint(i), noon)
	}
	cache.writeUses(t.Context())
	cache.uses.note("0", noon.Add(time.Second))
	s.refused = false
	cache.writeUses(t.Context())
	if len(s.written) != 2 || len(s.written[0])+len(s.written[1]) != usesBatch+1 {
		t.Fatalf("%d writes, want two with %d keys", len(s.written), usesBatch+1)
	}
	if at := s.written[0]["0"]; !at.Equal(noon.Add(time.Second)) {
		t.Errorf("the later use was lost: %v", at)
	}
	cache.writeUses(t.Context())
	if len(s.written) != 2 {
		t.Error("what was written is written again")
	}
}

// TestLastUsesAreWrittenAtTheEnd: a gateway that stops in order loses none.
func TestLastUsesAreWrittenAtTheEnd(t *testing.T) {
	store := openStore(t, newSQLite(t).url)
	record, text := create(t, store)
	cache := newCache(store, Settings{}, time.Now, discard())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cache.Run(ctx) }()
	if answer, err := cache.Find(t.Context(), text); err != nil || answer.State != Valid {
		t.Fatalf("%s, %v", answer.State, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if read, err := store.ByID(t.Context(), record.ID); err != nil || read.LastUsedAt.IsZero() {
		t.Errorf("ByID = %+v, %v; want its last use", read, err)
	}
}
