package config

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxMaxStale bounds how long withdrawn keys may be used because nobody could
// ask: a month is no outage any more.
const maxMaxStale = 30 * 24 * time.Hour

// jwks judges where a provider's keys come from.
func (c *checker) jwks(at *place, j *JWT) {
	k := &j.JWKS
	given := 0
	for _, source := range []bool{k.URL != "", k.Discover, k.File != "", k.Inline != ""} {
		if source {
			given++
		}
	}
	c.must(given < 2, at, "must have exactly one of url, discover, file and inline")
	c.must(given > 0, at, "must have one of url, discover, file and inline, where the provider has no secretEnv")
	if k.URL != "" {
		c.remoteURL(at.key("url"), k.URL, k.PlainHTTP)
	}
	if k.Discover {
		// The fault is the flag's: without it the issuer may be any text.
		c.obey(at.key("discover"), issuerRule(j.Issuer, k.PlainHTTP))
	}
	if k.KeyHost != "" {
		c.must(k.Discover, at.key("keyHost"), "needs discover: the host of a url is in the url")
		c.obey(at.key("keyHost"), keyHostRule(k.KeyHost))
	}
	if !k.IsRemote() {
		c.must(!k.PlainHTTP, at.key("plainHTTP"), "needs url or discover: nothing is fetched")
		c.must(k.MaxStale == 0, at.key("maxStale"), "needs url or discover: nothing is fetched")
	}
	c.atMost(at.key("maxStale"), k.MaxStale, maxMaxStale)
	// Shorter, and the time between two fetches would make keys stale.
	c.must(k.MaxStale == 0 || k.MaxStale >= Duration(leastMaxStale), at.key("maxStale"), "must be at least "+Duration(leastMaxStale).String())
	if k.File != "" {
		c.obey(at.key("file"), readableRule(k.File))
	}
	if k.Inline != "" {
		c.obeyUnshown(at.key("inline"), keySetRule(k.Inline))
	}
}

// leastMaxStale is above the longest time between two fetches of a key set.
const leastMaxStale = 2 * time.Hour

// remoteURL judges the URL of something that decides whom to trust. It does not
// repeat one that may hold a password or a token.
func (c *checker) remoteURL(at *place, s string, plainHTTP bool) {
	rule := RemoteURLRule(s, plainHTTP)
	if strings.ContainsAny(s, "@?") {
		c.obeyUnshown(at, rule)
		return
	}
	c.obey(at, rule)
}

// RemoteURLRule is the rule that a URL breaks from which keys are fetched or at
// which tokens are introspected; empty where it is kept. A URL that an issuer
// names has to keep it as well as one in the config.
func RemoteURLRule(s string, plainHTTP bool) string {
	if rule := absoluteURLRule(s); rule != "" {
		return rule
	}
	return transportRule(s, plainHTTP)
}

// transportRule holds a good URL to https, or to this machine, or to being told.
func transportRule(s string, plainHTTP bool) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "https" || plainHTTP || IsLoopback(u.Hostname()) {
		return ""
	}
	return "must be https: on the way of plain HTTP anybody can answer; plainHTTP: true says that it is meant"
}

// IsLoopback reports whether a host, as it is written, is this machine: a
// loopback address or localhost.
func IsLoopback(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// issuerRule judges an issuer whose discovery document is to be asked for. A
// query is in no issuer (OpenID Connect Core 1.0, section 2).
func issuerRule(issuer string, plainHTTP bool) string {
	rule := RemoteURLRule(issuer, plainHTTP)
	switch {
	case rule != "":
		return "needs an issuer that is a URL, and the issuer " + rule
	case strings.Contains(issuer, "?"):
		return "needs an issuer without a query"
	}
	return ""
}

// keyHostRule judges a host with a port or without one.
func keyHostRule(host string) string {
	u, err := url.Parse("https://" + host + "/")
	if err != nil || u.Host != host || u.Hostname() == "" {
		return "must be a host, as keys.example.com, with a port where it is not the usual one"
	}
	return absoluteURLRule(u.String())
}

// keySetRule judges the form of a key set. Which keys in it are sound is judged
// where keys are used, the same for all three sources.
func keySetRule(s string) string {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(s), &set); err != nil || len(set.Keys) == 0 {
		return `must be a JSON Web Key Set with at least one key, as {"keys": [...]}`
	}
	return ""
}
