package authz

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

// maxKeptBytes bounds a kept set: the set in JSON, in which each byte of it may
// be six.
const maxKeptBytes = 6*maxJWKSBytes + 16<<10

// clockSlack is how far in the future a kept set may have been confirmed: the
// clock may have been put right since.
const clockSlack = 5 * time.Minute

// keeper keeps the last good set of one source on local disk, so that a process
// that starts while the issuer is away can judge its tokens. A nil keeper keeps
// nothing.
//
// A set is kept under its source, the URL or the issuer that was asked, and
// says so inside: a provider that is pointed elsewhere starts without keys, and
// never with those of another place.
type keeper struct{ folder, source string }

// keptSet is what is kept. There is no secret in it.
type keptSet struct {
	Source      string    `json:"source"`
	ConfirmedAt time.Time `json:"confirmedAt"`
	Version     version   `json:"version"`
	// Hash is the SHA-256 of Body: a set that is not whole is not used.
	Hash string `json:"sha256"`
	Body string `json:"jwks"`
}

// source names a place that is fetched from, in one way only.
func (p keyPlace) source() string {
	if p.Discover {
		return fmt.Sprintf("discover %q %q", p.issuer, p.KeyHost)
	}
	return fmt.Sprintf("url %q", p.URL)
}

func (k *keeper) path() string {
	sum := sha256.Sum256([]byte(k.source))
	return filepath.Join(k.folder, hex.EncodeToString(sum[:16])+".json")
}

// save replaces what is kept.
func (k *keeper) save(s keptSet) error {
	if k == nil {
		return nil
	}
	s.Source, s.Hash = k.source, hashText(s.Body)
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keeping the key set: %w", err)
	}
	if err := os.MkdirAll(k.folder, 0o700); err != nil {
		return fmt.Errorf("keeping the key set: %w", err)
	}
	if err := wholefile.Write(k.path(), text); err != nil {
		return fmt.Errorf("keeping the key set: %w", err)
	}
	return nil
}

// load returns what is kept. The error is fs.ErrNotExist where there is nothing.
func (k *keeper) load(now time.Time) (keptSet, error) {
	if k == nil {
		return keptSet{}, fs.ErrNotExist
	}
	info, err := os.Lstat(k.path())
	if err != nil {
		return keptSet{}, fmt.Errorf("reading the kept key set: %w", err)
	}
	// Who can write it says whom to trust.
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
		return keptSet{}, errors.New("reading the kept key set: others can write it")
	}
	text, err := readFile(k.path(), maxKeptBytes)
	if err != nil {
		return keptSet{}, fmt.Errorf("reading the kept key set: %w", err)
	}
	var s keptSet
	switch err := json.Unmarshal(text, &s); {
	case err != nil || s.Hash != hashText(s.Body):
		return keptSet{}, errors.New("reading the kept key set: it is damaged")
	case s.Source != k.source:
		return keptSet{}, errors.New("reading the kept key set: it is from another source")
	case s.ConfirmedAt.After(now.Add(clockSlack)):
		return keptSet{}, errors.New("reading the kept key set: it is from the future")
	}
	return s, nil
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
