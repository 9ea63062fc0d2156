package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatewright/gatewright/internal/testenv"
)

// outage is a PostgreSQL of a test's own, and a running Cache of it.
type outage struct {
	*rig
	server *testenv.Postgres
}

func newOutage(t *testing.T, settings Settings) outage {
	t.Helper()
	server := testenv.StartPostgres(t)
	return outage{newRig(t, database{url: server.NewDatabase(t)}, settings), server}
}

func (o outage) waitHealth(t *testing.T, well bool) {
	t.Helper()
	eventually(t, func() bool { return (o.health.Load().err == nil) == well })
}

func (o outage) start(t *testing.T) {
	t.Helper()
	if err := o.server.Start(); err != nil {
		t.Fatal(err)
	}
}

// unavailable fails unless nobody can judge the key.
func (o outage) unavailable(t *testing.T, text string) {
	t.Helper()
	answer, err := o.Find(t.Context(), text)
	if !errors.Is(err, ErrUnavailable) || answer.State != "" {
		t.Fatalf("%q, %v; want no verdict and ErrUnavailable", answer.State, err)
	}
	if strings.Contains(err.Error(), testenv.PostgresPassword) {
		t.Fatalf("the error holds the password: %v", err)
	}
}

// TestPostgresDownAndBack: killed, or stopped so that it takes connections and
// never answers, known keys go on for the stale time and no longer, unknown ones
// are not judged; once it is back what changed is known.
func TestPostgresDownAndBack(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct{ down, up func(*testing.T, outage) }{
		"killed": {
			func(_ *testing.T, o outage) { o.server.Kill() },
			func(t *testing.T, o outage) { o.start(t) },
		},
		"stopped": {
			func(_ *testing.T, o outage) { o.server.Signal(syscall.SIGSTOP) },
			func(_ *testing.T, o outage) { o.server.Signal(syscall.SIGCONT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t, Settings{StaleFor: time.Hour})
			record, known := create(t, o.other)
			_, unread := create(t, o.other)
			o.want(t, known, Valid)

			fail.down(t, o)
			o.waitHealth(t, false)
			reads := o.tap.lookUps.Load()
			o.want(t, known, Valid)
			o.unavailable(t, unread)
			o.clock.advance(o.health.Load().synced.Add(freshFor + time.Hour + 1).Sub(o.clock.Now()))
			o.unavailable(t, known)
			if more := o.tap.lookUps.Load() - reads; more != 0 {
				t.Errorf("%d reads of keys while the database was down, want none: the feed is what probes", more)
			}

			fail.up(t, o)
			o.waitHealth(t, true)
			eventually(t, func() bool { // its connections may have broken just now
				_, err := o.other.Revoke(t.Context(), record.ID)
				return err == nil
			})
			eventually(t, func() bool {
				answer, err := o.Find(t.Context(), known)
				return err == nil && answer.State == Revoked
			})
			eventually(t, func() bool {
				answer, err := o.Find(t.Context(), unread)
				return err == nil && answer.State == Valid
			})
		})
	}
}

// TestNoHerdWhenPostgresIsBack: what waited for it comes to it in a few reads on
// a few connections.
func TestNoHerdWhenPostgresIsBack(t *testing.T) {
	t.Parallel()
	o := newOutage(t, Settings{})
	var texts []string
	for range 200 {
		_, text := create(t, o.other)
		texts = append(texts, text)
	}
	o.server.Kill()
	o.waitHealth(t, false)
	before, began := o.tap.lookUps.Load(), time.Now()
	var asking sync.WaitGroup
	for range 64 {
		asking.Go(func() {
			for _, text := range texts {
				eventually(t, func() bool {
					answer, err := o.Find(t.Context(), text)
					if answer.State != Valid && !errors.Is(err, ErrUnavailable) {
						t.Errorf("%s, %v; want %s or ErrUnavailable", answer.State, err, Valid)
					}
					return answer.State == Valid
				})
			}
		})
	}
	o.start(t)
	asking.Wait()
	if reads, bound := o.tap.lookUps.Load()-before, int64(time.Since(began)/loadGap)+1; reads > bound {
		t.Errorf("%d reads, want at most %d", reads, bound)
	}
	var open int
	const count = `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatewright'`
	if err := o.other.db.QueryRowContext(t.Context(), count).Scan(&open); err != nil || open > 2*connections {
		t.Errorf("%d connections of two Stores, %v; want at most %d", open, err, 2*connections)
	}
}

