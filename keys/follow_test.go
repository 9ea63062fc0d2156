package keys

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// The bound that the project promises for any change, on every instance.
const promised = 2 * time.Second

func TestRevocationByAnotherProcessIsEffectiveInTime(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		gateway, command := openStore(t, db.url), openStore(t, db.url)
		cache := newCache(gateway, Settings{}, time.Now, discard())
		run(t, cache)
		for range 5 {
			record, text := create(t, command)
			if answer, err := cache.Find(t.Context(), text); err != nil || answer.State != Valid {
				t.Fatalf("%s, %v; want %s", answer.State, err, Valid)
			}
			if _, err := command.Revoke(t.Context(), record.ID); err != nil {
				t.Fatal(err)
			}
			revoked := time.Now()
			eventually(t, func() bool {
				asked := time.Now()
				answer, err := cache.Find(t.Context(), text)
				if err != nil {
					t.Fatal(err)
				}
				if answer.State == Valid && asked.Sub(revoked) > promised {
					t.Fatalf("valid %s after it was revoked", asked.Sub(revoked))
				}
				return answer.State == Revoked
			})
		}
	})
}

func TestChangesByHandAreFollowed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		record, text := create(t, r.other)
		r.want(t, text, Valid)
		where := ` WHERE id = '` + record.ID + `'`

		execute(t, db.url, `UPDATE keys SET permissions = '["other"]'`+where)
		r.poll(t)
		if answer := r.find(t, text); answer.State != Valid || answer.Record.HasPermissions([]string{"users:read"}) {
			t.Errorf("%s with %q, want other permissions", answer.State, answer.Record.Permissions)
		}
		execute(t, db.url, `CREATE TABLE kept AS SELECT * FROM keys; DELETE FROM keys`+where)
		r.poll(t)
		r.want(t, text, Unknown)
		execute(t, db.url, `INSERT INTO keys SELECT * FROM kept`)
		r.poll(t)
		r.want(t, text, Valid)
	})
}

func TestManyChangesAtOnceAreFollowed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, text := create(t, r.other)
		r.want(t, text, Valid)
		execute(t, db.url, `
			WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
			INSERT INTO keys (id, hash, name, owner, tenant, permissions, created_at)
				SELECT substr('0000000000000' || i, length('' || i) + 1), '' || i, 'many', '', '', '[]', 0 FROM n;
			UPDATE keys SET revoked_at = 1;`)
		r.poll(t)
		reads := r.tap.lookUps.Load()
		r.want(t, text, Revoked)
		if r.tap.lookUps.Load() != reads {
			t.Error("the revoked key was read again: the feed had told")
		}
	})
}

// A process that was stopped, or had no processor, for longer than news keep
// asks the database before it believes its memory.
func TestOldNewsAreNotBelieved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{StaleFor: time.Hour})
		for range 10 {
			record, text := create(t, r.other)
			r.want(t, text, Valid)
			if _, err := r.other.Revoke(t.Context(), record.ID); err != nil {
				t.Fatal(err)
			}
			r.clock.advance(freshFor + 1)
			r.want(t, text, Revoked)
		}
	})
}

func TestOlderCopyOfTheDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, text := create(t, r.other)
		r.want(t, text, Valid)
		r.poll(t)
		execute(t, db.url, `UPDATE keys SET revoked_at = 1; DELETE FROM key_changes`)
		r.poll(t)
		r.want(t, text, Revoked)
	})
}

func TestKnownKeysGoOnWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{StaleFor: time.Minute})
		record, text := create(t, r.other)
		_, unread := create(t, r.other)
		r.want(t, text, Valid)

		r.tap.refused.Store(true)
		eventually(t, func() bool { return r.health.Load().err != nil })
		reads := r.tap.lookUps.Load()
		down := r.health.Load().synced
		r.clock.advance(down.Add(freshFor + time.Minute).Sub(r.clock.Now()))
		r.want(t, text, Valid)
		r.want(t, "gw_", Malformed)
		if answer, err := r.Find(t.Context(), unread); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errRefused) || answer.State != "" {
			t.Errorf("a key not read yet: %q, %v; want no verdict and ErrUnavailable", answer.State, err)
		}
		r.clock.advance(1)
		if answer, err := r.Find(t.Context(), text); !errors.Is(err, ErrUnavailable) || answer.State != "" {
			t.Errorf("a known key after the stale time: %q, %v; want no verdict and ErrUnavailable", answer.State, err)
		}
		if more := r.tap.lookUps.Load() - reads; more != 0 {
			t.Errorf("%d reads of keys while the database was down, want none: the feed is what probes", more)
		}

		// What was changed meanwhile is known once it answers again.
		if _, err := r.other.Revoke(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		r.tap.refused.Store(false)
		eventually(t, func() bool { return r.health.Load().err == nil })
		r.want(t, text, Revoked)
		r.want(t, unread, Valid)
	})
}

