package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/internal/transcoding"
)

// validate judges a decoded Config by the rules that types cannot say, and
// reports every fault. There is one file for each noun of the language; in
// each, a rule is a line.
//
// A rule keeps silent where decoding could not take what was written: there is
// a fault already, and a second one about the gap it left would only mislead.
func validate(cfg *Config, r *report, beside Beside) {
	c := &checker{
		cfg: cfg, report: r, beside: beside, now: time.Now(),
		bound:      boundAddresses(cfg),
		identity:   identityHeaders(cfg),
		told:       headersFromIdentity(cfg),
		keyHeaders: keyHeaders(cfg),
		contents:   map[string]readContent{},
		sets:       map[setKey]*transcoding.Set{},
	}
	top := new(place)
	c.listeners(top.key("listeners"))
	c.trustedHops(top.key("trustedHops"), cfg.TrustedHops)
	c.trustedProxies(top.key("trustedProxies"), cfg.TrustedProxies, cfg.TrustedHops > 0)
	for _, name := range sorted(cfg.Backends) {
		c.backend(top.key("backends").key(name), cfg.Backends[name])
	}
	for _, name := range sorted(cfg.Auth.JWT) {
		c.jwt(top.key("auth").key("jwt").key(name), cfg.Auth.JWT[name])
	}
	for _, name := range sorted(cfg.Auth.APIKey) {
		c.apiKey(top.key("auth").key("apiKey").key(name), cfg.Auth.APIKey[name])
	}
	for _, name := range sorted(cfg.Auth.Introspection) {
		c.introspection(top.key("auth").key("introspection").key(name), cfg.Auth.Introspection[name])
	}
	for _, name := range sorted(cfg.Auth.ClientCertificate) {
		c.clientCertificate(top.key("auth").key("clientCertificate").key(name), cfg.Auth.ClientCertificate[name])
	}
	for _, name := range sorted(cfg.Limits) {
		c.limit(top.key("limits").key(name), cfg.Limits[name])
	}
	for _, name := range sorted(cfg.OpenAPI) {
		c.openAPI(top.key("openapi").key(name), cfg.OpenAPI[name])
	}
	oneOf(c, top.key("rateLimitHeaders"), cfg.RateLimitHeaders, HeadersIETF, HeadersX, HeadersBoth, HeadersNone)
	c.strangers(top.key("strangers"), cfg.Strangers)
	c.errorBodies(top.key("errors"), cfg.Errors)
	c.accessLog(top.key("accessLog"), cfg.AccessLog)
	c.metrics(top.key("metrics"), cfg.Metrics)
	c.tracing(top.key("tracing"), cfg.Tracing)
	c.experiments(top.key("experiments"), cfg.Experiments)
	c.routes(top.key("routes"))
	c.placements(top.key("listeners"), top.key("routes"))
}

// checker judges one Config.
type checker struct {
	cfg    *Config
	report *report
	// bound are the addresses of the listeners, by port.
	bound map[uint16][]netip.Addr
	// identity are the headers that carry identity to backends, told those by which
	// routes tell of it, and keyHeaders those that API keys come in, in lower case.
	identity, told, keyHeaders map[string]bool
	// beside is what is served; now is when certificates must be valid.
	beside Beside
	now    time.Time
	// contents are the files that were read, by path, and sets what was read of
	// descriptor sets.
	contents map[string]readContent
	sets     map[setKey]*transcoding.Set
}

// obey reports the rule that the value at a place breaks, if any: the functions
// named …Rule return a rule in words, and "" where it is kept.
func (c *checker) obey(at *place, rule string) {
	if rule != "" && c.report.trusted(at) {
		c.report.refuse(at, rule)
	}
}

// obeyUnshown is obey for a value that may hold a secret.
func (c *checker) obeyUnshown(at *place, rule string) {
	if rule != "" && c.report.trusted(at) {
		c.report.refuseUnshown(at, rule)
	}
}

// must reports a rule where it is not kept.
func (c *checker) must(kept bool, at *place, rule string) {
	if !kept {
		c.obey(at, rule)
	}
}

// between holds a number to a range, both ends included.
func (c *checker) between(at *place, low, value, high int64) {
	switch {
	case value > high:
		c.obey(at, fmt.Sprintf("must be at most %d", high))
	case value < low && low == 1:
		c.obey(at, "must be > 0")
	case value < low:
		c.obey(at, fmt.Sprintf("must be at least %d", low))
	}
}

// atMost holds a duration to a bound. Decoding has refused negative ones.
func (c *checker) atMost(at *place, d Duration, most time.Duration) {
	if d > Duration(most) {
		c.obey(at, "must be at most "+Duration(most).String())
	}
}

// maxDuration bounds the times that have no tighter bound of their own.
const maxDuration = 24 * time.Hour

// oneOf holds a word to those known. An empty one is its default.
func oneOf[S ~string](c *checker, at *place, value S, known ...S) {
	if value != "" && !slices.Contains(known, value) {
		c.obey(at, c.choiceRule(string(value), words(known)))
	}
}

func words[S ~string](values []S) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// choiceRule says what a word may be, and what was perhaps meant.
func (c *checker) choiceRule(value string, known []string) string {
	if len(known) == 1 {
		return "must be " + known[0]
	}
	rule := "must be one of " + strings.Join(known, ", ")
	if meant := nearest(value, known); meant != "" {
		rule += "; did you mean " + quoted(meant) + "?"
	}
	return rule
}

// notYet refuses a value whose behaviour is not built.
func (c *checker) notYet(at *place, what string) { c.obey(at, "not yet supported: "+what) }

// nameForm is how anything may be called that stands in logs, metrics, store
// keys and xDS resource names, between their own separators.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// ownPrefix begins the names of Gatewright's own listeners, routes and clusters.
const ownPrefix = "gatewright"

func nameRule(name string) string {
	switch {
	case !nameForm.MatchString(name):
		return "a name has 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit"
	case strings.HasPrefix(name, ownPrefix):
		return "names that begin with " + ownPrefix + " are its own"
	}
	return ""
}

// name holds a name, as a value or as the key of a mapping, to its form.
func (c *checker) name(at *place, name string) { c.obey(at, nameRule(name)) }

// words holds a list to words that are not empty and not repeated.
func (c *checker) words(at *place, values []string) {
	seen := make(map[string]bool, len(values))
	for i, v := range values {
		c.must(v != "", at.index(i), "must not be empty")
		c.must(v == "" || !seen[v], at.index(i), "is listed twice")
		seen[v] = true
	}
}

// exists holds a reference to the names that a mapping of the file gives. Where
// the mapping itself could not be read, nothing dangles; and that a name is
// empty is another rule's fault.
func exists[V any](c *checker, at *place, noun, name string, known map[string]V, in *place) {
	if _, ok := known[name]; ok || name == "" || !c.report.found(in) || c.report.full() {
		return
	}
	rule := fmt.Sprintf("there is no %s of this name", noun)
	if len(known) <= maxNamesSearched {
		rule += c.report.suggestion("; ", name, sorted(known))
	}
	c.obey(at, rule)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// line is where a place stands in the file.
func (c *checker) line(at *place) int {
	_, line := at.find(c.report.root)
	return line
}
