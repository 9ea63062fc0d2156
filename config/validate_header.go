package config

import (
	"fmt"
	"net/textproto"
	"strings"
)

// headerSet is a set of header names in lower case, and of how names begin.
type headerSet struct {
	names    map[string]bool
	prefixes []string
}

func headers(names string, prefixes ...string) headerSet {
	set := headerSet{names: map[string]bool{}, prefixes: prefixes}
	for _, n := range strings.Fields(names) {
		set.names[n] = true
	}
	return set
}

func (s headerSet) has(name string) bool {
	name = strings.ToLower(name)
	for _, p := range s.prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return s.names[name]
}

var (
	// framing headers belong to a connection or say how a message is cut
	// (RFC 9110, section 7.6.1; RFC 9112, section 6). Who could change them
	// could make one request two.
	framing = headers("connection content-length host keep-alive proxy-connection te trailer transfer-encoding upgrade")

	// credentials are headers that say who somebody is to somebody else.
	credentials = headers("authorization cookie proxy-authenticate proxy-authorization set-cookie www-authenticate")

	// envoys are headers by which Envoy is told what to do.
	envoys = headers("", "x-envoy-")

	// traced are the headers that tie logs together; the gateway sets them.
	traced = headers("traceparent tracestate x-request-id x-trace-id")

	// described are headers that a body or a hop is described by: what they
	// say is not identity, and backends act on it.
	described = headers("accept accept-encoding baggage content-encoding content-type date expect forwarded "+
		"origin referer user-agent via x-real-ip", "x-forwarded-", "x-gatewright-")
)

const (
	// maxHeaderName, maxHeaderValue and maxHeaderChanges are well below what
	// Envoy takes: 16384 bytes of a name or a value, where a % counts twice, and
	// 1000 headers, its own among them and those of all places in a route.
	maxHeaderName    = 256
	maxHeaderValue   = 8000
	maxHeaderChanges = 250
)

// headerNameRule judges a header's name by its form (RFC 9110, section 5.1).
// An underscore is refused because many servers read it as a dash, so that one
// header passes for another; Envoy is told to refuse such requests.
func headerNameRule(name string) string {
	switch {
	case strings.HasPrefix(name, ":"):
		return "must not be a pseudo-header"
	case strings.Contains(name, "_"):
		return "must be a header name without underscores: requests with them are refused"
	case !isToken(name):
		return "must be a header name: letters, digits and dashes"
	case len(name) > maxHeaderName:
		return fmt.Sprintf("must have at most %d bytes", maxHeaderName)
	}
	return ""
}

// isToken tells an HTTP token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !unreserved(c) && strings.IndexByte("!#$%&'*+^`|", c) < 0 {
			return false
		}
	}
	return s != ""
}

// headerRule judges a name by its form, and by sets that it must not be in.
func headerRule(name, why string, refused ...headerSet) string {
	if rule := headerNameRule(name); rule != "" {
		return rule
	}
	for _, set := range refused {
		if set.has(name) {
			return why
		}
	}
	return ""
}

// forwardHeaderRule judges a header that carries identity to backends.
func forwardHeaderRule(name string) string {
	return headerRule(name, "must be a header of its own: this one has a meaning already", framing, credentials, envoys, traced, described)
}

// credentialHeaderRule judges a header that an API key comes in.
func credentialHeaderRule(name string) string {
	return headerRule(name, "must be a header of its own: this one has a meaning already", framing, credentials, envoys, traced)
}

// matchedHeaderRule judges a header of the request that a route, a pin or a
// limit looks at. Identity headers are taken out before any of them looks.
func (c *checker) matchedHeaderRule(name string) string {
	switch {
	case strings.EqualFold(name, "host"):
		return "must not be Host: match by hosts"
	case strings.HasPrefix(name, ":"):
		return "must not be a pseudo-header: match by hosts, methods and path"
	case c.identity[strings.ToLower(name)], c.told[strings.ToLower(name)]:
		return "must not be a header that identity is forwarded in: clients cannot send it"
	case tracing.has(name):
		return "must not be a header of tracing: clients cannot send it"
	case TakenFromEveryone(name):
		return "must not be a header that the gateway or Envoy sets: clients cannot send it"
	case OfProxies(name) && !c.cfg.TrustsProxies():
		return "must not be a header of proxies while neither trustedHops nor trustedProxies says of any: nobody can send it"
	}
	return headerNameRule(name)
}

// headerKeys holds the keys of a mapping of headers to a rule, and to be
// different headers.
func headerKeys[V any](c *checker, at *place, set map[string]V, rule func(name string) string) {
	seen := map[string]bool{}
	for _, name := range sorted(set) {
		folded := strings.ToLower(name)
		c.obeyUnshown(at.key(name), rule(name))
		if seen[folded] {
			c.obeyUnshown(at.key(name), "is given twice: the case of a header's name does not matter")
		}
		seen[folded] = true
	}
}

// headerCount holds a number of headers to what Envoy can set.
func (c *checker) headerCount(at *place, n int) {
	c.must(n <= maxHeaderChanges, at, fmt.Sprintf("must set and add at most %d headers", maxHeaderChanges))
}

// headerValues holds what headers are set to, to what Envoy can set.
func (c *checker) headerValues(at *place, set map[string]string) {
	for _, name := range sorted(set) {
		if len(set[name]) > maxHeaderValue {
			c.obeyUnshown(at.key(name), fmt.Sprintf("must have at most %d bytes", maxHeaderValue))
		}
	}
}

// IdentityHeaders are the headers that any provider forwards identity in, or a
// route tells of who the caller is by, in canonical form, sorted, each once. They are taken out of every request of a
// client, on every route.
func (c *Config) IdentityHeaders() []string {
	set := map[string]bool{}
	for name := range identityHeaders(c) {
		set[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	for name := range headersFromIdentity(c) {
		set[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	return sorted(set)
}

func identityHeaders(c *Config) map[string]bool {
	set := map[string]bool{}
	for _, j := range c.Auth.JWT {
		for _, header := range j.Forward {
			set[strings.ToLower(header)] = true
		}
	}
	for _, k := range c.Auth.APIKey {
		for _, header := range k.Forward {
			set[strings.ToLower(header)] = true
		}
	}
	for _, i := range c.Auth.Introspection {
		for _, header := range i.Forward {
			set[strings.ToLower(header)] = true
		}
	}
	for _, p := range c.Auth.ClientCertificate {
		for _, header := range p.Forward {
			set[strings.ToLower(header)] = true
		}
	}
	return set
}
