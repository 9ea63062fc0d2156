package ratelimit

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/gatewright/gatewright/config"
)

const (
	// maxTagLength and maxKeyLength bound the two parts of a key in bytes, so that
	// neither a long header nor a flood of them decides how much memory a bucket
	// takes.
	maxTagLength = 100
	maxKeyLength = 200
)

// bucketKey names the bucket of a limit and the values of its key. Two
// different names or lists of values never share a bucket, whatever bytes they
// hold (a collision would be one of SHA-256).
//
// The text is "{PART=VALUE}:NAME:VALUE:…": in braces the first part of the key and
// its value, then the limit and the other values, all escaped. A Redis Cluster puts
// keys with the same braces into one slot, so that one script charges all the limits
// of a user together. Without a value the name stands in the braces.
//
// What is too long in the braces, or behind them, becomes "#" and the SHA-256 of
// that text in hex. Who is counted apart has "+" and the name of the plan behind it,
// or "+" alone where the limit does not name the plan. At the end stands "=" and the
// algorithm's letter, but for a token bucket. None of ":", "=", "#", "+" and braces
// survives escaping, so no text reads as another.
//
// The letter lets a limit that gets another algorithm count anew; and instances that
// do not know of it yet count apart from those that do, where each would take away
// what the others have counted.
//
// Values that may be credentials, of headers and API keys, are hashed before
// they are stored: who reads Redis reads no secret.
func bucketKey(limit *config.Limit, values []string, a config.Allowance) string {
	var b strings.Builder
	b.WriteByte('{')
	b.WriteString(keyTag(limit, values))
	b.WriteString("}:")
	before := b.Len()
	writeEscaped(&b, limit.Name)
	for i := 1; i < len(values); i++ {
		b.WriteByte(':')
		writeValue(&b, limit, i, values[i])
	}
	if a.Apart {
		b.WriteByte('+')
		if limit.Plans[a.Plan] != nil {
			writeEscaped(&b, a.Plan)
		}
	}
	b.WriteString(kindMark(limit.Own()))
	if text := b.String(); len(text)-before > maxKeyLength {
		return text[:before] + digest(text[before:])
	}
	return b.String()
}

// keyTag is what stands in the braces.
func keyTag(limit *config.Limit, values []string) string {
	var b strings.Builder
	if len(values) == 0 {
		writeEscaped(&b, limit.Name)
	} else {
		if len(limit.Key) > 0 {
			writeEscaped(&b, string(limit.Key[0]))
		}
		b.WriteByte('=')
		writeValue(&b, limit, 0, values[0])
	}
	if b.Len() > maxTagLength {
		return digest(b.String())
	}
	return b.String()
}

// kindMark is the end of a key: see bucketKey.
func kindMark(p config.LimitPlan) string {
	switch {
	case p.SlidingWindow != nil:
		return "=w"
	case p.SlidingLog != nil:
		return "=l"
	case p.FixedWindow != nil:
		return "=f"
	case p.Quota != nil:
		return "=q"
	case p.Concurrency != nil:
		return "=n"
	}
	return ""
}

// writeValue writes the value of part i of a limit's key.
func writeValue(b *strings.Builder, limit *config.Limit, i int, value string) {
	if value != "" && i < len(limit.Key) && mayBeSecret(limit.Key[i]) {
		b.WriteString(digest(value))
		return
	}
	writeEscaped(b, value)
}

// mayBeSecret says whether the values of a key part can be credentials. A rule may
// come to a header.
func mayBeSecret(part config.KeyPart) bool {
	_, header := part.Header()
	_, rule := part.Rule()
	return header || rule || part == config.KeyAPIKey
}

// digest is "#" and the SHA-256 of text in hex: 65 bytes.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "#" + hex.EncodeToString(sum[:])
}

// writeEscaped writes text with every byte that is not plain as %XX.
func writeEscaped(b *strings.Builder, text string) {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

// plain says whether c stands for itself in a key. "%", ":", "#", "+" and "=" must not;
// neither must "{" and "}", by which Redis Cluster chooses a slot.
func plain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~@/", c) >= 0
}
