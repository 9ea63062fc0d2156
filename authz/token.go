package authz

import (
	"encoding/base64"
	"strings"

	"github.com/gatewright/gatewright/config"
)

const (
	// MaxTokenBytes is the longest token that is looked at. Envoy takes
	// headers up to 60 KiB; no issuer's token is near this, and what a hostile
	// one can cost is bounded by it.
	MaxTokenBytes = 8 << 10
	// maxHeaderBytes is the longest header of a token. It is read before anything
	// is known of who has made it.
	maxHeaderBytes = 1 << 10
	// maxKIDBytes is the longest key id that is looked up.
	maxKIDBytes = 256
)

// token is a compact JWS (RFC 7515, section 3.1) in its only spelling. Nothing
// in it is believed yet.
type token struct {
	raw string
	// alg is as written in the header, kid too; hasKID tells none from empty.
	alg, kid string
	hasKID   bool
	// typ is the header's; hasTyp tells none from empty.
	typ     string
	hasTyp  bool
	payload []byte
	// signature is empty where the token has none.
	signature []byte
	// seen is what is known of it where it has been verified before; payload and
	// signature are then not set.
	seen *seenToken
}

// parseToken is the gate in front of the signature. It lets one spelling of a
// token pass: two dots, the base64url alphabet without padding, no set bits
// behind the last byte. So a token cannot be spelled anew to evade whatever is
// keyed by its bytes.
func parseToken(raw string) (token, *refusal) {
	head, body, mac, ok := splitToken(raw)
	if !ok {
		return token{}, refuse(ReasonTokenMalformed)
	}
	header, err := decodeSegment(head)
	if err != nil || len(header) > maxHeaderBytes {
		return token{}, refuse(ReasonTokenMalformed)
	}
	payload, err := decodeSegment(body)
	if err != nil {
		return token{}, refuse(ReasonTokenMalformed)
	}
	signature, err := decodeSegment(mac)
	if err != nil {
		return token{}, refuse(ReasonTokenMalformed)
	}
	t := token{raw: raw, payload: payload, signature: signature}
	return t, t.readHeader(header)
}

// splitToken returns the three segments. A JWE has five, and so is refused.
func splitToken(raw string) (head, body, mac string, ok bool) {
	if len(raw) > MaxTokenBytes {
		return "", "", "", false
	}
	for i := range len(raw) {
		if !inAlphabet(raw[i]) {
			return "", "", "", false
		}
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, mac, ok = strings.Cut(rest, ".")
	return head, body, mac, ok && head != "" && !strings.Contains(mac, ".")
}

// inAlphabet reports whether c may stand in a token. Go's base64 decoder would
// skip CR and LF by itself.
func inAlphabet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.'
}

// segments decodes base64url without padding; strict refuses a last character
// with bits set that belong to no byte.
var segments = base64.RawURLEncoding.Strict()

func decodeSegment(s string) ([]byte, error) { return segments.DecodeString(s) }

// forbiddenMembers may not be in a token's header. crit and b64 change what
// the signature means (RFC 7515, section 4.1.11; RFC 7797). The others bring
// or link a key, and a token does not choose its own key.
var forbiddenMembers = []string{"crit", "b64", "jwk", "jku", "x5u", "x5c"}

// readMembers are the members that are read. Another spelling of them, as ALG,
// is refused: readers disagree on whether it is the same.
var readMembers = []string{"alg", "kid", "typ"}

// readHeader takes alg and kid from the decoded header.
func (t *token) readHeader(data []byte) *refusal {
	header, err := decodeObject(data)
	if err != nil {
		return refuse(ReasonTokenMalformed)
	}
	if refused := checkMembers(header); refused != nil {
		return refused
	}
	alg, ok := header["alg"].(string)
	if !ok {
		return refuse(ReasonTokenMalformed)
	}
	t.alg = alg
	t.typ, t.hasTyp = header["typ"].(string)
	return t.readKID(header)
}

func (t *token) readKID(header map[string]any) *refusal {
	value, there := header["kid"]
	if !there {
		return nil
	}
	kid, ok := value.(string)
	if !ok || kid == "" || len(kid) > maxKIDBytes {
		return refuse(ReasonTokenMalformed)
	}
	t.kid, t.hasKID = kid, true
	return nil
}

func checkMembers(header map[string]any) *refusal {
	for name := range header {
		if foldedIn(forbiddenMembers, name) {
			return refuse(ReasonTokenHeaderNotAllowed)
		}
	}
	// In a pass of its own, so that which refusal wins does not depend on the
	// order of a map.
	for name := range header {
		if misspelled(readMembers, name) {
			return refuse(ReasonTokenMalformed)
		}
	}
	if typ, there := header["typ"]; there {
		if _, ok := typ.(string); !ok {
			return refuse(ReasonTokenHeaderNotAllowed)
		}
	}
	return nil
}

func foldedIn(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func misspelled(names []string, name string) bool {
	for _, n := range names {
		if n != name && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// typAllowed reports whether a token is of the type that a provider's must be:
// the one that it names, or else JWT (RFC 7519), at+jwt (RFC 9068) or none said.
// A logout token or an id token with a typ of its own is not one, though the
// same key signed it. Types are compared as RFC 7515, section 4.1.9, says.
func typAllowed(provider *config.JWT, t token) bool {
	typ := config.ShortMediaType(t.typ)
	switch {
	case provider.TokenType != "":
		return t.hasTyp && strings.EqualFold(typ, config.ShortMediaType(provider.TokenType))
	case !t.hasTyp:
		return true
	default:
		return strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "at+jwt")
	}
}
