package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gatewright/gatewright/internal/wholefile"
)

// lastGood keeps the config that was served last on local disk, so that a
// process that starts while its store is away, or holds something that is not
// valid, serves that and not nothing.
type lastGood struct{ folder string }

// goodConfig is a config that was served.
type goodConfig struct {
	// Location is where it was read, and SavedAt when it was served.
	Location string    `json:"location"`
	SavedAt  time.Time `json:"savedAt"`
	// Hash is that of the content: one that is not whole is not used.
	Hash string `json:"hash"`
	// Files are what was served of the files whose content is a part of it, by path.
	Files map[string][]byte `json:"files,omitempty"`
	// Data is the content, in a file of its own.
	Data []byte `json:"-"`
}

// newLastGood is the place for the config of a location. What other locations
// have kept in the same folder is never served in its stead.
func newLastGood(stateDir, location string) lastGood {
	name := location
	if abs, err := filepath.Abs(location); err == nil && !isURL(location) {
		name = abs
	}
	sum := sha256.Sum256([]byte(name))
	return lastGood{filepath.Join(stateDir, "last-good", hex.EncodeToString(sum[:8]))}
}

// save replaces what is kept. The content goes first and its description last:
// between the two the old description fits neither hash, and nothing is used.
func (l lastGood) save(g goodConfig) error {
	if err := os.MkdirAll(l.folder, 0o700); err != nil {
		return fmt.Errorf("keeping the last good config: %w", err)
	}
	sum := sha256.Sum256(g.Data)
	g.Hash = hex.EncodeToString(sum[:])
	content := g.Hash[:16] + ".yaml"
	if err := wholefile.Write(filepath.Join(l.folder, content), g.Data); err != nil {
		return fmt.Errorf("keeping the last good config: %w", err)
	}
	described, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the last good config: %w", err)
	}
	if err := wholefile.Write(filepath.Join(l.folder, "last-good.json"), described); err != nil {
		return fmt.Errorf("keeping the last good config: %w", err)
	}
	return l.removeOthers(content)
}

// removeOthers removes the contents that are not described any more.
func (l lastGood) removeOthers(content string) error {
	files, err := filepath.Glob(filepath.Join(l.folder, "*.yaml"))
	if err != nil {
		return fmt.Errorf("removing what is no longer the last good config: %w", err)
	}
	for _, f := range files {
		if filepath.Base(f) == content {
			continue
		}
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what is no longer the last good config: %w", err)
		}
	}
	return nil
}

// load is what is kept. The error is fs.ErrNotExist where there is nothing.
func (l lastGood) load() (goodConfig, error) {
	described, err := os.ReadFile(filepath.Join(l.folder, "last-good.json"))
	if err != nil {
		return goodConfig{}, fmt.Errorf("reading the last good config: %w", err)
	}
	var g goodConfig
	if err := json.Unmarshal(described, &g); err != nil || len(g.Hash) < 16 {
		return goodConfig{}, fmt.Errorf("reading the last good config: %s is damaged", filepath.Join(l.folder, "last-good.json"))
	}
	if g.Data, err = os.ReadFile(filepath.Join(l.folder, g.Hash[:16]+".yaml")); err != nil {
		return goodConfig{}, fmt.Errorf("reading the last good config: %w", err)
	}
	if sum := sha256.Sum256(g.Data); hex.EncodeToString(sum[:]) != g.Hash {
		return goodConfig{}, fmt.Errorf("reading the last good config: %s is damaged", l.folder)
	}
	return g, nil
}
