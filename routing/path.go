package routing

import (
	"fmt"
	"slices"
	"strings"
)

// normalizedPath is what Envoy 1.40 makes of a :path under normalize_path,
// merge_slashes and path_with_escaped_slashes_action REJECT_REQUEST, or the
// rule that the path breaks. In this order, the query left as it is:
//
//   - Refused are a #, an escaped / or \, and what is no visible ASCII character.
//   - A segment that begins with ..; or .; is taken for .. or . alone.
//   - Refused is an escaped zero.
//   - A \ is a /.
//   - Escaped unreserved characters (RFC 3986, section 2.3) are written plain,
//     and the characters "<>^`{|} escaped. Other escapes stay as they are, in
//     the case they have. A % without two digits stays, too; but where the
//     characters written plain would make it an escape, it becomes %25.
//   - Dot segments are resolved; above the root is the root.
//   - Slashes are merged, unless there is nothing else: // stays //.
//
// It is not idempotent: /%2e%2e; becomes /..;, which is another path when it is
// normalized again.
func normalizedPath(raw string) (path, rule string) {
	if rule := pathRule(raw); rule != "" {
		return "", rule
	}
	asked := withoutQuery(raw)
	path = withoutDotParameters(asked)
	switch {
	case strings.Contains(path, "%00"):
		return "", "must not have an escaped zero, %00"
	case isNormal(path): // then it had no dot segment, either
		return raw, ""
	}
	return mergedSlashes(resolved(path)) + raw[len(asked):], ""
}

func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

func pathRule(raw string) string {
	if !strings.HasPrefix(raw, "/") {
		return "must begin with /"
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '#':
			return "must not have a #"
		case c <= ' ' || c >= 0x7F:
			return "must have visible ASCII characters only: others are percent-encoded"
		}
	}
	path := withoutQuery(raw)
	for _, slash := range [...]string{"%2F", "%2f", "%5C", "%5c"} {
		if strings.Contains(path, slash) {
			return "must not have an escaped slash, " + slash
		}
	}
	return ""
}

// isNormal tells, without allocation, that normalizing changes nothing. It may
// take a normal path for another one, but never the other way round.
func isNormal(path string) bool {
	for i := range len(path) {
		switch path[i] {
		case '%':
			if c, ok := escaped(path[i:]); ok && isUnreserved(c) {
				return false
			}
		case '.', '/':
			// Dot segments and empty ones begin after a slash.
			if i > 0 && path[i-1] == '/' {
				return false
			}
		case '\\':
			return false
		default:
			if isEscapedByEnvoy(path[i]) {
				return false
			}
		}
	}
	return true
}

// withoutDotParameters is a path in which a segment that begins with ..; or .;
// is that dot segment alone.
func withoutDotParameters(path string) string {
	if !strings.Contains(path, ".;") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if dots, _, found := strings.Cut(s, ";"); found && (dots == "." || dots == "..") {
			segments[i] = dots
		}
	}
	return strings.Join(segments, "/")
}

// resolved is a path with its characters in their normal form and without dot
// segments.
func resolved(path string) string {
	segments := strings.Split(strings.ReplaceAll(path[1:], `\`, "/"), "/")
	last := len(segments) - 1
	kept := segments[:0]
	for i, segment := range segments {
		switch normal := normalSegment(segment); normal {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		case ".":
		default:
			kept = append(kept, normal)
			continue
		}
		if i == last { // /a/.. is /, and not nothing
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

func normalSegment(segment string) string {
	var out []byte
	var bare []int // where % stands that begins no escape
	for i := 0; i < len(segment); i++ {
		c, ok := escaped(segment[i:])
		switch {
		case ok && isUnreserved(c):
			out = append(out, c)
			i += 2
		case isEscapedByEnvoy(segment[i]):
			out = fmt.Appendf(out, "%%%02X", segment[i])
		default:
			if segment[i] == '%' && !ok {
				bare = append(bare, len(out))
			}
			out = append(out, segment[i])
		}
	}
	for _, i := range slices.Backward(bare) {
		if _, ok := escaped(string(out[i:])); ok {
			out = slices.Insert(out, i+1, '2', '5')
		}
	}
	return string(out)
}

func mergedSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	merged := "/" + strings.Join(parts, "/")
	if strings.HasSuffix(path, "/") {
		merged += "/"
	}
	return merged
}

// escaped is the byte that s begins with, percent-encoded.
func escaped(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := digit(s[1]), digit(s[2])
	return high<<4 | low, high < 16 && low < 16
}

// digit is the value of a hexadecimal digit, and 255 of another character.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || isUpper(c) || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isEscapedByEnvoy(c byte) bool { return strings.IndexByte("\"<>^`{|}", c) >= 0 }
