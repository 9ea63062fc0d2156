//go:build !linux

package testenv

import "os/exec"

// NoOrphan changes nothing here: what a test has started outlives it if the test's
// process is killed.
func NoOrphan(cmd *exec.Cmd) *exec.Cmd { return cmd }
