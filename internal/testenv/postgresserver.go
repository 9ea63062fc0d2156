package testenv

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// PostgresServer is a PostgreSQL on a port, made as its container image makes it: with
// one user, whose password is in a file, and a database of the same name.
type PostgresServer struct {
	// User owns the database of the same name.
	User string
	// PasswordFile holds the password.
	PasswordFile string
	// Addr is where it listens.
	Addr string
	// InitArgs go to initdb, and Args to postgres.
	InitArgs, Args []string
}

// Start starts it, and returns when its database is there. It ends with the test.
func (s PostgresServer) Start(t testing.TB) {
	t.Helper()
	programs, err := postgresPrograms()
	(&Postgres{}).Require(t, err)
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{programs: programs, dir: dir, log: &Output{}}
	t.Cleanup(func() { p.Close() })
	if err := s.start(p); err != nil {
		t.Fatalf("making a PostgreSQL: %v", err)
	}
	if err := s.makeDatabase(p); err != nil {
		t.Fatalf("making a database: %v; it says: %s", err, p.log)
	}
}

// makeDatabase waits until the server answers.
func (s PostgresServer) makeDatabase(p *Postgres) error {
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return err
	}
	at := url.URL{Scheme: "postgres", User: url.UserPassword(s.User, string(password)), Host: s.Addr, Path: "/postgres"}
	db, err := sql.Open("pgx", at.String())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := answers(db); err != nil {
		return err
	}
	_, err = db.Exec(`CREATE DATABASE ` + s.User)
	return err
}

func (s PostgresServer) start(p *Postgres) error {
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return err
	}
	// A copy that the user of PostgreSQL may read.
	file := filepath.Join(p.dir, "password")
	if err := os.WriteFile(file, password, 0o600); err != nil {
		return err
	}
	if err := p.own(p.dir, file); err != nil {
		return err
	}
	made, err := p.command("initdb", append([]string{"--pgdata", p.data(), "--username", s.User, "--pwfile", file,
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"}, s.InitArgs...)...)
	if err != nil {
		return err
	}
	if out, err := made.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	var server *exec.Cmd
	if server, err = p.command("postgres", append([]string{"-D", p.data(), "-k", p.dir, "-c", "listen_addresses=" + host, "-c", "port=" + port,
		"-c", "fsync=off"}, s.Args...)...); err != nil {
		return err
	}
	server.Stdout, server.Stderr = p.log, p.log
	if err := server.Start(); err != nil {
		return err
	}
	p.process = server.Process
	return nil
}

// PostgresPrograms is the folder of PostgreSQL's programs. Without them the test is
// skipped, or fails, as Envoy says.
func PostgresPrograms(t testing.TB) string {
	t.Helper()
	programs, err := postgresPrograms()
	(&Postgres{}).Require(t, err)
	return programs
}
