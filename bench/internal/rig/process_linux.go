package rig

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// childAttributes put a child into a process group of its own, so that a Ctrl-C
// at the terminal reaches only this process, which then stops its children in
// order; and have the kernel end it with us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// CPU is how long the process has run on all cores, to the nanosecond: its clock of
// CPU time (clock_getcpuclockid), which threads that have ended are part of.
func (p PID) CPU() (time.Duration, error) {
	const schedClock = 2 // of a process, as the scheduler counts
	clock := int32(^p)<<3 | schedClock
	var now syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", p, errno)
	}
	return time.Duration(now.Nano()), nil
}
