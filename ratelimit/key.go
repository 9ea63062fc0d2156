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
	var room [maxTagLength + maxKeyLength + 64]byte // nearly all keys fit
	key := appendTag(append(room[:0], '{'), limit, values)
	key = append(key, "}:"...)
	before := len(key)
	key = appendEscaped(key, limit.Name)
	for i := 1; i < len(values); i++ {
		key = appendValue(append(key, ':'), limit, i, values[i])
	}
	if a.Apart {
		key = append(key, '+')
		if limit.Plans[a.Plan] != nil {
			key = appendEscaped(key, a.Plan)
		}
	}
	key = append(key, kindMark(limit)...)
	if len(key)-before > maxKeyLength {
		key = append(key[:before], digest(string(key[before:]))...)
	}
	return string(key)
}

// appendTag appends what stands in the braces.
func appendTag(key []byte, limit *config.Limit, values []string) []byte {
	before := len(key)
	if len(values) == 0 {
		key = appendEscaped(key, limit.Name)
	} else {
		if len(limit.Key) > 0 {
			key = appendEscaped(key, string(limit.Key[0]))
		}
		key = appendValue(append(key, '='), limit, 0, values[0])
	}
	if len(key)-before > maxTagLength {
		key = append(key[:before], digest(string(key[before:]))...)
	}
	return key
}

// kindMark is the end of a key: see bucketKey.
func kindMark(l *config.Limit) string {
	switch {
	case l.TokenBucket != nil:
		return ""
	case l.SlidingWindow != nil:
		return "=w"
	case l.SlidingLog != nil:
		return "=l"
	case l.FixedWindow != nil:
		return "=f"
	case l.Quota != nil:
		return "=q"
	case l.Concurrency != nil:
		return "=n"
	}
	return ""
}

// appendValue appends the value of part i of a limit's key.
func appendValue(key []byte, limit *config.Limit, i int, value string) []byte {
	if value != "" && i < len(limit.Key) && mayBeSecret(limit.Key[i]) {
		return append(key, digest(value)...)
	}
	return appendEscaped(key, value)
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

// appendEscaped appends text with every byte that is not plain as %XX.
func appendEscaped(key []byte, text string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; plain[c] {
			key = append(key, c)
		} else {
			key = append(key, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return key
}

// plain are the bytes that stand for themselves in a key. "%", ":", "#", "+" and "=" must not;
// neither must "{" and "}", by which Redis Cluster chooses a slot.
var plain = func() (is [256]bool) {
	for c := range is {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		is[c] = letter || strings.IndexByte("-._~@/", byte(c)) >= 0
	}
	return is
}()
