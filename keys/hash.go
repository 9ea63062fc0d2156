package keys

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// digest is the SHA-256 of the whole text of a key. It never leaves the
// process: what is stored is its keyed hash.
type digest [sha256.Size]byte

func digestOf(text string) digest {
	// Room for a text of ours, that needs no allocation.
	return sha256.Sum256(append(make([]byte, 0, 2*keyChars), text...))
}

// hash is what is stored of a key: HMAC-SHA-256, under a secret that is not in
// the database, of the SHA-256 of its text. A copy of the database alone lets
// nobody try keys, not even imported ones that could be guessed; nor can who
// writes to the database put a key of his own there.
//
// The text is hashed before, so that a plain SHA-256, of an older version of
// this program or of somebody else's, becomes a keyed hash without the text.
//
// Slow hashes (bcrypt, argon2) make guessing dear where a secret can be
// guessed. Ours has 200 random bits: trying them all is out of reach at any
// speed, and a fast hash keeps a flood of wrong keys cheap for us.
type hash struct {
	// secret is the fingerprint of the secret it was made with.
	secret string
	sum    [sha256.Size]byte
}

// The markers name the algorithm in the database.
const (
	keyedMarker = "hmac-sha256:"
	plainMarker = "sha256:"
)

// equal compares in a time that does not depend on where the two differ.
func (h hash) equal(sum [sha256.Size]byte) bool {
	return subtle.ConstantTimeCompare(h.sum[:], sum[:]) == 1
}

// stored returns the form that the database holds.
func (h hash) stored() string { return keyedMarker + h.secret + ":" + hex.EncodeToString(h.sum[:]) }

// parseHash reads the form that the database holds. A plain SHA-256, which an
// older program may have written meanwhile, is keyed at once.
func (r *ring) parseHash(stored string) (hash, error) {
	if digits, ok := strings.CutPrefix(stored, plainMarker); ok {
		plain, err := parseSum(digits)
		if err != nil {
			return hash{}, err
		}
		return r.hashOf(plain), nil
	}
	rest, ok := strings.CutPrefix(stored, keyedMarker)
	if !ok {
		return hash{}, errors.New("hash of an unknown algorithm")
	}
	fingerprint, digits, _ := strings.Cut(rest, ":")
	sum, err := parseSum(digits)
	if err != nil {
		return hash{}, err
	}
	known := r.byFingerprint(fingerprint)
	if known == nil {
		return hash{}, fmt.Errorf("hash made with another GATEWRIGHT_KEY_SECRET, of fingerprint %.*q", fingerprintChars, fingerprint)
	}
	return hash{secret: known.fingerprint, sum: sum}, nil
}

func parseSum(digits string) (sum [sha256.Size]byte, err error) {
	if len(digits) != hex.EncodedLen(len(sum)) {
		return sum, errors.New("hash of a wrong length")
	}
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return sum, errors.New("hash that is not hexadecimal")
	}
	return sum, nil
}
