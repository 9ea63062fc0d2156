package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// startPatience is how long a server may take until it serves.
const startPatience = time.Minute

// server is a process that is measured.
type server struct {
	grpc, admin string
	cmd         *exec.Cmd
	exited      chan struct{} // closed when it has ended
	err         error         // how; read it after exited
	stderr      bytes.Buffer  // read it after exited
}

// start starts a program that serves at addresses of its own, and returns when
// its admin port answers at the path ready.
func start(ctx context.Context, dir, ready string, command func(s *server) *exec.Cmd) (*server, error) {
	s := &server{exited: make(chan struct{})}
	var err error
	if s.grpc, err = testenv.FreeAddr(); err != nil {
		return nil, err
	}
	if s.admin, err = testenv.FreeAddr(); err != nil {
		return nil, err
	}
	s.cmd = command(s)
	s.cmd.Dir, s.cmd.Stderr, s.cmd.SysProcAttr = dir, &s.stderr, childAttributes()
	started := make(chan error, 1)
	go func() {
		// The kernel kills the child when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(s.cmd.Path), err)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		_, err := s.get(ctx, ready)
		if err == nil {
			return s, nil
		}
		select {
		case <-s.exited:
			return nil, fmt.Errorf("%s ended: %w\n%s", filepath.Base(s.cmd.Path), s.err, &s.stderr)
		case <-ctx.Done():
			s.stop()
			return nil, fmt.Errorf("waiting for %s: %w", filepath.Base(s.cmd.Path), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the process and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it has nothing to keep; an error is that it has ended
	<-s.exited
}

// metrics are the process's own, by their names, with the labels as written.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			if out[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, fmt.Errorf("reading the metric %s: %w", name, err)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("reading the metrics: there are none")
	}
	return out, nil
}

// get reads a page of the admin port.
func (s *server) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("reading %s: %s", path, response.Status)
	}
	return text, err
}

// cpu is how long the process has run on all cores.
func (s *server) cpu() (time.Duration, error) {
	file := fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid)
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	// The name, in brackets, may hold spaces.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var ticks int64
	for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", file, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