// TestPostgresDownAtStart: the gateway starts, judges nobody, and serves once
// the database is there, whose tables it then makes.
func TestPostgresDownAtStart(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	server.Kill()
	o := outage{newRig(t, database{url: url}, Settings{StaleFor: time.Hour}), server}
	o.waitHealth(t, false)
	o.unavailable(t, unknownKey(t))
	o.unavailable(t, "the-key-of-another-program")
	if _, _, err := o.other.Create(t.Context(), Spec{Name: "x"}); err == nil || strings.Contains(err.Error(), testenv.PostgresPassword) {
		t.Errorf("Create = %v, want an error without the password", err)
	}
	o.start(t)
	o.waitHealth(t, true)
	_, text := create(t, o.other)
	o.want(t, text, Valid)
}

// TestPostgresRefusals: what waiting does not mend is an error at the start.
func TestPostgresRefusals(t *testing.T) {
	db := newPostgres(t)
	record, _ := create(t, openStore(t, db.url))
	foreign, newer := newPostgres(t), newPostgres(t)
	execute(t, foreign.url, `CREATE TABLE accounts (id INTEGER)`)
	openStore(t, newer.url)
	execute(t, newer.url, `INSERT INTO gatewright_migrations VALUES (99, 0)`)
	for name, c := range map[string]struct{ url, secret, want string }{
		"wrong password":         {strings.Replace(db.url, testenv.PostgresPassword, "hunter2", 1), testSecret, "password authentication failed"},
		"no such database":       {strings.Replace(db.url, "/test", "/none", 1), testSecret, "does not exist"},
		"another secret":         {db.url, strings.Repeat("x", 32), "keys were hashed with a secret that is not given"},
		"short secret":           {db.url, "short", "secret 1 has 5 bytes, must be at least 32"},
		"no secret":              {db.url, "", "GATEWRIGHT_KEY_SECRET is not set"},
		"another program's":      {foreign.url, testSecret, "it is the database of another program"},
		"newer version's tables": {newer.url, testSecret, "its schema has version 99"},
	} {
		store, err := Open(t.Context(), Settings{DatabaseURL: c.url, Secret: c.secret})
		if err == nil {
			store.Close()
			t.Errorf("%s: Open succeeds", name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, testenv.PostgresPassword) ||
			strings.Contains(text, "hunter2") || strings.Contains(text, strings.Repeat("x", 32)) {
			t.Errorf("%s: Open = %v, want it with %q and without a secret", name, err, c.want)
		}
	}
	if _, err := openStore(t, db.url).ByID(t.Context(), record.ID); err != nil {
		t.Error(err)
	}
}

// TestPostgresFeedIsInOrderOfCommit: a reader that remembers the last number has
// seen all that is before it, whatever writers do at once.
func TestPostgresFeedIsInOrderOfCommit(t *testing.T) {
	t.Parallel()
	db := newPostgres(t)
	store := openStore(t, db.url)
	first, _ := create(t, store)
	second, _ := create(t, store)
	end, err := store.newestChange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slow, err := openRaw(t, db.url).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.ExecContext(t.Context(), `UPDATE keys SET name = 'slow' WHERE id = $1`, first.ID); err != nil {
		t.Fatal(err)
	}
	revoked := make(chan error, 1)
	go func() {
		_, err := store.Revoke(t.Context(), second.ID)
		revoked <- err
	}()
	// The later writer waits for the earlier, and neither keeps a reader waiting.
	watch := openRaw(t, db.url)
	eventually(t, func() bool {
		var waiting int
		const count = `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
		if err := watch.QueryRowContext(t.Context(), count).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting == 1
	})
	if now, err := store.newestChange(t.Context()); err != nil || now != end {
		t.Fatalf("newestChange = %+v, %v; want %+v: nothing is committed", now, err, end)
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-revoked; err != nil {
		t.Fatal(err)
	}
	changes, err := store.changesAfter(t.Context(), end.seq, 10)
	if err != nil || len(changes) != 2 || changes[0].id != first.ID || changes[1].id != second.ID {
		t.Errorf("changes = %+v, %v; want those of %s and %s", changes, err, first.ID, second.ID)
	}
}

// TestTruncateByHandIsFollowed: even that is a change.
func TestTruncateByHandIsFollowed(t *testing.T) {
	t.Parallel()
	db := newPostgres(t)
	r := newRig(t, db, Settings{})
	_, text := create(t, r.other)
	r.want(t, text, Valid)
	execute(t, db.url, `TRUNCATE keys`)
	r.poll(t)
	r.want(t, text, Unknown)
}

// TestThreeInstancesOnOnePostgres: each change is effective on all of them
// within the time that is promised.
func TestThreeInstancesOnOnePostgres(t *testing.T) {
	t.Parallel()
	db := newPostgres(t)
	command := openStore(t, db.url)
	var caches [3]*Cache
	for i := range caches {
		caches[i] = newCache(openStore(t, db.url), Settings{}, time.Now, discard())
		run(t, caches[i])
	}
	record, text := create(t, command)
	all := func(text string, wanted State) {
		t.Helper()
		changed := time.Now()
		for i, cache := range caches {
			eventually(t, func() bool {
				asked := time.Now()
				answer, err := cache.Find(t.Context(), text)
				if err != nil {
					t.Fatal(err)
				}
				if answer.State != wanted && asked.Sub(changed) > promised {
					t.Fatalf("instance %d: %s %s after the change, want %s", i, answer.State, asked.Sub(changed), wanted)
				}
				return answer.State == wanted
			})
		}
	}
	all(text, Valid)
	_, secret, err := command.Rotate(t.Context(), record.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	all(text, Expired)
	all(secret.Reveal(), Valid)
	if _, err := command.Revoke(t.Context(), record.ID); err != nil {
		t.Fatal(err)
	}
	all(secret.Reveal(), Revoked)
}

// TestPostgresHoldsNoKey: neither a dump of all tables nor the server's log, in
// which every statement is, has a key or the secret.
func TestPostgresHoldsNoKey(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	store := openStore(t, url)
	record, text := create(t, store)
	_, rotated, err := store.Rotate(t.Context(), record.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	held := server.Log()
	for _, table := range []string{"keys", "key_audit", "key_changes", "key_uses"} {
		var rows string
		query := `SELECT coalesce(string_agg(t::text, chr(10)), '') FROM ` + table + ` t`
		if err := openRaw(t, url).QueryRowContext(t.Context(), query).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		held += rows
	}
	if !strings.Contains(held, record.ID) {
		t.Fatal("the id is nowhere: the test looks in the wrong place")
	}
	for _, text := range []string{text, rotated.Reveal()} {
		secret := text[checksumStart-secretChars : checksumStart]
		for at := 0; at+10 <= len(secret); at++ {
			if strings.Contains(held, secret[at:at+10]) {
				t.Fatal("the database holds part of a key")
			}
		}
		if plain := fmt.Sprintf("%x", digestOf(text)); strings.Contains(held, plain) {
			t.Fatal("the database holds an unkeyed hash")
		}
	}
	if strings.Contains(held, testSecret) {
		t.Fatal("the database holds the secret")
	}
}

func TestWhatComesBack(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{Code: "57P03"}, true},  // it is starting
		{&pgconn.PgError{Code: "53300"}, true},  // too many connections
		{&pgconn.PgError{Code: "28P01"}, false}, // wrong password
		{&pgconn.PgError{Code: "3D000"}, false}, // no such database
		{&pgconn.PgError{Code: ""}, false},
		{context.DeadlineExceeded, true},
		{errors.New("anything else"), false},
	} {
		if got := comesBack(fmt.Errorf("opening: %w", c.err)); got != c.want {
			t.Errorf("comesBack(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
