//go:build !linux

package rig

import "syscall"

// childAttributes are none: elsewhere children outlive a parent that is killed,
// and what is measured under /proc is not there.
func childAttributes() *syscall.SysProcAttr { return nil }
