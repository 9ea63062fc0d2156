package config

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// LetsEncrypt is the directory that is asked where none is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// DirectoryURL is where the authority begins.
func (a *ACME) DirectoryURL() string { return cmp.Or(a.Directory, LetsEncrypt) }

// ChallengeType is how a domain is proved.
func (a *ACME) ChallengeType() ACMEChallenge { return cmp.Or(a.Challenge, ChallengeTLS) }

// domains are the names whose certificates are obtained.
func (t *ListenerTLS) domains() []string {
	if t.ACME == nil {
		return nil
	}
	return t.ACME.Domains
}

// AnswersChallenges tells whether authorities ask this gateway by HTTP.
func (c *Config) AnswersChallenges() bool {
	return slices.ContainsFunc(c.Listeners, func(l *Listener) bool {
		return l.TLS != nil && l.TLS.ACME != nil && l.TLS.ACME.ChallengeType() == ChallengeHTTP
	})
}

func (c *checker) acme(at *place, a *ACME) {
	c.must(a.AgreeTermsOfService || !c.report.found(at.key("agreeTermsOfService")), at.key("agreeTermsOfService"),
		"must be true: an authority asks for it")
	c.words(at.key("domains"), a.Domains)
	for i, d := range a.Domains {
		if d != "" {
			c.obey(at.key("domains").index(i), acmeDomainRule(d))
		}
	}
	if a.Email != "" {
		c.obey(at.key("email"), contactRule(a.Email))
	}
	if a.Directory != "" {
		c.obey(at.key("directory"), directoryRule(a.Directory))
	}
	if a.CA != "" {
		c.obey(at.key("ca"), caRule(a.CA))
	}
	oneOf(c, at.key("challenge"), a.Challenge, ChallengeTLS, ChallengeHTTP)
	c.must(a.ChallengeType() != ChallengeHTTP || slices.ContainsFunc(c.cfg.Listeners, func(l *Listener) bool { return l.TLS == nil }), at.key("challenge"),
		"needs a listener without TLS, which authorities can reach at port 80")
	c.atMost(at.key("renewBefore"), a.RenewBefore, maxRenewBefore)
	if b := a.ExternalAccountBinding; b != nil {
		at := at.key("externalAccountBinding")
		c.secretEnv(at.key("keyEnv"), b.KeyEnv, bindingKeyRule(b.KeyEnv))
	}
}

// maxRenewBefore is longer than public certificates live.
const maxRenewBefore = 398 * 24 * time.Hour

func acmeDomainRule(d string) string {
	switch {
	case strings.Contains(d, "*"):
		return "must not have *: of a wildcard an authority asks for a proof by DNS, which is not given here; have such a certificate as a file"
	case d != strings.ToLower(d):
		return "must be in lower case: clients ask for it so"
	case !strings.Contains(d, "."), strings.HasSuffix(d, "."):
		return "must be a whole DNS name without a dot at its end, as api.example.com"
	}
	return hostNameRule(d)
}

// contactRule judges an address that an authority may write to.
func contactRule(s string) string {
	if rule := emailRule(s); rule != "" || strings.Contains(s, "*") {
		return "must be an address, as ops@example.com"
	}
	return ""
}

// directoryRule judges where an authority begins. It may well be within: a company's
// own. What it says is believed, so that nobody may change it on the way.
func directoryRule(s string) string {
	if rule := absoluteURLRule(s); rule != "" {
		return rule
	}
	if !strings.HasPrefix(s, "https://") {
		return "must be https (RFC 8555, section 6.1)"
	}
	return ""
}

func bindingKeyRule(name string) string {
	if rule := secretEnvRule(name); rule != "" || name == "" {
		return rule
	}
	if key, err := base64.RawURLEncoding.DecodeString(os.Getenv(name)); err != nil || len(key) == 0 {
		return "names a key that is no base64url without padding, as authorities give them out"
	}
	return ""
}

// sameACME holds listeners that share a certificate to say the same of it.
func (c *checker) sameACME(at *place) {
	type first struct {
		settings ACME
		at       *place
	}
	known := map[string]first{}
	for i, l := range c.cfg.Listeners {
		if l.TLS == nil || l.TLS.ACME == nil {
			continue
		}
		settings := *l.TLS.ACME
		settings.Domains = nil
		for j, d := range l.TLS.ACME.Domains {
			at := at.index(i).key("tls").key("acme").key("domains").index(j)
			if other, ok := known[d]; ok && !reflect.DeepEqual(other.settings, settings) {
				c.obey(at, fmt.Sprintf("has one certificate, and other settings on line %d", c.line(other.at)))
			} else if !ok {
				known[d] = first{settings, at}
			}
		}
	}
}

// ChallengePath is where authorities look for tokens (RFC 8555, section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"
