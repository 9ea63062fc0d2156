package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestNoOrphan: what a test has started ends with a test that is killed.
func TestNoOrphan(t *testing.T) {
	if os.Getenv("TESTENV_PARENT") != "" {
		child := NoOrphan(exec.Command("sleep", "60"))
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("child", child.Process.Pid)
		select {}
	}
	parent := NoOrphan(exec.Command(os.Args[0], "-test.run=^TestNoOrphan$"))
	parent.Env = append(os.Environ(), "TESTENV_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	text, _ := strings.CutPrefix(lines.Text(), "child ")
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("the other process says %q", lines.Text())
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	Eventually(t, "the child has ended", func() error {
		if state := processState(pid); state != "" && state != "Z" {
			return fmt.Errorf("process %d is in state %s", pid, state)
		}
		return nil
	})
}

// processState is the letter of a process' state (proc(5)); Z has ended, and waits
// for whoever its parent is now. Empty where there is no such process.
func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.Fields(rest + " ?")[0]
}
