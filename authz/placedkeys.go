package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/gatewright/gatewright/config"
)

// UsableKey is a public key of a provider's set, for whoever else is to verify tokens.
type UsableKey struct {
	// ID is its kid, which is never empty.
	ID string
	// Algorithms are those that both the key and the provider take.
	Algorithms []string
	// Members are those of its JWK that make the key (RFC 7518, section 6): kty, n, e, crv, x,
	// y. Nothing of what the issuer has written beside them is among them.
	Members map[string]string
}

// Usable are the keys by which a provider's tokens are verified at a time. Those without
// an id are left out: which one a token means takes a look at all of them. There is none
// where the provider has a secret, no set has come, or it is too old.
func (k *KeySets) Usable(provider *config.JWT, now time.Time) []UsableKey {
	set := k.usableSet(provider, now)
	if set == nil {
		return nil
	}
	var out []UsableKey
	for i := range set.keys {
		key := &set.keys[i]
		algs := slices.DeleteFunc(slices.Clone(key.algs), func(alg string) bool { return !algAllowed(provider, alg) })
		if key.kid == "" || len(algs) == 0 {
			continue
		}
		if members := membersOf(key); members != nil {
			out = append(out, UsableKey{ID: key.kid, Algorithms: algs, Members: members})
		}
	}
	return out
}

// usableSet is the set by which a provider's tokens are verified at a time, or nil.
func (k *KeySets) usableSet(provider *config.JWT, now time.Time) *keySet {
	if s := k.all()[placeOf(provider)]; s != nil && provider.SecretEnv == "" {
		return s.usable(now)
	}
	return nil
}

// Digest stands for all keys by which a provider's tokens are verified at a time, and for
// what each is taken for, whatever order they come in. Empty: there are none.
func (k *KeySets) Digest(provider *config.JWT, now time.Time) string {
	set := k.usableSet(provider, now)
	if set == nil {
		return ""
	}
	var all []string
	for i := range set.keys {
		key := &set.keys[i]
		text, err := json.Marshal([]any{key.kid, slices.Sorted(slices.Values(key.algs)), membersOf(key)})
		if err != nil {
			return ""
		}
		all = append(all, string(text))
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
	return hex.EncodeToString(sum[:12])
}

// Nameless is how many keys a provider's tokens are verified by at a time that have no id.
func (k *KeySets) Nameless(provider *config.JWT, now time.Time) int {
	set := k.usableSet(provider, now)
	if set == nil {
		return 0
	}
	n := 0
	for i := range set.keys {
		key := &set.keys[i]
		if key.kid == "" && slices.ContainsFunc(key.algs, func(alg string) bool { return algAllowed(provider, alg) }) {
			n++
		}
	}
	return n
}

// membersOf are the members of a key's JWK, written anew.
func membersOf(key *verifyKey) map[string]string {
	made, err := jwk.FromRaw(key.public)
	if err != nil {
		return nil
	}
	encoded, err := json.Marshal(made)
	if err != nil {
		return nil
	}
	var members map[string]string
	if json.Unmarshal(encoded, &members) != nil {
		return nil
	}
	return members
}

// Using is what a provider's tokens are verified by at a time, to be compared with what it
// is at another; nil is nothing.
func (k *KeySets) Using(provider *config.JWT, now time.Time) any {
	if set := k.usableSet(provider, now); set != nil {
		return set
	}
	return nil
}
