package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// killAfter is how long a process may take to end once it was told to.
const killAfter = 10 * time.Second

// process is a child of this one. Whatever becomes of this one, it does not
// outlive it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how; read it after exited
	stderr tail
}

// startProcess starts a program.
func startProcess(dir string, env []string, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = childAttributes()
	started := make(chan error, 1)
	go func() {
		// The kernel kills the child when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(program), err)
	}
	return p, nil
}

// died is the error of a process that has ended, and nil of one that has not.
func (p *process) died() error {
	select {
	case <-p.exited:
		err := p.err
		if err == nil {
			err = errors.New("exit status 0")
		}
		return fmt.Errorf("%s ended: %w\n%s", filepath.Base(p.cmd.Path), err, p.stderr.String())
	default:
		return nil
	}
}

// deathOf is what there is to say, beside an error, of a process that has died.
func deathOf(err error, p interface{ died() error }) error {
	if err == nil {
		return nil
	}
	return p.died()
}

// stop ends the process and waits for it. A second call does nothing.
func (p *process) stop() {
	if p.died() != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself meanwhile
	select {
	case <-p.exited:
	case <-time.After(killAfter):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// maxTail is how much of what a process says is kept, for error messages.
const maxTail = 8 << 10

// tail keeps the end of what is written to it. The zero value is empty.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - maxTail; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
