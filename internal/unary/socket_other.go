//go:build !linux || race

package unary

import (
	"errors"
	"syscall"
)

func readSocket(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return transfer(syscall.Read, fd, p)
}

func writeSocket(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return transfer(syscall.Write, fd, p)
}

func transfer(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), p)
		var errno syscall.Errno
		switch {
		case err == nil:
			return n, 0
		case !errors.As(err, &errno):
			return 0, syscall.EIO
		case errno != syscall.EINTR:
			return 0, errno
		}
	}
}
