// Package engine runs docker-compose.yaml and the Dockerfile on a real Docker engine:
// `make engine`. It is a module of its own, so that Docker's several hundred modules are
// none of the gateway's.
//
// The engine is one that these tests start, in namespaces of their own: its networks,
// mounts and processes are nobody else's, and end with the test process, however that
// ends. Images that are not ours are made here, of programs of this machine
// (images_test.go), and the only registry is one of these tests' own (registry_test.go).
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Variables of this test process.
const (
	// programsVariable is the folder of the programs that `make engine` compiles.
	// Without it nothing is run here.
	programsVariable = "ENGINE_PROGRAMS"
	// insideVariable is the folder of the engine's data; where it is set, this is the
	// process within the namespaces.
	insideVariable = "ENGINE_INSIDE"
	// dataVariable is a folder to keep the engine's data in, for who runs these tests
	// over and over: what has been built once need not be built again.
	dataVariable = "ENGINE_DATA"
)

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == runtimeName:
		fmt.Fprintln(os.Stderr, runAsRuntime(os.Args[1:])) // it comes back with an error alone
		os.Exit(1)
	case os.Getenv(programsVariable) == "":
		fmt.Println("skipped: `make engine` starts a Docker engine and runs these tests on it")
	case os.Getenv(insideVariable) != "":
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "within the namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		code, err := inside()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
}

// inside runs this program again, in namespaces of its own, of which it is the first
// process: when it ends, the kernel ends all that it has started. It returns its exit
// code.
func inside() (code int, err error) {
	if os.Getuid() != 0 {
		return 0, errors.New("a Docker engine needs root")
	}
	dir := os.Getenv(dataVariable)
	if dir == "" {
		if dir, err = os.MkdirTemp("", "engine"); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	groups := append(newGroups(buildersGroups...), filepath.Base(dir))
	defer func() {
		for _, group := range groups {
			err = errors.Join(err, removeGroups(group))
		}
	}()

	// The kernel signals the death of a parent by that of its thread.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// Who interrupts this wants the engine's data removed, too.
	interrupted, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(interrupted, func() { _ = cmd.Process.Kill() })()
	err = cmd.Wait()
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		return max(1, exited.ExitCode()), nil // -1 where a signal has ended it
	}
	return 0, err
}

// furnish mounts what an engine needs to see of its namespaces, and brings up their
// loopback.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to ourselves: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback)
}

// buildersGroups are the control groups that builders in containers are put into,
// whatever parent the engine was told; an engine that this machine has itself may use
// them, too.
var buildersGroups = []string{"docker/buildx", "docker"}

// newGroups are those of the control groups that are not there yet, and so will be ours.
func newGroups(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		found, err := groupsNamed(name)
		return err != nil || len(found) > 0
	})
}

// groupsNamed are the folders of a control group: one, or one for each controller.
func groupsNamed(name string) (found []string, err error) {
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		more, globErr := filepath.Glob(pattern)
		found, err = append(found, more...), errors.Join(err, globErr)
	}
	return found, err
}

// removeGroups removes the control groups below name: they are the kernel's, and outlive
// namespaces.
func removeGroups(name string) error {
	found, all := groupsNamed(name)
	for _, group := range found {
		all = errors.Join(all, removeGroup(group))
	}
	return all
}

// removeGroup removes a group and those below it; the files within go with them.
func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
