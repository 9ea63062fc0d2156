package keys

import (
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/gatewright/gatewright/internal/testenv"
)

// testSecret is what the tests' keys are hashed with.
const testSecret = "a-secret-of-the-tests-32-bytes-long-or-more"

// database is an empty database of one of the kinds that we know.
type database struct {
	url     string
	dialect dialect
	// another makes one more of that kind, and returns its URL.
	another func(testing.TB) string
}

func newSQLite(t testing.TB) database {
	another := func(t testing.TB) string { return "sqlite:" + newPath(t) }
	return database{another(t), sqliteDialect, another}
}

// server is the one PostgreSQL of all tests but those that end it.
var server struct {
	start sync.Once
	*testenv.Postgres
	err error
}

func newPostgres(t testing.TB) database {
	t.Helper()
	server.start.Do(func() { server.Postgres, server.err = testenv.NewPostgres() })
	server.Require(t, server.err)
	return database{server.NewDatabase(t), postgresDialect, server.NewDatabase}
}

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(*testing.T, database)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newPostgres(t)) })
}

func TestMain(m *testing.M) {
	logging.Disable() // the faults of Redis are loud
	code := m.Run()
	server.Close()
	os.Exit(code)
}

// openRaw opens the database past the Store.
func openRaw(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, source = "sqlite", dataSource(path)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// execute runs statements as an operator would, by hand.
func execute(t testing.TB, url, statements string) {
	t.Helper()
	db := openRaw(t, url)
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
