package config

import (
	"crypto/x509"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	// maxIntrospectionTimeout is less than Envoy waits for a verdict, so that a
	// slow issuer is told as such.
	maxIntrospectionTimeout = 900 * time.Millisecond
	// maxIntrospectionAge bounds how long a revocation may go unseen.
	maxIntrospectionAge     = 10 * time.Minute
	leastIntrospectionAge   = time.Second
	maxIntrospectionEntries = 1_000_000
	// maxCABytes is more than all authorities of the web need.
	maxCABytes = 1 << 20
)

func (c *checker) introspection(at *place, i *Introspection) {
	c.name(at, i.Name)
	taken := "is already the name of another provider: limits tell callers apart by their provider"
	c.must(c.cfg.Auth.JWT[i.Name] == nil && c.cfg.Auth.APIKey[i.Name] == nil, at, taken)
	if i.URL != "" {
		c.remoteURL(at.key("url"), i.URL, i.PlainHTTP)
	}
	c.obey(at.key("clientID"), clientIDRule(i.ClientID))
	c.secretEnv(at.key("clientSecretEnv"), i.ClientSecretEnv, secretEnvRule(i.ClientSecretEnv))
	if i.CA != "" {
		c.must(!strings.HasPrefix(i.URL, "http://"), at.key("ca"), "needs an https url: plain HTTP shows no certificate")
		c.obey(at.key("ca"), caRule(i.CA))
	}
	c.atMost(at.key("timeout"), i.Timeout, maxIntrospectionTimeout)
	c.introspectionCache(at.key("cache"), i.Cache)
	c.words(at.key("audiences"), i.Audiences)
	c.atMost(at.key("clockSkew"), i.ClockSkew, maxClockSkew)
	c.forward(at.key("forward"), i.Forward)
}

func (c *checker) introspectionCache(at *place, cache IntrospectionCache) {
	c.atMost(at.key("maxAge"), cache.MaxAge, maxIntrospectionAge)
	c.must(cache.MaxAge == 0 || cache.MaxAge >= Duration(leastIntrospectionAge), at.key("maxAge"), "must be at least 1s; off: true remembers nothing")
	c.between(at.key("entries"), 0, int64(cache.Entries), maxIntrospectionEntries)
	c.must(!cache.Off || cache.MaxAge == 0 && cache.Entries == 0, at.key("off"), "must not stand beside maxAge or entries: nothing is remembered")
}

// clientIDRule holds a client id to what RFC 6749, appendix A.1, allows.
func clientIDRule(id string) string {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return "must be printable ASCII"
		}
	}
	return ""
}

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var usualEnvironmentName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)

// secretEnv reports a rule that the variable of a secret breaks. What does not look
// like a variable's name is not shown: it may be the secret, put in the wrong place.
func (c *checker) secretEnv(at *place, name, rule string) {
	if usualEnvironmentName.MatchString(name) {
		c.obey(at, rule)
	} else {
		c.obeyUnshown(at, rule)
	}
}

// secretEnvRule judges the variable that a secret is in, and sees that it is
// there. Who may write the config must not learn the gateway's own secrets by
// having them sent to a URL of their choice.
func secretEnvRule(name string) string {
	switch {
	case name == "":
		return "" // the decoder has said that it is missing
	case !environmentName.MatchString(name):
		return "must be the name of an environment variable: letters, digits and underscores"
	case strings.HasPrefix(strings.ToUpper(name), "GATEWRIGHT_"):
		return "must not be a setting of the gateway's own"
	case os.Getenv(name) == "":
		return "must be an environment variable that is set and not empty"
	}
	return ""
}

// caRule judges a bundle of certificates by reading it.
func caRule(path string) string {
	if rule := readableRule(path); rule != "" {
		return rule
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxCABytes {
		return "must be a file of at most 1 MiB"
	}
	pem, err := os.ReadFile(path)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return "must be a file with certificates in PEM"
	}
	return ""
}
