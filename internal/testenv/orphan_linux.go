package testenv

import (
	"os/exec"
	"syscall"
)

// NoOrphan has the kernel end a command, which has not been started yet, with the
// test's process: one that is killed, as by the time limit of a run, cleans up
// nothing.
func NoOrphan(cmd *exec.Cmd) *exec.Cmd {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return cmd
}
