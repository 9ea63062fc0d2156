package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// maxClockSkew bounds how wrong a clock may be: what is allowed after a token
// has expired is also time for whoever stole it.
const maxClockSkew = 5 * time.Minute

// DefaultKeyHeader is where an API key is looked for when a provider's From is
// empty.
const DefaultKeyHeader = "X-API-Key"

// signatures are the algorithms a token may be signed by (RFC 7518, section
// 3.1, and RFC 8037); macs are those by a secret.
var (
	signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	macs       = []string{"HS256", "HS384", "HS512"}
)

func (c *checker) jwt(at *place, j *JWT) {
	c.name(at, j.Name)
	c.words(at.key("audiences"), j.Audiences)
	c.algorithms(at.key("algorithms"), j)
	if j.SecretEnv == "" {
		c.must(j.PreviousSecretEnv == "", at.key("previousSecretEnv"), "needs secretEnv")
		c.jwks(at.key("jwks"), j)
	} else {
		c.must(j.JWKS == JWKS{}, at.key("secretEnv"), "must not stand beside jwks: a provider has public keys or a secret")
		c.sharedSecrets(at, j)
	}
	c.obey(at.key("tokenType"), tokenTypeRule(j.TokenType))
	c.atMost(at.key("clockSkew"), j.ClockSkew, maxClockSkew)
	c.forward(at.key("forward"), j.Forward)
}

// otherTypes are typ values of what is signed by the same keys, and is no
// access token: it is not shown to prove who calls.
var otherTypes = []string{"logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "client-authentication+jwt"}

// tokenTypeRule judges a typ: a media type, of which application/ may be left
// out (RFC 7515, section 4.1.9).
func tokenTypeRule(typ string) string {
	short := ShortMediaType(typ)
	switch {
	case typ == "":
		return ""
	case slices.Contains(otherTypes, strings.ToLower(short)):
		return "must be the type of an access token: such a token proves something else"
	case short == "" || strings.ContainsFunc(short, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<=>?@[\]{}`, r) }):
		return "must be a media type, as at+jwt or JWT"
	}
	return ""
}

// ShortMediaType is a media type without application/ where nothing but a name
// follows, as the typ of a token may be written (RFC 7515, section 4.1.9).
func ShortMediaType(typ string) string {
	const prefix = "application/"
	if len(typ) >= len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

// algorithms holds a provider to the algorithms of what it has. A public key that
// is taken for a secret would let everybody make tokens, so no provider has both.
func (c *checker) algorithms(at *place, j *JWT) {
	c.words(at, j.Algorithms)
	secret := j.SecretEnv != ""
	c.must(!secret || len(j.Algorithms) > 0, at, "must name HS256, HS384 or HS512 beside secretEnv")
	for i, a := range j.Algorithms {
		at := at.index(i)
		switch {
		case a == "":
		case strings.EqualFold(a, "none"):
			c.obey(at, "must be a signature: a token that nobody signed proves nothing")
		case secret && slices.Contains(signatures, a):
			c.obey(at, "needs jwks: a secret is for HS256, HS384 and HS512")
		case !secret && slices.Contains(macs, a):
			c.obey(at, "needs secretEnv: jwks has public keys")
		case secret:
			oneOf(c, at, a, macs...)
		default:
			oneOf(c, at, a, signatures...)
		}
	}
}

func absoluteURLRule(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "must be a URL with a host, as https://id.example.com/jwks.json"
	case u.User != nil:
		return "must not have a user or a password"
	case strings.Contains(s, "#"):
		return "must not have a fragment"
	case !validPort(u):
		return "must have a port from 1 to 65535"
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		return destinationRule(address.Unmap(), "")
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if rule := hostNameRule(name); rule != "" {
		return rule
	}
	return destinationRule(netip.Addr{}, name)
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	_, rule := parsePort(u.Port())
	return rule == ""
}

// readableRule judges a file by opening it: there is no surer way to know.
func readableRule(path string) string {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return "must be a file, not a directory or a device"
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "must be a file that is there: " + shown(path) + " is not"
	case err != nil:
		return "must be a file that can be read: " + shown(path) + " cannot"
	}
	_ = f.Close() // only read from
	return ""
}

// keyProperties are what an API key can forward of itself.
var keyProperties = []string{"id", "tenant", "owner"}

func (c *checker) apiKey(at *place, k *APIKey) {
	c.name(at, k.Name)
	c.must(c.cfg.Auth.JWT[k.Name] == nil, at, "is already the name of a JWT provider: limits tell callers apart by their provider")
	c.must(k.From.Header == "" || k.From.Query == "", at.key("from"), "must have at most one of header and query")
	if k.From.Header != "" {
		c.obey(at.key("from").key("header"), credentialHeaderRule(k.From.Header))
	}
	if k.From.Query != "" {
		c.obey(at.key("from").key("query"), queryNameRule(k.From.Query))
	}
	for _, property := range sorted(k.Forward) {
		if !slices.Contains(keyProperties, property) {
			c.obeyUnshown(at.key("forward").key(property), c.choiceRule(property, keyProperties))
		}
	}
	c.forward(at.key("forward"), k.Forward)
}

// queryNameRule judges a query parameter's name: one that is written the same
// in every URL.
func queryNameRule(name string) string {
	for i := range len(name) {
		if !unreserved(name[i]) {
			return "must be a query parameter of letters, digits, dots, dashes and underscores"
		}
	}
	return ""
}

// forward holds identity to headers of its own, each with one meaning.
func (c *checker) forward(at *place, forward map[string]string) {
	carries := map[string]string{}
	for _, from := range sorted(forward) {
		at, header := at.key(from), strings.ToLower(forward[from])
		c.must(from != "", at, "a claim must have a name")
		c.obey(at, forwardHeaderRule(header))
		if other, taken := carries[header]; taken {
			c.obey(at, "is already the header of "+shown(other))
		}
		carries[header] = from
		c.must(!c.keyHeaders[header], at, "must not be the header that API keys come in: it is taken out of every request")
	}
}

// keyHeaders are the headers that API keys come in, in lower case.
func keyHeaders(cfg *Config) map[string]bool {
	set := map[string]bool{}
	for _, k := range cfg.Auth.APIKey {
		set[strings.ToLower(k.KeyHeader())] = true
	}
	return set
}

// KeyHeader is the header that the provider's keys come in, or "" where they
// come in the query.
func (k *APIKey) KeyHeader() string {
	if k.From.Header == "" && k.From.Query == "" {
		return DefaultKeyHeader
	}
	return k.From.Header
}
