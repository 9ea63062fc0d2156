package config

import "reflect"

// Adopt puts into a config, in place of each part that says the same as in the
// config before it, that very part: so what has changed can be told by
// addresses alone. Both are valid; before is only read.
func Adopt(c, before *Config) {
	adoptAll(c.Backends, before.Backends)
	adoptAll(c.Auth.JWT, before.Auth.JWT)
	adoptAll(c.Auth.APIKey, before.Auth.APIKey)
	adoptAll(c.Limits, before.Limits)
	known := make(map[string]*Route, len(before.Routes))
	for _, r := range before.Routes {
		known[r.Name] = r
	}
	for i, r := range c.Routes {
		if old := known[r.Name]; old != nil && (old == r || reflect.DeepEqual(old, r)) {
			c.Routes[i] = old
		}
	}
}

func adoptAll[V any](parts, before map[string]*V) {
	for name, part := range parts {
		if old := before[name]; old != nil && reflect.DeepEqual(old, part) {
			parts[name] = old
		}
	}
}
