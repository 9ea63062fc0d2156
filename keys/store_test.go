package keys

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openStore opens the database at url, and closes it when the test ends.
func openStore(t testing.TB, url string) *Store {
	t.Helper()
	store, err := Open(t.Context(), Settings{DatabaseURL: url, Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "keys.db") }

// create makes a key that may do anything a test asks of it.
func create(t testing.TB, store *Store) (Record, string) {
	t.Helper()
	record, secret, err := store.Create(t.Context(), Spec{Name: "test", Tenant: "acme", Permissions: []string{"users:read"}})
	if err != nil {
		t.Fatal(err)
	}
	return record, secret.Reveal()
}

func TestOpenRefusesWhatItCannotOpen(t *testing.T) {
	dir := t.TempDir()
	for url, want := range map[string]string{
		"postgres://gw:hunter2@db/keys":                         "names another machine and no sslmode",
		"postgresql://gw:hunter2@10.0.0.1,127.0.0.1/keys":       "names another machine and no sslmode",
		"postgres://gw:hunter2@127.0.0.1/keys":                  "GATEWRIGHT_KEY_SECRET is not set",
		"postgres://gw:hunter2/hunter2@127.0.0.1/keys":          "the URL cannot be read",
		"postgres://gw:hunter2@127.0.0.1:hunter2/keys":          "the URL cannot be read",
		"postgres://gw:hunter2@127.0.0.1/keys?sslmode=:hunter2": "the URL cannot be read",
		"postgres://gw:hunter2%zz@127.0.0.1/keys":               "the URL cannot be read",
		"mysql://gw:hunter2@db/keys":                            "must be sqlite:PATH",
		"hunter2.db":                                            "must be sqlite:PATH",
		"sqlite:":                                               "names no file",
		"sqlite::memory:":                                       "names no file",
		"sqlite://hunter2.db":                                   "names no file",
		"sqlite:" + dir:                                         "not a file",
		"sqlite:" + dir + "/none/keys.db":                       "no such file or directory",
	} {
		store, err := Open(t.Context(), Settings{DatabaseURL: url})
		if err == nil {
			store.Close()
			t.Errorf("Open(%s) succeeds", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), ":hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%s) = %v, want one line with %q", url, err, want)
		}
	}
}

func TestOpenTakesAnyCharacterOfAPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory&c#d%41ü.db")
	record, _ := create(t, openStore(t, "sqlite:"+path))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t, "sqlite:"+path).ByID(t.Context(), record.ID); err != nil {
		t.Error(err)
	}
}

func TestNewFilesArePrivate(t *testing.T) {
	path := newPath(t)
	store := openStore(t, "sqlite:"+path)
	create(t, store)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files = %v, %v; want the database and its log", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", file, info.Mode())
		}
	}
}

func TestModeOfAnExistingFileIsLeftAlone(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	openStore(t, "sqlite:"+path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode = %v, %v; want 0640", info.Mode(), err)
	}
}

func TestOpenLeavesNothingButTheDatabase(t *testing.T) {
	path := newPath(t)
	store, err := Open(t.Context(), Settings{DatabaseURL: "sqlite:" + path, Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("files = %v, %v; want keys.db alone", files, err)
	}
}

func TestOpenRefusesFilesThatAreNotItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"text": {func(t *testing.T, path string) {
			write(t, path, bytes.Repeat([]byte("not a database\n"), 1000))
		}, "is not an SQLite database"},
		"damaged beginning": {func(t *testing.T, path string) {
			overwrite(t, path, 0, 100)
		}, "is not an SQLite database"},
		"damaged pages": {func(t *testing.T, path string) {
			overwrite(t, path, 4096, -1)
		}, "the database is damaged"},
		"newer schema": {func(t *testing.T, path string) {
			execute(t, "sqlite:"+path, `INSERT INTO gatewright_migrations VALUES (99, 0)`)
		}, "its schema has version 99, this program knows up to 4: run a newer gatewright"},
		"another program's": {func(t *testing.T, path string) {
			execute(t, "sqlite:"+path, `DROP TABLE gatewright_migrations`)
		}, "it is the database of another program"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			store, err := Open(t.Context(), Settings{DatabaseURL: "sqlite:" + path, Secret: testSecret})
			if err != nil {
				t.Fatal(err)
			}
			create(t, store)
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, path)
			before := read(t, path)
			store, err = Open(t.Context(), Settings{DatabaseURL: "sqlite:" + path, Secret: testSecret})
			if err == nil {
				store.Close()
				t.Fatal("Open succeeds")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open = %v, want the path and %q", err, c.want)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenIsRepeatable(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		record, _ := create(t, openStore(t, db.url))
		again := openStore(t, db.url)
		if got, err := again.ByID(t.Context(), record.ID); err != nil || got.Name != record.Name {
			t.Errorf("ByID = %+v, %v; want %+v", got, err, record)
		}
	})
}

