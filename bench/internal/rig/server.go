package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// startPatience is how long a server may take until it serves.
const startPatience = time.Minute

// Server is a process that is asked and measured.
type Server struct {
	*Process
	GRPC, Admin string // its addresses
}

// StartServer starts a program that serves at addresses of its own, and returns
// when its admin port answers at the path ready.
func StartServer(ctx context.Context, dir, ready string, command func(s *Server) *exec.Cmd) (*Server, error) {
	s := &Server{}
	var err error
	if s.GRPC, err = testenv.FreeAddr(); err != nil {
		return nil, err
	}
	if s.Admin, err = testenv.FreeAddr(); err != nil {
		return nil, err
	}
	cmd := command(s)
	cmd.Dir = dir
	if s.Process, err = StartProcess(cmd); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		_, err := s.get(ctx, ready)
		if err == nil {
			return s, nil
		}
		if died := s.Died(); died != nil {
			return nil, died
		}
		select {
		case <-s.exited:
		case <-ctx.Done():
			s.Stop()
			return nil, fmt.Errorf("waiting for %s: %w", s.name(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Metrics are the process's own, by their names, with the labels as written.
func (s *Server) Metrics(ctx context.Context) (map[string]float64, error) {
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
func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+path, nil)
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
