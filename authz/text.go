package authz

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// claimText is a claim as text, for limit keys and for comparing with the
// config: strings as they are, numbers and booleans in one spelling, null and
// absent as nothing, arrays and objects as JSON with sorted names.
func claimText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return canonicalNumber(string(v))
	default:
		return canonicalJSON(v)
	}
}

// canonicalJSON is a decoded value as JSON with one spelling for each value.
func canonicalJSON(v any) string {
	var b strings.Builder
	writeJSON(&b, v)
	return b.String()
}

func writeJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		b.WriteString(quoteJSON(v))
	case []any:
		b.WriteByte('[')
		for i, element := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, element)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, name := range sortedKeys(v) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quoteJSON(name))
			b.WriteByte(':')
			writeJSON(b, v[name])
		}
		b.WriteByte('}')
	default:
		b.WriteString(claimText(v))
	}
}

func quoteJSON(s string) string {
	quoted, _ := json.Marshal(s) // a string always has an encoding
	return string(quoted)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// canonicalNumber is a JSON number in the one spelling of its exact value:
// 1, 1.0 and 10e-1 are all "1", and two different values never meet, as they
// would in a float64.
func canonicalNumber(s string) string {
	sign, s := cutSign(s)
	digits, exponent := decimal(s)
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return "0"
	}
	significant := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(significant)
	return sign + plainOrScientific(significant, exponent)
}

func cutSign(s string) (sign, rest string) {
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		return "-", rest
	}
	return "", s
}

// decimal returns an unsigned JSON number as digits times ten to the exponent.
func decimal(s string) (digits string, exponent int) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exponent, _ = strconv.Atoi(s[i+1:]) // the decoder has bounded it
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + fraction, exponent - len(fraction)
}

// plainOrScientific writes digits × 10^exponent as a reader expects it: plain
// where that stays short, else as 1.25e+30. The bounds are ECMAScript's.
func plainOrScientific(digits string, exponent int) string {
	point := len(digits) + exponent
	switch {
	case exponent >= 0 && point <= 21:
		return digits + strings.Repeat("0", exponent)
	case exponent < 0 && 0 < point && point <= 21:
		return digits[:point] + "." + digits[point:]
	case exponent < 0 && -6 < point && point <= 0:
		return "0." + strings.Repeat("0", -point) + digits
	}
	mantissa := digits[:1]
	if len(digits) > 1 {
		mantissa += "." + digits[1:]
	}
	return mantissa + "e" + strconv.Itoa(point-1)
}

// headerText is s in a form that survives as an HTTP header value, byte for
// byte and injectively: control characters, the percent sign, and a space at
// either end (which HTTP strips) are percent-encoded, and so are the bytes in
// also. Everything else, other languages too, stays as it is.
func headerText(s, also string) string {
	if !needsEncoding(s, also) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		edge := i == 0 || i+size == len(s)
		if mustEncode(r, size, edge, also) {
			percentEncode(&b, s[i:i+size])
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func needsEncoding(s, also string) bool {
	if strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") || !utf8.ValidString(s) {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool {
		return r == '%' || unicode.IsControl(r) || strings.ContainsRune(also, r)
	})
}

func mustEncode(r rune, size int, edge bool, also string) bool {
	invalid := r == utf8.RuneError && size == 1
	return invalid || r == '%' || unicode.IsControl(r) || (edge && r == ' ') || strings.ContainsRune(also, r)
}

func percentEncode(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
	}
}

// validText is s with each run of invalid UTF-8 replaced, since a protobuf
// string that is not UTF-8 cannot be sent at all.
func validText(s string) string {
	return strings.ToValidUTF8(s, "\uFFFD")
}
