//go:build !linux

package envoy

import "syscall"

// childAttributes put the child into a process group of its own, so that a
// Ctrl-C at the terminal reaches only us and Envoy is drained before it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
