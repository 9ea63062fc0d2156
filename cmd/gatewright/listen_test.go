package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/testenv"
)

var withTLS = door.Settings{Cert: "cert.pem", Key: "key.pem", CA: "ca.pem"}

// TestWhereEnvoysMayListen: without TLS, where no other machine is.
func TestWhereEnvoysMayListen(t *testing.T) {
	t.Parallel()
	socket := "unix:" + filepath.Join(testenv.ShortDir(t), "grpc")
	for _, c := range []struct {
		process processSettings
		door    door.Settings
		want    string // in the error; "" is none
	}{
		{processSettings{GRPCAddr: "127.0.0.1:0"}, door.Settings{}, ""},
		{processSettings{GRPCAddr: "[::1]:0"}, door.Settings{}, ""},
		{processSettings{GRPCAddr: "localhost:0"}, door.Settings{}, ""},
		{processSettings{GRPCAddr: socket}, door.Settings{}, ""},
		{processSettings{GRPCAddr: "0.0.0.0:0"}, door.Settings{}, "GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC"},
		{processSettings{GRPCAddr: ":0"}, door.Settings{}, "GATEWRIGHT_GRPC_CERT"},
		{processSettings{GRPCAddr: "[::]:0"}, door.Settings{}, "other machines could reach it"},
		{processSettings{GRPCAddr: "0.0.0.0:0", GRPCPlaintext: true}, door.Settings{}, ""},
		{processSettings{GRPCAddr: "0.0.0.0:0"}, withTLS, ""},
		{processSettings{GRPCAddr: "127.0.0.1:0"}, withTLS, ""},
		{processSettings{GRPCAddr: "0.0.0.0:0", GRPCPlaintext: true}, withTLS, "take one of the two away"},
		{processSettings{GRPCAddr: socket}, withTLS, "there is no TLS on it"},
	} {
		l, err := listenGRPC(c.process, c.door)
		switch {
		case c.want == "" && err != nil:
			if c.process.GRPCAddr == "[::1]:0" {
				continue // a machine without IPv6
			}
			t.Errorf("%+v: %v", c.process, err)
		case c.want == "":
			l.Close()
		case err == nil:
			l.Close()
			t.Errorf("%+v, TLS %v: no error, want %q", c.process, c.door.TLS(), c.want)
		case !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "GATEWRIGHT_"):
			t.Errorf("%+v: %v, want %q", c.process, err, c.want)
		}
	}
}

func TestSocketIsOfThisUserOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testenv.ShortDir(t), "grpc")
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != fs.ModeSocket|0o600 {
		t.Errorf("its mode is %v", mode)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left behind: %v", err)
	}
}

// stale makes a socket that nobody listens on, as a killed process leaves it.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testenv.ShortDir(t), "grpc")
	stale(t, path)
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestLiveSocketIsNotStolen, nor is a file that is something else removed.
func TestLiveSocketIsNotStolen(t *testing.T) {
	t.Parallel()
	dir := testenv.ShortDir(t)
	live, file := filepath.Join(dir, "live"), filepath.Join(dir, "file")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{live: "another process listens there", file: "no socket", filepath.Join(dir, "no", "folder"): "no such file"} {
		if _, err := listenGRPC(processSettings{GRPCAddr: "unix:" + path}, door.Settings{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := net.Dial("unix", live); err != nil {
		t.Errorf("the live socket: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "kept" {
		t.Errorf("the file: %q, %v", kept, err)
	}
}

// TestBusySocketIsNotStolen: one whose queue is full refuses nobody, and so is
// not stale.
func TestBusySocketIsNotStolen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testenv.ShortDir(t), "grpc")
	fullSocket(t, path)
	if _, err := listenUnix(path); err == nil || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// TestOneOfManyTakesASocket: of processes that start at once, one has the
// socket, and keeps it.
func TestOneOfManyTakesASocket(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(testenv.ShortDir(t), "grpc")
		stale(t, path)
		var wg sync.WaitGroup
		won := make(chan net.Listener, 8)
		for range cap(won) {
			wg.Go(func() {
				if l, err := listenUnix(path); err == nil {
					won <- l
				}
			})
		}
		wg.Wait()
		if n := len(won); n != 1 {
			t.Errorf("%d have it", n)
		}
		close(won)
		for l := range won {
			l.Close()
		}
	}
}
