package main

import (
	"errors"
	"syscall"
	"testing"
)

// fullSocket listens without ever taking a connection, until no more of them
// wait.
func fullSocket(t *testing.T, path string) {
	t.Helper()
	addr := &syscall.SockaddrUnix{Name: path}
	open := func() int {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	server := open()
	if err := errors.Join(syscall.Bind(server, addr), syscall.Listen(server, 0)); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		client := open()
		if err := syscall.SetNonblock(client, true); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Connect(client, addr); err != nil {
			return
		}
	}
	t.Skip("on this system the queue of a socket has no such end")
}
