// Package wholefile writes files that are there as a whole or not at all.
package wholefile

import (
	"os"
	"path/filepath"
)

// Write puts a file in its place as a whole, also when the power fails. Only
// its owner may read it (mode 0600). The folder must be there.
func Write(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
