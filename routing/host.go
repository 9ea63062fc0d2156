package routing

import (
	"strconv"
	"strings"
)

// normalHost is a host as our listeners see it: in lower case, without a port.
// An Envoy takes for a port what stands after the last colon, outside of
// brackets, and reads as a number of 32 bits; the rest is part of the host, and
// no route has such a host.
func normalHost(host string) string {
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') && isNumber(host[colon+1:]) {
		host = host[:colon]
	}
	return lower(host)
}

// IsPlainHost tells whether a request's host is one that our listeners take: a
// name or an address, perhaps with a port, and nothing else.
func IsPlainHost(host string) bool {
	host = normalHost(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdef.:") == ""
	}
	return host != "" && strings.IndexFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}) < 0
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 32)
	return err == nil
}

// lower is s with its ASCII letters in lower case, and s itself, without
// allocation, where it has no others.
func lower(s string) string {
	for i := range len(s) {
		if isUpper(s[i]) {
			out := []byte(s)
			for j := i; j < len(out); j++ {
				if isUpper(out[j]) {
					out[j] += 'a' - 'A'
				}
			}
			return string(out)
		}
	}
	return s
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
