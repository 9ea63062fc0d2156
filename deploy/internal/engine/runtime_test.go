package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/capability"
)

const (
	// runtimeName is by what engines start containers.
	runtimeName = "runc"
	realRuntime = "/usr/sbin/runc"
)

// runAsRuntime is the runtime in the place of which the engine finds this program: it
// takes away from what a container is to have those capabilities that nobody can have
// here, and becomes the runtime. A privileged container is to have all that the kernel
// knows by an engine older than Docker 23, and by a newer one all that the engine has
// itself; builders are such containers, and not every machine lets its root have all.
func runAsRuntime(args []string) error {
	if err := boundContainer(args); err != nil {
		return err
	}
	return syscall.Exec(realRuntime, append([]string{runtimeName}, args...), os.Environ())
}

// boundContainer bounds the process that a command of the runtime is about, if any: a new
// container's, in its bundle, or one more of a container, in a file of its own.
func boundContainer(args []string) error {
	ours, err := bounding()
	if err != nil {
		return err
	}
	for i, arg := range args[:max(0, len(args)-1)] {
		switch arg {
		case "--bundle", "-b":
			if err := boundFile(filepath.Join(args[i+1], "config.json"), ours, "process", "capabilities"); err != nil {
				return err
			}
		case "--process", "-p":
			if err := boundFile(args[i+1], ours, "capabilities"); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounding are the capabilities that a process of ours can have, by their names.
func bounding() (names []string, err error) {
	ours, err := capability.NewPid2(0)
	if err != nil {
		return nil, err
	}
	if err := ours.Load(); err != nil {
		return nil, err
	}
	for _, c := range capability.ListKnown() {
		if ours.Get(capability.BOUNDING, c) {
			names = append(names, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return names, nil
}

// boundFile leaves, in each set of capabilities that a file of JSON has at a path, those
// that are in names.
func boundFile(file string, names []string, path ...string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // limits are larger than what a float holds
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	sets := all
	for _, name := range path {
		below, ok := sets[name].(map[string]any)
		if !ok {
			return nil // it is to have what the runtime decides
		}
		sets = below
	}
	for set, value := range sets {
		wanted, ok := value.([]any)
		if !ok {
			return errors.New(file + ": " + set + " is no list of capabilities")
		}
		sets[set] = slices.DeleteFunc(wanted, func(name any) bool {
			text, _ := name.(string)
			return !slices.Contains(names, text)
		})
	}
	bounded, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, bounded, 0o600)
}

// TestBoundFile: what can be had stays, and so does all else.
func TestBoundFile(t *testing.T) {
	for name, c := range map[string]struct {
		path         []string
		before, want string
	}{
		"a container": {[]string{"process", "capabilities"},
			`{"process":{"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_MODULE"],"permitted":["CAP_SYS_MODULE"]},"x":18446744073709551615}}`,
			`{"process":{"capabilities":{"bounding":["CAP_CHOWN"],"permitted":[]},"x":18446744073709551615}}`},
		"a process":        {[]string{"capabilities"}, `{"capabilities":{"bounding":["CAP_KILL","CAP_BPF"]}}`, `{"capabilities":{"bounding":["CAP_KILL"]}}`},
		"none in the file": {[]string{"capabilities"}, `{"cwd":"/"}`, `{"cwd":"/"}`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := boundFile(file, []string{"CAP_CHOWN", "CAP_KILL"}, c.path...); err != nil {
				t.Fatal(err)
			}
			if got := content(t, file); got != c.want {
				t.Errorf("it becomes %s, want %s", got, c.want)
			}
		})
	}
}
