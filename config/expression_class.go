package config

import (
	"fmt"
	"strings"
	"unicode"
)

// classRule judges the names of Unicode classes (\p{Greek}, \PL). Go has more
// than Envoy's RE2: a few categories, names of them in full, and any case.
func classRule(regex string) error {
	for len(regex) > 0 {
		at := strings.IndexByte(regex, '\\')
		if at < 0 || at+1 == len(regex) {
			return nil
		}
		escaped, rest := regex[at+1], regex[at+2:]
		switch escaped {
		case 'Q': // all that follows is literal
			_, rest, _ = strings.Cut(rest, `\E`)
		case 'p', 'P':
			name := className(rest)
			if !knownClass(name) {
				return fmt.Errorf("must not name the class %s: Envoy knows \\p{Any}, and general categories and scripts by their short names, as \\p{Lu} and \\p{Greek}", quoted(name))
			}
			rest = rest[len(name):]
		}
		regex = rest
	}
	return nil
}

// className is the name of a class, as it stands after \p.
func className(s string) string {
	inner, braced := strings.CutPrefix(s, "{")
	if !braced {
		return s[:min(1, len(s))]
	}
	name, _, _ := strings.Cut(inner, "}")
	return strings.TrimPrefix(name, "^")
}

// knownClass tells a name that RE2 has, too.
func knownClass(name string) bool {
	switch name {
	case "Any":
		return true
	case "Cn", "LC": // Go's alone
		return false
	}
	return unicode.Categories[name] != nil || unicode.Scripts[name] != nil
}
