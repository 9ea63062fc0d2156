//go:build linux && !race

package unary

import (
	"syscall"
	"unsafe"
)

// A socket of Go's does not block, so what is read from it and written to it needs none
// of what the runtime does around a system call that may. The dearest of that is the
// first one after a rest, as is each where some twenty messages come in a second: it
// wakes the runtime's monitor (sysmon), a thread of its own, which then looks every
// 20 µs whether that call blocks. It was a fourth of what access logs cost
// (bench/outcomes).
//
// The race detector learns from the other functions what has happened before a message
// that one process sends itself.

func readSocket(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return transfer(syscall.SYS_READ, fd, p)
}

func writeSocket(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return transfer(syscall.SYS_WRITE, fd, p)
}

func transfer(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
