package envoy

import "strings"

// environ returns what an Envoy inherits of our environment: not our own
// settings, nor libpq's password. Among them are the secrets of databases and
// of keys, which a process that parses the bytes of strangers has no use for.
func environ(ours []string) []string {
	inherited := []string{} // not nil, which would be all of ours
	for _, pair := range ours {
		if !strings.HasPrefix(pair, "GATEWRIGHT_") && !strings.HasPrefix(pair, "PGPASSWORD=") {
			inherited = append(inherited, pair)
		}
	}
	return inherited
}
