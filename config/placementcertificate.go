package config

import "slices"

// whyCertificate is why requests of a route that takes client certificates have to be
// asked about. What certificates themselves may be is no reason: Envoy remembers what
// Gatewright has made of each (xds/certificates.go).
func whyCertificate(r *Route, add func(string, ...any)) {
	if len(r.Limits) > 0 {
		add("limits count whom certificates name")
	}
}

// NobodyToLetPass tells whether all whom a route lets pass inside Envoy show certificates,
// and the listener asks for none.
func (c *Config) NobodyToLetPass(l *Listener, r *Route) bool {
	if l.TLS != nil && l.TLS.ClientCA != "" || r.Auth == nil {
		return false
	}
	takes := func(credential func(*Requirement) string) bool {
		return slices.ContainsFunc(r.Auth.AnyOf, func(q *Requirement) bool { return credential(q) != "" })
	}
	return takes(func(q *Requirement) string { return q.ClientCertificate }) && !takes(func(q *Requirement) string { return q.JWT })
}
