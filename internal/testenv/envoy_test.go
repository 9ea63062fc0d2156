package testenv

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
)

// TestStartEnvoy: it serves, says what it has to say where that is wanted, and ends
// with the test.
func TestStartEnvoy(t *testing.T) {
	t.Parallel()
	var process *os.Process
	t.Run("as long as the test", func(t *testing.T) {
		admin, said := Addr(t), &Output{}
		_, port, _ := net.SplitHostPort(admin) // it is one
		process = StartEnvoy(t, EnvoyRun{
			Config: fmt.Appendf(nil, "admin: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}", port),
			Stderr: said, Args: []string{"--component-log-level", "main:info"},
		})
		Eventually(t, "it serves", func() error {
			resp, err := http.Get("http://" + admin + "/ready")
			if err != nil {
				return fmt.Errorf("%w; it says: %s", err, said)
			}
			return resp.Body.Close()
		})
		if said.String() == "" {
			t.Error("it has said nothing")
		}
	})
	if err := process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("it goes on after the test: %v", err)
	}
}
