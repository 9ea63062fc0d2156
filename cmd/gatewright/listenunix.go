package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenUnix opens a socket that only this user can use. The socket of an
// earlier process that nobody listens on is replaced; one in use is not.
func listenUnix(path string) (_ net.Listener, err error) {
	unlock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{Control: ownerOnly}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, plain(err)
	}
	// Where ownerOnly does nothing.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing it to others: %w", err), l.Close())
	}
	return l, nil
}

// lockSocket keeps two processes that start at once from each taking the
// other's new socket for a stale one. The lock is a file beside the socket,
// which stays: to remove it would let a third in between two.
func lockSocket(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process is taking it at this moment")
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// removeStale removes a socket that no process listens on. Only a refused
// connection says so: one that fails otherwise may be to a busy process, or to
// another user's.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return plain(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = conn.Close() // only to see whether somebody is there
		return errors.New("another process listens there")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("it cannot be told whether another process listens there: %w", plain(err))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing a stale socket: %w", plain(err))
	}
	return nil
}

// ownerOnly gives a socket its mode before it has a name, so that there is no
// moment in which others can open it. Linux makes the file with the mode of
// the socket; elsewhere this fails, and the mode is set afterwards.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}
