package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Redis is the one that all of a run count in.
type Redis struct {
	PID
	// Addr is where it is reached.
	Addr    string
	client  *redis.Client
	process *Process // nil where it is somebody else's
}

// StartRedis starts one that keeps nothing on disk, at an address of its own.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	addr, err := testenv.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	process, err := StartProcess(exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning"))
	if err != nil {
		return nil, err
	}
	for {
		r, err := UseRedis(ctx, addr)
		if err == nil {
			r.process = process
			return r, nil
		}
		if died := process.Died(); died != nil {
			return nil, died
		}
		select {
		case <-ctx.Done():
			process.Stop()
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// UseRedis returns the one at an address of this machine.
func UseRedis(ctx context.Context, addr string) (*Redis, error) {
	r := &Redis{Addr: addr, client: redis.NewClient(&redis.Options{Addr: addr})}
	server, err := r.info(ctx, "server")
	if err != nil {
		return nil, errors.Join(err, r.client.Close())
	}
	pid, err := strconv.Atoi(server["process_id"])
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the process of Redis: %w", err), r.client.Close())
	}
	r.PID = PID(pid)
	return r, nil
}

// Stop ends it, if it is ours.
func (r *Redis) Stop() error {
	err := r.client.Close()
	if r.process != nil {
		r.process.Stop()
	}
	return err
}

// info is a section of what INFO says.
func (r *Redis) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := r.client.Info(ctx, section).Result()
	if err != nil {
		return nil, fmt.Errorf("asking Redis: %w", err)
	}
	out := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			out[name] = value
		}
	}
	return out, nil
}

// Commands is how many it has executed, those of scripts included, and our own
// questions not.
func (r *Redis) Commands(ctx context.Context) (int64, error) {
	stats, err := r.info(ctx, "commandstats")
	if err != nil {
		return 0, err
	}
	var sum int64
	for name, value := range stats {
		if name == "cmdstat_info" {
			continue
		}
		var calls int64
		if _, err := fmt.Sscanf(value, "calls=%d,", &calls); err != nil {
			return 0, fmt.Errorf("reading Redis' %s: %w", name, err)
		}
		sum += calls
	}
	return sum, nil
}

// Memory is how much it has for data, in bytes.
func (r *Redis) Memory(ctx context.Context) (int64, error) {
	memory, err := r.info(ctx, "memory")
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(memory["used_memory"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading Redis' memory: %w", err)
	}
	return used, nil
}
