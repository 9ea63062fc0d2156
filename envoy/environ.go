package envoy

import (
	"slices"
	"strings"
)

// What an Envoy inherits of our environment, by name and by beginnings of names:
// what a process needs of its system, and Envoy's own. Our settings are not among
// them, nor the variables that a config names for its secrets: a process that
// parses the bytes of strangers has no use for any.
var (
	inheritedNames    = []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES"}
	inheritedPrefixes = []string{"LC_", "MALLOC_", "TCMALLOC_", "ENVOY_"}
)

func environ(ours []string) []string {
	inherited := []string{} // not nil, which would be all of ours
	for _, pair := range ours {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(inheritedNames, name) || slices.ContainsFunc(inheritedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			inherited = append(inherited, pair)
		}
	}
	return inherited
}
