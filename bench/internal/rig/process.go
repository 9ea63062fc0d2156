package rig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Process is a child of this one.
type Process struct {
	PID

	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how; read it after exited
	stderr bytes.Buffer  // read it after exited
}

// StartProcess starts a program, which does not outlive this one.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr, cmd.SysProcAttr = &p.stderr, childAttributes()
	started := make(chan error, 1)
	go func() {
		// The kernel kills the child when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name(), err)
	}
	p.PID = PID(cmd.Process.Pid)
	return p, nil
}

func (p *Process) name() string { return filepath.Base(p.cmd.Path) }

// Died is an error of a process that has ended, and nil of one that has not.
func (p *Process) Died() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended: %w\n%s", p.name(), p.err, &p.stderr)
	default:
		return nil
	}
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill() // it has nothing to keep; an error is that it has ended
	<-p.exited
}

// PID is a process of this machine, a child or not.
type PID int

// Resident is the memory that the process has, in bytes.
func (p PID) Resident() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// Child is the one child that the process has, as `gatewright run` has an Envoy. An
// error is that it has none, or several.
func (p PID) Child() (PID, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p))
	if err != nil {
		return 0, fmt.Errorf("looking for a child: %w", err)
	}
	var children []string
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		children = append(children, strings.Fields(string(text))...)
	}
	if len(children) != 1 {
		return 0, fmt.Errorf("process %d has %d children, not one", p, len(children))
	}
	child, err := strconv.Atoi(children[0])
	if err != nil {
		return 0, fmt.Errorf("reading the children of process %d: %w", p, err)
	}
	return PID(child), nil
}
