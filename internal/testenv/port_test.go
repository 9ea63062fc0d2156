package testenv

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// TestPortsAreOfOneProcess: another process that begins at the same port gets
// others.
func TestPortsAreOfOneProcess(t *testing.T) {
	if at := os.Getenv("TESTENV_OTHER"); at != "" {
		_, port, err := net.SplitHostPort(at)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(port, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		nextPort.Store(int32(n) - 1)
		if got := Addr(t); got == at {
			t.Fatalf("%s is another process's", got)
		}
		return
	}
	addr := Addr(t)
	other := exec.Command(os.Args[0], "-test.run=^TestPortsAreOfOneProcess$")
	other.Env = append(os.Environ(), "TESTENV_OTHER="+addr)
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