func TestNoStaleTimeMeansNone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{StaleFor: 0})
		_, text := create(t, r.other)
		r.want(t, text, Valid)
		r.tap.refused.Store(true)
		eventually(t, func() bool { return r.health.Load().err != nil })
		r.clock.advance(r.health.Load().synced.Add(freshFor + 1).Sub(r.clock.Now()))
		if _, err := r.Find(t.Context(), text); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Find = %v, want ErrUnavailable", err)
		}
	})
}

func TestNoStampedeWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		var texts []string
		for range 50 {
			_, text := create(t, r.other)
			texts = append(texts, text)
		}
		r.tap.refused.Store(true)
		eventually(t, func() bool { return r.health.Load().err != nil })
		before := r.tap.lookUps.Load()
		began := time.Now()
		var asking sync.WaitGroup
		for range 64 {
			asking.Go(func() {
				for _, text := range texts {
					eventually(t, func() bool {
						answer, err := r.Find(t.Context(), text)
						if answer.State != Valid && !errors.Is(err, ErrUnavailable) {
							t.Errorf("%s, %v; want %s or ErrUnavailable", answer.State, err, Valid)
						}
						return answer.State == Valid
					})
				}
			})
		}
		r.tap.refused.Store(false)
		asking.Wait()
		if reads, bound := r.tap.lookUps.Load()-before, int64(time.Since(began)/loadGap)+1; reads > bound {
			t.Errorf("%d reads, want at most %d", reads, bound)
		}
	})
}

func TestHangingDatabaseHoldsUpNobodyItNeedNot(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{StaleFor: time.Minute})
		_, text := create(t, r.other)
		r.want(t, text, Valid)
		r.tap.hanging.Store(true)
		r.clock.advance(freshFor - pollEvery - readTimeout) // as much as passes before it is noticed
		began := time.Now()
		if _, err := r.Find(t.Context(), unknownKey(t)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Find = %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > waitTimeout+readTimeout {
			t.Errorf("an unread key waited %s", took)
		}
		eventually(t, func() bool { return r.health.Load().err != nil })
		polls := r.tap.polls.Load()
		for range 1000 {
			r.want(t, text, Valid)
			if _, err := r.Find(t.Context(), unknownKey(t)); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("Find = %v, want ErrUnavailable", err)
			}
		}
		if waited := r.tap.polls.Load() - polls; waited > 20 {
			t.Errorf("2000 requests took the time of %d reads that hang", waited)
		}
		r.tap.hanging.Store(false)
		eventually(t, func() bool { return r.health.Load().err == nil })
		r.want(t, unknownKey(t), Unknown)
	})
}

func TestUnreadableRecordIsNoVerdict(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		record, text := create(t, r.other)
		_, good := create(t, r.other)
		r.want(t, text, Valid)
		execute(t, db.url, `UPDATE keys SET hash = 'md5:00' WHERE id = '`+record.ID+`'`)
		r.poll(t)
		together(2, 2, func(i int) {
			answer, err := r.Find(t.Context(), []string{text, good}[i])
			if i == 0 && !errors.Is(err, errUnreadable) || i == 1 && answer.State != Valid {
				t.Errorf("%s, %v", answer.State, err)
			}
		})
		if r.health.Load().err != nil {
			t.Error("one bad row is taken for a database that does not answer")
		}
	})
}

func TestReplacedFileIsNoticed(t *testing.T) {
	path := newPath(t)
	store := openStore(t, "sqlite:"+path)
	copied := filepath.Join(t.TempDir(), "copy.db")
	write(t, copied, read(t, path))
	if err := os.Rename(copied, path); err != nil {
		t.Fatal(err)
	}
	if _, err := store.newestChange(t.Context()); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("newestChange = %v, want it to say that the file was replaced", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := store.newestChange(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("newestChange = %v, want it to say that the file is gone", err)
	}
}

func TestFindEndsWithItsContext(t *testing.T) {
	cache := newCache(openStore(t, newSQLite(t).url), Settings{}, time.Now, discard()) // without Run nobody answers
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if _, err := cache.Find(ctx, unknownKey(t)); !errors.Is(err, ErrUnavailable) || !errors.Is(err, gone) {
		t.Errorf("Find = %v, want ErrUnavailable and the cause", err)
	}
}

func TestStoppedCacheAnswersAtOnce(t *testing.T) {
	cache := newCache(openStore(t, newSQLite(t).url), Settings{}, time.Now, discard())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cache.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if _, err := cache.Find(t.Context(), unknownKey(t)); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errStopped) {
		t.Errorf("Find = %v, want ErrUnavailable", err)
	}
}
