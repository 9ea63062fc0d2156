package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// fileHistory is a folder:
//
//	lock           is locked (flock) by who writes
//	history.json   the entries, the oldest first
//	pending.json   the entry of a write that is under way, or was when its writer died
//	NUMBER         the content of a version, as encoded has it
type fileHistory struct {
	folder string
	of     string // the file
}

// historyOf is the history of the file at a path without links in it.
func historyOf(stateDir, target string) fileHistory {
	sum := sha256.Sum256([]byte(target))
	return fileHistory{folder: filepath.Join(stateDir, "history", fmt.Sprintf("%x", sum[:16])), of: target}
}

// fileEntries is what the folder says.
type fileEntries struct {
	list    []Version
	pending *Version
}

// savedHistory is the form of history.json.
type savedHistory struct {
	// File is for people: the name of the folder does not tell it.
	File     string    `json:"file"`
	Versions []Version `json:"versions"`
}

func (e fileEntries) newest() Version {
	if len(e.list) == 0 {
		return Version{}
	}
	return e.list[len(e.list)-1]
}

func (h fileHistory) list() string    { return filepath.Join(h.folder, "history.json") }
func (h fileHistory) pending() string { return filepath.Join(h.folder, "pending.json") }

func (h fileHistory) contentOf(number int64) string {
	return filepath.Join(h.folder, strconv.FormatInt(number, 10))
}

// lock takes the lock, and makes the folder where there is none.
func (h fileHistory) lock(ctx context.Context) (unlock func(), err error) {
	// Configs may hold secrets: they are for the owner of the state directory.
	if err := os.MkdirAll(h.folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the history: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(h.folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the history: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written to it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("locking the history %s: %w", f.Name(), err)
		}
		if ctx.Err() != nil {
			_ = f.Close()
			return nil, fmt.Errorf("another process writes this config, and has not ended (it holds %s): %w", f.Name(), ctx.Err())
		}
		sleep(ctx, 5*time.Millisecond)
	}
}

// read reads the entries. The pending one is left out once it is in the list.
func (h fileHistory) read() (fileEntries, error) {
	// The pending entry first: what has left it meanwhile is in the list.
	var pending *Version
	var saved savedHistory
	if err := errors.Join(readJSON(h.pending(), &pending), readJSON(h.list(), &saved)); err != nil {
		return fileEntries{}, fmt.Errorf("reading the history: %w", err)
	}
	entries := fileEntries{list: saved.Versions}
	if pending != nil && pending.Number > entries.newest().Number {
		entries.pending = pending
	}
	return entries, nil
}

// readJSON reads a file into value, and leaves value as it is where there is none.
func readJSON(path string, value any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%s is damaged (move its folder away to begin a new history): %w", path, err)
	}
	return nil
}

// keepContent keeps the content of v, for which there is no entry yet.
func (h fileHistory) keepContent(v Version, data []byte) error {
	if err := writeFile(h.contentOf(v.Number), encoded(data)); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

// propose notes that v is under way.
func (h fileHistory) propose(v Version) error {
	if err := writeFile(h.pending(), record(v)); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

// settle makes v the newest entry, and removes what is too old.
func (h fileHistory) settle(entries fileEntries, v Version) error {
	list := append(slices.Clone(entries.list), v)
	old := list[:max(len(list)-keep, 0)]
	data, err := json.MarshalIndent(savedHistory{File: h.of, Versions: list[len(old):]}, "", "\t")
	if err == nil {
		err = writeFile(h.list(), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	// What is left over does no harm.
	_ = os.Remove(h.pending())
	for _, v := range old {
		_ = os.Remove(h.contentOf(v.Number))
	}
	return nil
}

// drop takes back what keepContent and propose did.
func (h fileHistory) drop(v Version) error {
	if err := os.Remove(h.pending()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("taking back an entry of the history: %w", err)
	}
	_ = os.Remove(h.contentOf(v.Number)) // the next version writes over it
	return nil
}

// content is the content of an entry.
func (h fileHistory) content(number int64) ([]byte, error) {
	entries, err := h.read()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(entries.list, func(v Version) bool { return v.Number == number }) {
		return nil, ErrNoVersion
	}
	raw, err := os.ReadFile(h.contentOf(number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoVersion // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	return decoded(raw)
}
