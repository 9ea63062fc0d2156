//go:build !linux

package rig

import (
	"errors"
	"syscall"
	"time"
)

// childAttributes are none: elsewhere children outlive a parent that is killed,
// and what is measured under /proc is not there.
func childAttributes() *syscall.SysProcAttr { return nil }

// CPU is an error: elsewhere nobody tells.
func (p PID) CPU() (time.Duration, error) {
	return 0, errors.New("the CPU time of a process is read on Linux only")
}
