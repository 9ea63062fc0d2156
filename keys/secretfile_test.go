package keys

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func openWith(t *testing.T, path, secret string) (*Store, error) {
	t.Helper()
	store, err := Open(t.Context(), Settings{DatabaseURL: "sqlite:" + path, Secret: secret})
	if err == nil {
		t.Cleanup(func() { store.Close() })
	}
	return store, err
}

func TestSecretIsMadeBesideTheDatabase(t *testing.T) {
	path := newPath(t)
	store, err := openWith(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	record, text := create(t, store)
	info, err := os.Stat(path + secretSuffix)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("the secret has mode %v, %v; want 0600", info.Mode(), err)
	}
	again, err := openWith(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	read, err := again.ByID(t.Context(), record.ID)
	if err != nil || read.stateOf(digestOf(text), again.secrets, time.Now()) != Valid {
		t.Errorf("ByID = %+v, %v; want the key", read, err)
	}
}

// TestLostOrChangedSecretsAreNamed: nothing is opened that could only answer
// everybody with 401.
func TestLostOrChangedSecretsAreNamed(t *testing.T) {
	path := newPath(t)
	store, err := openWith(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	create(t, store)
	file := path + secretSuffix
	kept := read(t, file)
	for name, c := range map[string]struct {
		spoil func()
		given string
		want  string
	}{
		"gone":           {func() { os.Remove(file) }, "", "is gone: restore the file"},
		"another given":  {func() {}, testSecret, "hashed with a secret that is not given"},
		"another file":   {func() { write(t, file, []byte(testSecret)) }, "", "hashed with a secret that is not given"},
		"empty file":     {func() { write(t, file, nil) }, "", "has 0 bytes, must be at least 32"},
		"read by others": {func() { os.Chmod(file, 0o604) }, "", "others cannot read"},
		"twice":          {func() {}, testSecret + "," + testSecret, "secret 2 is there twice"},
	} {
		c.spoil()
		_, err := openWith(t, path, c.given)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: Open = %v, want it with %q and without the secret", name, err, c.want)
		}
		os.Remove(file)
		write(t, file, kept)
	}
	if _, err := openWith(t, path, ""); err != nil {
		t.Errorf("the secret is back, and Open = %v", err)
	}
}

// TestSecretIsChanged: with the old one named behind it no key ends, and once
// the last key of the old one is gone it is no longer needed.
func TestSecretIsChanged(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		_, before := create(t, openStore(t, db.url))
		const newer = "another-secret-of-the-tests-that-is-long-enough"
		both, err := Open(t.Context(), Settings{DatabaseURL: db.url, Secret: newer + "," + testSecret})
		if err != nil {
			t.Fatal(err)
		}
		defer both.Close()
		_, after := create(t, both)
		cache := newCache(both, Settings{}, time.Now, discard())
		run(t, cache)
		for _, text := range []string{before, after} {
			if answer, err := cache.Find(t.Context(), text); err != nil || answer.State != Valid {
				t.Errorf("%s, %v; want %s", answer.State, err, Valid)
			}
		}
		if store, err := Open(t.Context(), Settings{DatabaseURL: db.url, Secret: newer}); err == nil {
			store.Close()
			t.Error("Open succeeds without the secret of a key")
		}
		parsed, _ := Parse(before)
		execute(t, db.url, `DELETE FROM keys WHERE id = '`+parsed.ID+`'`)
		alone, err := Open(t.Context(), Settings{DatabaseURL: db.url, Secret: newer})
		if err != nil {
			t.Fatal(err)
		}
		alone.Close()
	})
}

// TestUnkeyedHashesAreKeyed: keys of the first version go on, and are under the
// secret from the first start.
func TestUnkeyedHashesAreKeyed(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, text := create(t, store)
		other, _ := create(t, store)
		plain := digestOf(text)
		execute(t, db.url, `UPDATE keys SET hash = '`+plainMarker+hexOf(plain[:])+`' WHERE id = '`+record.ID+`';
			UPDATE keys SET hash = 'sha256:unreadable' WHERE id = '`+other.ID+`'`)
		// Before the next start, as after an older program has written it.
		if read, err := store.ByID(t.Context(), record.ID); err != nil || read.stateOf(plain, store.secrets, time.Now()) != Valid {
			t.Errorf("ByID = %+v, %v; want the key", read, err)
		}
		again := openStore(t, db.url)
		var stored string
		if err := openRaw(t, db.url).QueryRowContext(t.Context(), `SELECT hash FROM keys WHERE id = $1`, record.ID).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(stored, keyedMarker) {
			t.Errorf("the hash is still %s", stored)
		}
		if read, err := again.ByID(t.Context(), record.ID); err != nil || read.stateOf(plain, again.secrets, time.Now()) != Valid {
			t.Errorf("ByID = %+v, %v; want the key", read, err)
		}
		if _, err := again.ByID(t.Context(), other.ID); !errors.Is(err, errUnreadable) {
			t.Errorf("ByID = %v, want it unreadable", err)
		}
	})
}

// TestFirstVersionIsMigrated: a database of the first release, with its keys.
func TestFirstVersionIsMigrated(t *testing.T) {
	path := newPath(t)
	steps, err := migrations(sqliteDialect.migrations)
	if err != nil {
		t.Fatal(err)
	}
	text := unknownKey(t)
	parsed, _ := Parse(text)
	plain := digestOf(text)
	execute(t, "sqlite:"+path, steps[0]+`;
		CREATE TABLE gatewright_migrations (version INTEGER NOT NULL PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
		INSERT INTO gatewright_migrations VALUES (1, 0);
		INSERT INTO keys VALUES ('`+parsed.ID+`', 'sha256:`+hexOf(plain[:])+`', 'old', '', 'acme', '["a"]', 0, NULL, NULL)`)
	store, err := openWith(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	read, err := store.ByID(t.Context(), parsed.ID)
	if err != nil || read.Tenant != "acme" || read.stateOf(plain, store.secrets, time.Now()) != Valid {
		t.Errorf("ByID = %+v, %v; want the key", read, err)
	}
}
