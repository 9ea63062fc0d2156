package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/gatewright/gatewright/config"
)

// maxCountedBytes bounds the header by which a limit counts inside Envoy. Of a longer value
// its hash is counted by.
const maxCountedBytes = 256

// Two percent signs begin what is no value's own text: the encoding of a text has none.
const (
	foreignMark = "%%"
	hashMark    = "%%%"
)

// countedInEnvoy tells whether Envoy charges the request to the policy's limit, behind
// this judgement: its listener and its route both have the filter for it.
func (r *request) countedInEnvoy(p *Policy) bool {
	if r.unrouted || len(p.Limits) != 1 { // a client of another's Envoy can set any header
		return false
	}
	name, count := r.header(config.CountedHeader)
	return count == 1 && name == p.Limits[0].Name
}

// countingInEnvoy has the request carry what the limit counts by. What the filter that
// verifies tokens has set is replaced, or taken away. Whether the limit has room for it is
// told by the access log, by which the verdict is counted then (CountCharged).
func (v Verdict) countingInEnvoy(p *Policy, c Charge) Verdict {
	v.headers, v.removeHeaders = slices.Clone(v.headers), slices.Clone(v.removeHeaders)
	for i, part := range c.Limit.Key {
		name := part.CountedHeader()
		if name == "" {
			continue
		}
		text := c.Key[i]
		if part == config.KeyUser {
			text = p.countedUser(&v.Identity)
		} else {
			text = countedText(text, "")
		}
		if text == "" {
			v.removeHeaders = append(v.removeHeaders, name)
		} else {
			v.headers = append(v.headers, header{name, text})
		}
	}
	v.Reason, v.charged = ReasonAllowed, c.Limit.Name
	return v
}

// countedAtItsEnd tells that Envoy has the last word on the request: a verdict that is
// counted by what becomes of it.
func (v Verdict) countedAtItsEnd() bool { return v.charged != "" && v.Reason == ReasonAllowed }

// countedUser is the caller as Envoy counts callers: one by a token of the policy's only
// JWT provider by its sub alone, as Envoy finds it there. All others are marked, so that
// none of them can have the name of such a one.
func (p *Policy) countedUser(id *Identity) string {
	var tokens []string
	for i := range p.AnyOf {
		if jwt := p.AnyOf[i].JWT; jwt != nil && !slices.Contains(tokens, jwt.Name) {
			tokens = append(tokens, jwt.Name)
		}
	}
	if len(tokens) == 1 && id.Provider == tokens[0] && id.KeyID == "" {
		return countedText(id.User, "")
	}
	return countedText(id.userKey(), foreignMark)
}

// countedText is a value as a header has it: different ones for different values.
func countedText(value, mark string) string {
	if value == "" {
		return ""
	}
	text := mark + headerText(value, "")
	if len(text) > maxCountedBytes {
		sum := sha256.Sum256([]byte(text))
		return hashMark + hex.EncodeToString(sum[:])
	}
	return text
}
