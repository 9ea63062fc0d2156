package acme

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gatewright/gatewright/internal/wholefile"
)

// folder is where all is kept, by names that have one "/": a kind and a name of
// that kind. Only its owner may read what is in it.
type folder string

// The kinds.
const (
	accounts     = "accounts"
	certificates = "certificates"
	challenges   = "challenges"
	locks        = "locks"
)

// prepare makes the folder, where it is not there.
func (f folder) prepare() error {
	for _, kind := range []string{accounts, certificates, challenges, locks} {
		if err := os.MkdirAll(filepath.Join(string(f), kind), 0o700); err != nil {
			return fmt.Errorf("making the folder of certificates: %w", err)
		}
	}
	return nil
}

func (f folder) path(kind, name string) string { return filepath.Join(string(f), kind, name) }

// state tells one content of a file from another without reading it.
type state struct {
	modified time.Time
	size     int64
}

// stateOf is a file's; the zero value where it is not there.
func (f folder) stateOf(kind, name string) state {
	info, err := os.Stat(f.path(kind, name))
	if err != nil {
		return state{}
	}
	return state{info.ModTime(), info.Size()}
}

// load is the content of a file; nil where it is not there.
func (f folder) load(kind, name string) ([]byte, error) {
	content, err := os.ReadFile(f.path(kind, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// save writes a file as a whole, with mode 0600.
func (f folder) save(kind, name string, content []byte) error {
	if err := f.prepare(); err != nil {
		return err
	}
	return wholefile.Write(f.path(kind, name), content)
}

func (f folder) remove(kind, name string) error {
	err := os.Remove(f.path(kind, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// list are the names of a kind.
func (f folder) list(kind string) []string {
	entries, err := os.ReadDir(f.path(kind, ""))
	if err != nil {
		return nil // it is not there yet
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name()[0] != '.' { // else it is being written
			names = append(names, e.Name())
		}
	}
	return names
}
