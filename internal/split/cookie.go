package split

import (
	"iter"
	"strings"
)

// Cookie is the value of a cookie in a Cookie header, as Envoy reads it: that of
// the first of the name, without the quotes around it.
func Cookie(header, name string) (value string, ok bool) {
	for value := range Cookies(header, name) {
		return value, true
	}
	return "", false
}

// Cookies are the values of all cookies of a name.
func Cookies(header, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for pair := range strings.SplitSeq(header, ";") {
			key, value, found := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if !found || key != name {
				continue
			}
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			if !yield(value) {
				return
			}
		}
	}
}
