package authz

import (
	"crypto"
	"crypto/hmac"
	"fmt"

	"github.com/gatewright/gatewright/config"
)

// macs are the algorithms of tokens that are made with a secret (RFC 7518,
// section 3.2), with their hash. They are apart from those of public keys, and so
// are the types of keys: nothing that a key set has can be taken for a secret.
var macs = map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}

// tokenSecret is what a provider shares with its issuer: one secret, or two while
// they change. It stands where a public key does, and is never written out.
type tokenSecret struct{ secrets [][]byte }

// secretPlace is where a provider's secrets are, and how long they must be.
type secretPlace struct {
	env, previous string
	least         int
}

func secretPlaceOf(p *config.JWT) secretPlace {
	return secretPlace{p.SecretEnv, p.PreviousSecretEnv, config.LeastSecret(p.Algorithms)}
}

// read returns the secrets that are at a place.
func (p secretPlace) read(getenv func(string) string) (*tokenSecret, error) {
	s := &tokenSecret{}
	for _, name := range []string{p.env, p.previous} {
		if name == "" {
			continue
		}
		text := getenv(name)
		if text == "" {
			return nil, fmt.Errorf("reading %s: %w", name, errNoSecret)
		}
		secret, err := config.TokenSecret(text, p.least)
		if err != nil {
			return nil, fmt.Errorf("reading %s, which %w", name, err)
		}
		s.secrets = append(s.secrets, secret)
	}
	return s, nil
}

// verifies reports whether a token's MAC is of one of the secrets. Its key id is
// not looked at: a secret has none. The MAC is compared as a whole, since a part of
// it can be guessed, and in a time that does not tell where it differs.
func (s *tokenSecret) verifies(t token) bool {
	hash, known := macs[t.alg]
	if !known {
		return false
	}
	for _, secret := range s.secrets {
		mac := hmac.New(hash.New, secret)
		mac.Write([]byte(t.signingInput()))
		if hmac.Equal(mac.Sum(nil), t.signature) {
			return true
		}
	}
	return false
}

// Equal tells whether a token that has verified under one of them does so under the
// other.
func (s *tokenSecret) Equal(x crypto.PublicKey) bool {
	other, ok := x.(*tokenSecret)
	if !ok || len(s.secrets) != len(other.secrets) {
		return false
	}
	for i := range s.secrets {
		if !hmac.Equal(s.secrets[i], other.secrets[i]) {
			return false
		}
	}
	return true
}

// String keeps the secret out of whatever prints it.
func (*tokenSecret) String() string   { return "(a secret)" }
func (*tokenSecret) GoString() string { return "(a secret)" }

// readSecrets makes the secrets of the providers the current ones.
func (k *KeySets) readSecrets(providers []*config.JWT) {
	secrets := map[secretPlace]*tokenSecret{}
	for _, p := range providers {
		place := secretPlaceOf(p)
		if p.SecretEnv == "" || secrets[place] != nil {
			continue
		}
		secret, err := place.read(k.getenv)
		if err != nil {
			k.log.Error("a provider has no secret, its tokens get a 503", "provider", p.Name, "error", err)
			continue
		}
		secrets[place] = secret
	}
	k.secrets.Store(&secrets)
}

// secretOf is the provider's secret; nil where it could not be read.
func (k *KeySets) secretOf(p *config.JWT) *tokenSecret {
	if secrets := k.secrets.Load(); secrets != nil {
		return (*secrets)[secretPlaceOf(p)]
	}
	return nil
}
