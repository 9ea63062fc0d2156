package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// keySet is the part of a JWKS (RFC 7517) that may verify tokens. It is
// immutable.
type keySet struct {
	keys []verifyKey
}

// verifyKey is a public key that came through the filter.
type verifyKey struct {
	// kid is empty where the key has none.
	kid string
	// algs are the algorithms that the key fits: the one it names, or those
	// of its type and curve.
	algs   []string
	public crypto.PublicKey
}

// droppedKey is a key that the filter held back, for the log.
type droppedKey struct {
	kid string
	why string
}

// find returns the key for a token. With a kid it is the key of that kid.
// Without one it is the only key that fits the algorithm: an issuer with one
// key need not name it, but which of two keys is meant is never tried out.
func (s *keySet) find(t token) (crypto.PublicKey, bool) {
	var found crypto.PublicKey
	for i := range s.keys {
		key := &s.keys[i]
		if !slices.Contains(key.algs, t.alg) || t.hasKID && key.kid != t.kid {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = key.public
	}
	return found, found != nil
}

// parseKeySet reads a JWKS and keeps what may verify tokens. A set that is not
// strict JSON is an error; a key that is not fit is dropped, and the others stay.
func parseKeySet(data []byte) (*keySet, []droppedKey, error) {
	document, err := decodeObject(data)
	if err != nil {
		return nil, nil, fmt.Errorf("decoding the key set: %w", err)
	}
	list, ok := document["keys"].([]any)
	if !ok {
		return nil, nil, errors.New("decoding the key set: no array \"keys\"")
	}
	set := &keySet{}
	var dropped []droppedKey
	for _, entry := range list {
		key, err := parseKey(entry)
		if err != nil {
			dropped = append(dropped, droppedKey{key.kid, err.Error()})
			continue
		}
		set.keys = append(set.keys, key)
	}
	return set, append(dropped, set.dropRepeated()...), nil
}

// dropRepeated takes out all keys whose kid is there more than once: which of
// them a token means could not be said.
func (s *keySet) dropRepeated() []droppedKey {
	count := map[string]int{}
	for _, key := range s.keys {
		count[key.kid]++
	}
	var dropped []droppedKey
	s.keys = slices.DeleteFunc(s.keys, func(key verifyKey) bool {
		repeated := key.kid != "" && count[key.kid] > 1
		if repeated {
			dropped = append(dropped, droppedKey{key.kid, "its kid is repeated"})
		}
		return repeated
	})
	return dropped
}

// parseKey returns the key of one entry of the set. On an error only its kid
// is set, if it has one.
func parseKey(entry any) (verifyKey, error) {
	members, ok := entry.(map[string]any)
	if !ok {
		return verifyKey{}, errors.New("not an object")
	}
	key := verifyKey{}
	if value, there := members["kid"]; there {
		kid, ok := value.(string)
		if !ok || kid == "" || len(kid) > maxKIDBytes {
			return key, errors.New("kid is not a short string")
		}
		key.kid = kid
	}
	if err := checkPurpose(members); err != nil {
		return key, err
	}
	public, fits, err := publicKey(members)
	if err != nil {
		return key, err
	}
	algs, err := narrowed(members, fits)
	if err != nil {
		return key, err
	}
	key.public, key.algs = public, algs
	return key, nil
}

// privateMembers are in no public key (RFC 7518, section 6). An issuer that
// publishes one has lost that key, and whoever reads it can sign.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func checkPurpose(members map[string]any) error {
	for _, name := range privateMembers {
		if _, there := members[name]; there {
			return errors.New("it is a private or a symmetric key")
		}
	}
	if use, there := members["use"]; there && use != "sig" {
		return errors.New("use is not sig")
	}
	if value, there := members["key_ops"]; there {
		operations, ok := value.([]any)
		if !ok || !slices.Contains(operations, any("verify")) {
			return errors.New("key_ops does not hold verify")
		}
	}
	return nil
}

