package keys

import (
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// The text of a key is 64 characters:
//
//	gw_ 0123456789abc _ 0123…(40)…89ab 0123456
//	    id              secret         checksum
//
// The prefix lets secret scanners find a leaked key. The id is no secret: it
// names the key in lists, logs and on the command line. The checksum is the
// CRC-32 (IEEE) of all that is before it, so that typing errors and garbage
// are refused without asking the database; it protects nothing else.
//
// All three are written in Crockford's base 32, in lower case only: it has no
// i, l, o or u to be misread, and five bits fill a character exactly, so that
// each key has one spelling and each spelling is at most one key.
const (
	prefix    = "gw_"
	separator = "_"

	idChars       = 13 // 65 bits: unique without asking anybody
	secretChars   = 40 // 200 bits: cannot be guessed
	checksumChars = 7  // 32 bits, in 35

	checksumStart = len(prefix) + idChars + len(separator) + secretChars
	keyChars      = checksumStart + checksumChars

	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// Key is a key just made. Nothing but its hash outlives the one who holds it.
type Key struct {
	// ID is the public name of the key: 13 characters.
	ID string
	// Secret is the whole text, id included.
	Secret Secret
}

// New draws a key from random, which is crypto/rand.Reader outside of tests.
// The only error is that of random.
func New(random io.Reader) (Key, error) {
	id, err := draw(random, idChars)
	if err != nil {
		return Key{}, err
	}
	return newSecretOf(id, random)
}

// newSecretOf draws another key of the same id.
func newSecretOf(id string, random io.Reader) (Key, error) {
	secret, err := draw(random, secretChars)
	if err != nil {
		return Key{}, err
	}
	body := prefix + id + separator + secret
	return Key{ID: id, Secret: newSecret(body + checksum(body))}, nil
}

// draw returns that many random characters.
func draw(random io.Reader, chars int) (string, error) {
	drawn := make([]byte, chars)
	if _, err := io.ReadFull(random, drawn); err != nil {
		return "", fmt.Errorf("drawing a key: %w", err)
	}
	for i, b := range drawn {
		// 256 is a multiple of 32, so the remainder favours no character.
		drawn[i] = alphabet[b%byte(len(alphabet))]
	}
	return string(drawn), nil
}

// Parsed is what the text of a key says of itself before anybody has verified it.
type Parsed struct {
	// ID names the key that the text claims to be.
	ID string
}

// Parse reads the text of a key. It accepts exactly the texts that New can
// make, looks at 64 bytes at most, and says nothing on whether the key exists.
func Parse(text string) (Parsed, bool) {
	if len(text) != keyChars || !strings.HasPrefix(text, prefix) {
		return Parsed{}, false
	}
	id := text[len(prefix) : len(prefix)+idChars]
	secret := text[checksumStart-secretChars : checksumStart]
	if text[len(prefix)+idChars:checksumStart-secretChars] != separator || !inAlphabet(id) || !inAlphabet(secret) {
		return Parsed{}, false
	}
	if sum := checksumOf(text[:checksumStart]); text[checksumStart:] != string(sum[:]) {
		return Parsed{}, false
	}
	return Parsed{ID: id}, true
}

// isID reports whether text has the form of an id.
func isID(text string) bool {
	return len(text) == idChars && inAlphabet(text)
}

func inAlphabet(text string) bool {
	for i := range len(text) {
		if strings.IndexByte(alphabet, text[i]) < 0 {
			return false
		}
	}
	return true
}

func checksum(body string) string {
	text := checksumOf(body)
	return string(text[:])
}

// checksumOf returns the CRC-32 of body, most significant character first.
func checksumOf(body string) (text [checksumChars]byte) {
	value := crc32.ChecksumIEEE(append(make([]byte, 0, keyChars), body...))
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = alphabet[value%uint32(len(alphabet))]
		value /= uint32(len(alphabet))
	}
	return text
}