// childURL names, in the environment of a process started by
// TestProcessesOpenTogether, the database that it shall open.
const childURL = "GATEWRIGHT_KEYS_TEST_CHILD"

func TestProcessesOpenTogether(t *testing.T) {
	if url := os.Getenv(childURL); url != "" {
		createInChild(t, url)
		return
	}
	const processes, keysEach = 4, 5
	onEach(t, func(t *testing.T, db database) {
		for round := range 3 {
			url := db.another(t)
			startTogether(t, processes, url)
			records, err := openStore(t, url).List(t.Context(), Filter{})
			if err != nil || len(records) != processes*keysEach {
				t.Fatalf("round %d: %d keys, %v; want %d", round, len(records), err, processes*keysEach)
			}
		}
	})
}

func createInChild(t *testing.T, url string) {
	if _, err := io.ReadAll(os.Stdin); err != nil { // the start, when the parent closes it
		t.Fatal(err)
	}
	store := openStore(t, url)
	for range 5 {
		create(t, store)
	}
}

// startTogether runs this test in as many processes, let loose at one moment.
func startTogether(t *testing.T, processes int, url string) {
	t.Helper()
	start, loose, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var children []*exec.Cmd
	for range processes {
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProcessesOpenTogether$")
		child.Env = append(os.Environ(), childURL+"="+url)
		child.Stdin = start
		output := &bytes.Buffer{}
		child.Stdout, child.Stderr = output, output
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, child)
	}
	start.Close()
	loose.Close()
	for _, child := range children {
		if err := child.Wait(); err != nil {
			t.Errorf("%v: %s", err, child.Stdout)
		}
	}
}

func TestMigrationIsAppliedWholeOrNotAtAll(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		openStore(t, db.url)
		raw := openRaw(t, db.url)
		steps, err := migrations(db.dialect.migrations)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := raw.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		broken := append(steps, `CREATE TABLE halfway (a); CREATE TABLE halfway (a);`)
		err = applyMissing(t.Context(), tx, db.dialect, broken)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint("applying migration ", len(broken))) {
			t.Errorf("applyMissing = %v, want the number of the migration", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		version, err := currentVersion(t.Context(), raw, db.dialect, len(steps))
		if err != nil || version != len(steps) {
			t.Errorf("version = %d, %v; want %d", version, err, len(steps))
		}
	})
}

func TestDatabaseHoldsNoKey(t *testing.T) {
	path := newPath(t)
	store := openStore(t, "sqlite:"+path)
	var secrets []string
	for range 20 {
		record, text := create(t, store)
		if _, err := store.Revoke(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, text)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("files = %v, %v; want the database, its log and the log's index", files, err)
	}
	seenID := false
	for _, file := range files {
		content := read(t, file)
		for _, text := range secrets {
			id, secret := text[len(prefix):len(prefix)+idChars], text[checksumStart-secretChars:checksumStart]
			seenID = seenID || bytes.Contains(content, []byte(id))
			// Ten characters of the secret in a row are 50 bits of it.
			for at := 0; at+10 <= len(secret); at++ {
				if bytes.Contains(content, []byte(secret[at:at+10])) {
					t.Fatalf("%s holds part of a key", file)
				}
			}
		}
	}
	if !seenID {
		t.Error("no file holds the id of a key: the test looks in the wrong place")
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// overwrite spoils length bytes of the file, all that are left where it is -1.
func overwrite(t *testing.T, path string, from, length int) {
	t.Helper()
	content := read(t, path)
	if length < 0 {
		length = len(content) - from
	}
	if length <= 0 {
		t.Fatal(fmt.Errorf("%s has only %d bytes", path, len(content)))
	}
	copy(content[from:], bytes.Repeat([]byte{0xa5}, length))
	write(t, path, content)
}
