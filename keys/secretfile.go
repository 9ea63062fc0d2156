package keys

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretSuffix is what the file of the secret is called beside its database.
const secretSuffix = ".secret"

// fileRing reads the secret in the file at path, or makes one where there is
// none. All processes that have the database have the file beside it.
func fileRing(path string) (*ring, error) {
	text, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeSecret(path); err != nil {
			return nil, fmt.Errorf("making the secret of keys: %w", err)
		}
		text, err = readSecret(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the secret of keys: %w", err)
	}
	r, err := newRing(text)
	if err != nil {
		return nil, fmt.Errorf("reading the secret of keys %s: %w", path, err)
	}
	return r, nil
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s has mode %v: must be a file that others cannot read, as 0600", path, mode)
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// writeSecret makes a secret, unless another process is faster. It is whole and
// on the disk before it has its name.
func writeSecret(path string) error {
	var secret [minSecretBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".gatewright-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(secret[:]) + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.Remove(file.Name()))
}
