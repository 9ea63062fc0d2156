package rig

import "syscall"

// childAttributes put a child into a process group of its own, so that a Ctrl-C
// at the terminal reaches only this process, which then stops its children in
// order; and have the kernel end it with us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
