package keys

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// hash is what is stored of a key: the SHA-256 of its whole text.
//
// Slow hashes (bcrypt, argon2) make guessing dear where a secret can be
// guessed. Ours has 200 random bits: trying them all is out of reach at any
// speed, and a fast hash keeps a flood of wrong keys cheap for us.
type hash [sha256.Size]byte

// hashMarker names the algorithm in the database, so that another one, such as
// a keyed hash, can stand beside it.
const hashMarker = "sha256:"

// hashOf returns the hash of the text of a key.
func hashOf(text string) hash { return sha256.Sum256([]byte(text)) }

// equal compares in a time that does not depend on where the two differ.
func (h hash) equal(other hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// stored returns the form that the database holds.
func (h hash) stored() string { return hashMarker + hex.EncodeToString(h[:]) }

// parseHash reads the form that the database holds.
func parseHash(stored string) (hash, error) {
	digits, ok := strings.CutPrefix(stored, hashMarker)
	if !ok {
		return hash{}, errors.New("hash of an unknown algorithm")
	}
	var h hash
	if len(digits) != hex.EncodedLen(len(h)) {
		return hash{}, errors.New("hash of a wrong length")
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return hash{}, errors.New("hash that is not hexadecimal")
	}
	return h, nil
}
