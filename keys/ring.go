package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	gohash "hash"
	"strings"
	"sync"
)

const (
	// minSecretBytes is the least length of a secret: as long as the hash.
	minSecretBytes   = 32
	fingerprintChars = 16
)

// ring holds the secrets that hashes are made with: the first for new ones,
// all to verify.
type ring struct{ secrets []*hashSecret }

// hashSecret is one secret.
type hashSecret struct {
	// fingerprint names the secret in the database and in errors, and gives
	// nothing of it away.
	fingerprint string
	// macs are ready to use: to set up an HMAC costs as much as to use it.
	macs sync.Pool
}

// mac is one of them, with room for what goes in and comes out, so that a
// request allocates nothing for it.
type mac struct {
	gohash.Hash
	in, out [sha256.Size]byte
}

// newRing reads secrets separated by commas, the newest first.
func newRing(text string) (*ring, error) {
	var r ring
	for i, secret := range strings.Split(text, ",") {
		if len(secret) < minSecretBytes {
			return nil, fmt.Errorf("secret %d has %d bytes, must be at least %d: make one with `openssl rand -base64 32`", i+1, len(secret), minSecretBytes)
		}
		added := newHashSecret([]byte(secret))
		if r.byFingerprint(added.fingerprint) != nil {
			return nil, fmt.Errorf("secret %d is there twice", i+1)
		}
		r.secrets = append(r.secrets, added)
	}
	return &r, nil
}

func newHashSecret(secret []byte) *hashSecret {
	s := &hashSecret{}
	s.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }
	sum := s.sum("gatewright: fingerprint of a key secret", digest{})
	s.fingerprint = hex.EncodeToString(sum[:fingerprintChars/2])
	return s
}

// sum returns the HMAC of purpose and d. The empty purpose is that of hashes; no
// other is as short as to be taken for one.
func (s *hashSecret) sum(purpose string, d digest) [sha256.Size]byte {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	m.Reset()
	if purpose != "" {
		m.Write([]byte(purpose))
	}
	m.in = d
	m.Write(m.in[:])
	m.Sum(m.out[:0])
	return m.out
}

// importedID returns the id of a key whose text is not ours. It is keyed too:
// ids are shown to anybody, and must not help to guess a text.
func (s *hashSecret) importedID(d digest) string {
	sum := s.sum("gatewright: id of an imported key", d)
	id := sum[:idChars]
	for i, b := range id {
		id[i] = alphabet[b%byte(len(alphabet))]
	}
	return string(id)
}

// hashOf returns the hash of a digest under the first secret.
func (r *ring) hashOf(d digest) hash {
	first := r.secrets[0]
	return hash{secret: first.fingerprint, sum: first.sum("", d)}
}

// verifies reports whether h is the hash of d. It takes as long where there is no
// hash, or one of a secret that is not known, so that the time of an answer does
// not tell whether there is a key.
func (r *ring) verifies(h hash, d digest) bool {
	by, known := r.byFingerprint(h.secret), true
	if by == nil {
		by, known = r.secrets[0], false
	}
	return h.equal(by.sum("", d)) && known
}

func (r *ring) byFingerprint(fingerprint string) *hashSecret {
	for _, s := range r.secrets {
		if s.fingerprint == fingerprint {
			return s
		}
	}
	return nil
}

// errNoSecret is said where a database that several machines share has no
// secret that they share.
var errNoSecret = errors.New("GATEWRIGHT_KEY_SECRET is not set: with PostgreSQL every instance and command needs the same, of 32 bytes or more; make one with `openssl rand -base64 32`")
