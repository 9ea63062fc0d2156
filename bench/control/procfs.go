package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc/PID/stat: USER_HZ, which is 100 on
// every platform that Envoy is released for.
const clockTick = 10 * time.Millisecond

// cpu is how much CPU the process has used.
func (p *process) cpu() (time.Duration, error) { return cpuTime(fmt.Sprint(p.cmd.Process.Pid)) }

// cpuTime is how much CPU a process has used, in user and system mode, as
// /proc/PID/stat says.
func cpuTime(pid string) (time.Duration, error) {
	file := "/proc/" + pid + "/stat"
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("reading CPU times: %w", err)
	}
	// The second field, the name in parentheses, may hold spaces.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading CPU times: %s has %d fields, want 13 or more", file, len(fields))
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(userErr, systemErr); err != nil {
		return 0, fmt.Errorf("reading CPU times in %s: %w", file, err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// rss is how much memory of the process is resident, in bytes.
func (p *process) rss() (int64, error) {
	return statusBytes(fmt.Sprint(p.cmd.Process.Pid), "VmRSS")
}

// statusBytes is a size in /proc/PID/status.
func statusBytes(pid, name string) (int64, error) {
	file := "/proc/" + pid + "/status"
	var kib int64
	if _, err := fmt.Sscanf(field(file, name), "%d kB", &kib); err != nil {
		return 0, fmt.Errorf("reading %s in %s: %w", name, file, err)
	}
	return kib << 10, nil
}
