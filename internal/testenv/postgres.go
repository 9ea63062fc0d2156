package testenv

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// PostgresPassword is that of every Postgres: tests look for it where it must
// not be.
const PostgresPassword = "canary-of-the-database-password"

// Postgres is a real PostgreSQL of the tests' own, on a Unix socket, with a
// data folder of its own.
type Postgres struct {
	programs  string
	dir       string
	process   *os.Process
	log       *Output
	databases atomic.Int64
}

// StartPostgres starts one that ends with the test. Without PostgreSQL's
// programs the test is skipped, or fails, as Envoy says.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := NewPostgres()
	t.Cleanup(func() { p.Close() })
	p.Require(t, err)
	return p
}

// Require skips or fails the test where NewPostgres has returned err.
func (*Postgres) Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errNoPostgres):
		missing(t, err.Error())
	case err != nil:
		t.Fatal(err)
	}
}

var errNoPostgres = errors.New("no PostgreSQL found: apt-get install postgresql, or run `make test`")

// NewPostgres starts one for a whole package's tests, and returns when it
// answers. Close ends it, also after an error.
func NewPostgres() (*Postgres, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	// Its socket is in it, whose path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		return nil, err
	}
	p := &Postgres{programs: programs, dir: dir, log: &Output{}}
	if err := p.init(); err != nil {
		return p, fmt.Errorf("making a PostgreSQL: %w", err)
	}
	return p, p.Start()
}

// postgresPrograms returns the folder of the newest postgres that is installed.
// Debian keeps them off PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errNoPostgres
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return postgresVersion(a) - postgresVersion(b) })
	return filepath.Dir(newest), nil
}

func postgresVersion(path string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is no number
	return version
}

// init makes the data folder. fsync is off: what a test writes need not outlive
// the machine.
func (p *Postgres) init() error {
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o600); err != nil {
		return err
	}
	if err := p.own(p.dir, password); err != nil {
		return err
	}
	cmd, err := p.command("initdb", "--pgdata", p.data(), "--username", "gw", "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// own gives files to the user that PostgreSQL runs as.
func (p *Postgres) own(paths ...string) error {
	credential, err := postgresUser()
	if err != nil || credential == nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// postgresUser is whom PostgreSQL runs as: it refuses root. Nil is who we are.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (p *Postgres) command(program string, args ...string) (*exec.Cmd, error) {
	credential, err := postgresUser()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(p.programs, program), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	return NoOrphan(cmd), nil
}

// Start starts the process, again after Kill, and returns when it answers.
func (p *Postgres) Start() error {
	cmd, err := p.command("postgres", "-D", p.data(), "-k", p.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=300", "-c", "shared_buffers=32MB", "-c", "log_statement=all")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	p.process = cmd.Process
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := answers(db); err != nil {
		return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, p.log)
	}
	return nil
}

// answers waits until a server does.
func answers(db *sql.DB) error {
	for deadline := time.Now().Add(60 * time.Second); ; {
		err := db.Ping()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// URL is what GATEWRIGHT_DATABASE_URL is set to.
func (p *Postgres) URL(database string) string {
	return "postgres://gw:" + PostgresPassword + "@/" + database + "?host=" + p.dir
}

// NewDatabase makes an empty database and returns its URL.
func (p *Postgres) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	db, err := sql.Open("pgx", p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE DATABASE `+name); err != nil {
		t.Fatal(err)
	}
	return p.URL(name)
}

// Log is what it has written, every statement included.
func (p *Postgres) Log() string { return p.log.String() }

// Kill ends it as a power cut would, and returns when it is gone.
func (p *Postgres) Kill() {
	if p.process != nil {
		p.Signal(syscall.SIGCONT)
		_ = p.process.Signal(syscall.SIGQUIT) // immediate shutdown; it may be dead
		_, _ = p.process.Wait()
		p.process = nil
	}
}

// Signal sends a signal to the process and to those that it has started, each
// of which serves a connection: SIGSTOP leaves none that answers.
func (p *Postgres) Signal(sig syscall.Signal) {
	pids := []int{p.process.Pid}
	if sig == syscall.SIGSTOP {
		_ = p.process.Signal(sig) // first, so that it starts no more
	}
	for _, pid := range append(Children(p.process.Pid), pids...) {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// Children returns the processes that pid has started.
func Children(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	var found []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; a name may hold spaces and parentheses.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	return found
}

// Close ends it, and removes what it kept.
func (p *Postgres) Close() {
	if p == nil {
		return
	}
	p.Kill()
	os.RemoveAll(p.dir)
}
