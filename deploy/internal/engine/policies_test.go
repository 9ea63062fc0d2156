package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// checkContainers holds the processes of running containers, as the kernel shows them, to
// what docker-compose.yaml says of all services: not root, no capability and no way to
// one, a root that cannot be written to, and the limits of the file.
func checkContainers(t *testing.T, s *stack) {
	t.Helper()
	for service, c := range s.mustContainers() {
		if isTask(service) {
			continue // it has no process any more
		}
		t.Run(service, func(t *testing.T) { checkProcess(t, c) })
	}
}

func checkProcess(t *testing.T, c container) {
	status := processStatus(t, c.State.Pid)
	for _, id := range append(strings.Fields(status["Uid"]), strings.Fields(status["Gid"])...) {
		if id == "0" {
			t.Errorf("it is root: user %s, group %s", status["Uid"], status["Gid"])
		}
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(status[set], "0") != "" {
			t.Errorf("%s is %s", set, status[set])
		}
	}
	if status["NoNewPrivs"] != "1" || status["Seccomp"] != "2" {
		t.Errorf("no-new-privileges is %q, and seccomp in mode %q", status["NoNewPrivs"], status["Seccomp"])
	}
	for _, m := range mounts(t, c.State.Pid) {
		kept := strings.HasPrefix(m.at, "/run/secrets") || strings.HasPrefix(m.at, "/etc/") && !engineFile(m.at)
		if (m.at == "/" || kept) && !m.readOnly {
			t.Errorf("%s can be written to", m.at)
		}
	}
	checkSecrets(t, c)
	checkLimits(t, c)
}

// checkSecrets: what is made on the first start is for its owner and its group alone.
func checkSecrets(t *testing.T, c container) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/secrets/*", c.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if keeps := slices.Contains([]string{"gatewright", "redis", "postgres", "etcd", "prometheus", "grafana"}, c.service()); keeps != (len(files) > 0) {
		t.Errorf("it has the secrets %q", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s has the mode %v", filepath.Base(file), info.Mode())
		}
	}
}

// engineFile tells of files that an engine puts into each container itself, which are
// root's, so that nobody here may write to them either.
func engineFile(at string) bool {
	return at == "/etc/hosts" || at == "/etc/hostname" || at == "/etc/resolv.conf"
}

// processStatus is /proc/PID/status.
func processStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(content(t, fmt.Sprintf("/proc/%d/status", pid))) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

type mount struct {
	at       string
	readOnly bool
}

// mounts are those that a process sees.
func mounts(t *testing.T, pid int) (all []mount) {
	t.Helper()
	for line := range strings.Lines(content(t, fmt.Sprintf("/proc/%d/mountinfo", pid))) {
		fields := strings.Fields(line) // id, parent, device, root, where, options, …
		all = append(all, mount{at: fields[4], readOnly: strings.HasPrefix(fields[5]+",", "ro,")})
	}
	if len(all) == 0 {
		t.Fatal("the process has no mounts")
	}
	return all
}

// checkLimits compares what the kernel enforces for a container with what the engine was
// told, which is in no case nothing.
func checkLimits(t *testing.T, c container) {
	t.Helper()
	if c.HostConfig.Memory == 0 || c.HostConfig.NanoCpus == 0 || c.HostConfig.PidsLimit == nil {
		t.Fatalf("there is no limit of memory, CPU or processes: %+v", c.HostConfig)
	}
	if got := groupValue(t, c.State.Pid, "memory", "memory.limit_in_bytes", "memory.max"); got != c.HostConfig.Memory {
		t.Errorf("its memory is limited to %d, want %d", got, c.HostConfig.Memory)
	}
	if got := groupValue(t, c.State.Pid, "pids", "pids.max", "pids.max"); got != *c.HostConfig.PidsLimit {
		t.Errorf("its processes are limited to %d, want %d", got, *c.HostConfig.PidsLimit)
	}
	const period = 100_000 // µs, and Docker's; a CPU is as much time in each
	if got, want := groupValue(t, c.State.Pid, "cpu", "cpu.cfs_quota_us", "cpu.max"), c.HostConfig.NanoCpus*period/1e9; got != want {
		t.Errorf("it has %d µs of CPU in %d, want %d", got, period, want)
	}
}

// groupValue is a process's limit by a controller, of either version of control groups.
func groupValue(t *testing.T, pid int, controller, v1, v2 string) int64 {
	t.Helper()
	for line := range strings.Lines(content(t, fmt.Sprintf("/proc/%d/cgroup", pid))) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		at, file := filepath.Join("/sys/fs/cgroup", controller, parts[2]), v1
		if parts[1] == "" {
			at, file = filepath.Join("/sys/fs/cgroup", parts[2]), v2
		} else if parts[1] != controller {
			continue
		}
		text, err := os.ReadFile(filepath.Join(at, file))
		if err != nil {
			continue // the controller is in the other version
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		value, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q", file, text)
		}
		return value
	}
	t.Fatalf("no control group of process %d has %s or %s", pid, v1, v2)
	return 0
}