// narrowed returns the algorithms that the key may be used with: the one that
// it names, which must fit it, or all that fit.
func narrowed(members map[string]any, fits []string) ([]string, error) {
	value, there := members["alg"]
	if !there {
		return fits, nil
	}
	alg, ok := value.(string)
	if !ok || !slices.Contains(fits, alg) {
		return nil, errors.New("alg does not fit the key")
	}
	return []string{alg}, nil
}

// The members that make a public key, by its kty. Only they are given to jwx:
// the rest (x5c above all) is not needed to verify, and not worth parsing.
var (
	rsaMembers = []string{"kty", "n", "e"}
	ecMembers  = []string{"kty", "crv", "x", "y"}
	okpMembers = []string{"kty", "crv", "x"}
)

// publicKey returns the key, and the algorithms that fit its type and curve.
func publicKey(members map[string]any) (crypto.PublicKey, []string, error) {
	switch members["kty"] {
	case "RSA":
		return rsaKey(members)
	case "EC":
		return ecKey(members)
	case "OKP":
		return okpKey(members)
	default:
		return nil, nil, errors.New("its kty is not supported")
	}
}

// The bounds of an RSA modulus. Below 2048 bits is forbidden by RFC 7518,
// section 3.3; far above, each verification costs milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 8192
	// maxExponentBytes holds 65537 and all exponents in use. jwx cuts a longer
	// one off, to a key that the issuer never had.
	maxExponentBytes = 4
)

func rsaKey(members map[string]any) (crypto.PublicKey, []string, error) {
	public := new(rsa.PublicKey)
	if err := rawKey(members, rsaMembers, public); err != nil {
		return nil, nil, err
	}
	switch bits := public.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return nil, nil, fmt.Errorf("its modulus has %d bits", bits)
	case public.N.Bit(0) == 0 || public.E < 3 || public.E%2 == 0 || exponentBytes(members) > maxExponentBytes:
		return nil, nil, errors.New("it is not an RSA key")
	case hasROCAFingerprint(public.N):
		return nil, nil, errors.New("its modulus can be factored (ROCA)")
	}
	return public, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
}

func exponentBytes(members map[string]any) int {
	e, _ := members["e"].(string)
	return base64.RawURLEncoding.DecodedLen(len(e))
}

func ecKey(members map[string]any) (crypto.PublicKey, []string, error) {
	crv, _ := members["crv"].(string)
	alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[crv]
	if alg == "" {
		return nil, nil, errors.New("its crv is not supported")
	}
	public := new(ecdsa.PublicKey)
	if err := rawKey(members, ecMembers, public); err != nil {
		return nil, nil, err
	}
	if _, err := public.ECDH(); err != nil {
		return nil, nil, errors.New("its point is not on its curve")
	}
	return public, []string{alg}, nil
}

func okpKey(members map[string]any) (crypto.PublicKey, []string, error) {
	if members["crv"] != "Ed25519" {
		return nil, nil, errors.New("its crv is not supported")
	}
	var public ed25519.PublicKey
	if err := rawKey(members, okpMembers, &public); err != nil {
		return nil, nil, err
	}
	if len(public) != ed25519.PublicKeySize {
		return nil, nil, errors.New("its x has the wrong length")
	}
	return public, []string{"EdDSA"}, nil
}

// rawKey lets jwx read the named members into public.
func rawKey(members map[string]any, names []string, public any) error {
	needed := make(map[string]string, len(names))
	for _, name := range names {
		text, ok := members[name].(string)
		if !ok {
			return fmt.Errorf("%s is not a string", name)
		}
		needed[name] = text
	}
	data, err := json.Marshal(needed)
	if err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	key, err := jwk.ParseKey(data)
	if err != nil {
		return errors.New("its numbers cannot be read")
	}
	if err := key.Raw(public); err != nil {
		return errors.New("its numbers are no key")
	}
	return nil
}
