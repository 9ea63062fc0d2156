package config

import (
	"encoding/json"
	"reflect"
)

// Adopt puts into a config, in place of each part that says the same as in the
// config before it, that very part: so what has changed can be told by
// addresses alone. Both are valid; before is only read.
func Adopt(c, before *Config) {
	adoptAll(c.Backends, before.Backends)
	adoptAll(c.Auth.JWT, before.Auth.JWT)
	adoptAll(c.Auth.APIKey, before.Auth.APIKey)
	adoptAll(c.Auth.Introspection, before.Auth.Introspection)
	adoptAll(c.Auth.ClientCertificate, before.Auth.ClientCertificate)
	adoptAll(c.Limits, before.Limits)
	for name, d := range c.OpenAPI {
		// What was made of a document is not compared, but that of which it was made.
		if old := before.OpenAPI[name]; old != nil && old.Sum == d.Sum && old.Document == d.Document {
			c.OpenAPI[name] = old
		}
	}
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

// RoutesGone are the names of the routes that a config has neither by name nor,
// under another name, by what they match, though the one before it had them.
func RoutesGone(before, c *Config) []string {
	matches := func(r *Route) string {
		b, err := json.Marshal(r.Match)
		if err != nil {
			return r.Name // it cannot be: texts, and maps of texts
		}
		return string(b)
	}
	names, matched := make(map[string]bool, len(c.Routes)), make(map[string]bool, len(c.Routes))
	for _, r := range c.Routes {
		names[r.Name], matched[matches(r)] = true, true
	}
	var out []string
	for _, r := range before.Routes {
		if !names[r.Name] && !matched[matches(r)] {
			out = append(out, r.Name)
		}
	}
	return out
}
