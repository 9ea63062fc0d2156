package limitfiles

import (
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Rule is the limit of a descriptor.
type Rule struct {
	// Domain is where it holds.
	Domain string
	// Name is what rules call it that replace it, and what an answer's current limit
	// is called. It may be empty, and need not be unique.
	Name string
	// Replaces are the names of rules that do not count where this one does.
	Replaces []string
	// Requests are admitted in each Unit: 0 admits none.
	Requests uint32
	Unit     Unit
	// Limit is how they are counted. It is nil for a rule that counts nothing:
	// one that is Unlimited, or admits none.
	Limit *config.Limit
	// Unlimited admits everything, and is not counted.
	Unlimited bool
	// ShadowMode counts, and denies nobody.
	ShadowMode bool
	// QuotaMode denies only together with all others of a request that have it.
	QuotaMode bool
	// Metadata is what an answer says of a request that passes. Its values are what
	// JSON has.
	Metadata map[string]any

	levels   []level
	path     string
	detailed bool
}

// Override is the rule of a descriptor that says its own limit. It is in no file, but
// counts where a rule of a file for the same entries and the same unit does. In metrics
// all of a domain are one.
func Override[E Entry](domain string, entries []E, u Unit, requests uint32) *Rule {
	r := &Rule{Domain: domain, Requests: requests, Unit: u, path: "override", levels: make([]level, len(entries))}
	if requests == 0 {
		return r
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.GetKey()
	}
	r.Limit = Limit(domain, keys, FixedWindow, u, int64(requests))
	return r
}

// level is one entry of the descriptors that a rule is for.
type level struct {
	key, value string // value is empty where any will do
	wildcard   bool
	shared     bool // by all values that match the wildcard
	told       bool // the value is told in metrics
}

// Value is what stands for the value of a descriptor's i-th entry in the key that
// the rule counts by: the value itself, or the wildcard where all that match it
// share one count.
func (r *Rule) Value(i int, value string) string {
	if r.levels[i].shared {
		return r.levels[i].value
	}
	return value
}

// Path names the rule in metrics, as envoyproxy/ratelimit does, but for the domain:
// the keys of its descriptors, each with "_" and its value where it has one, joined
// by dots.
func (r *Rule) Path() string { return r.path }

// Entry is one entry of a request's descriptor.
type Entry interface {
	GetKey() string
	GetValue() string
}

// PathOf is Path for one descriptor that the rule was found for: with the values that
// detailed_metric or value_to_metric ask for. Without those it is Path.
func PathOf[E Entry](r *Rule, entries []E) string {
	if !r.tells() {
		return r.path
	}
	var b strings.Builder
	for i, l := range r.levels {
		value := l.value
		if !l.shared && (r.detailed || l.told) {
			value = entries[i].GetValue()
		}
		writeStep(&b, l.key, value)
	}
	return b.String()
}

// tells reports whether metrics tell the rule's descriptors apart.
func (r *Rule) tells() bool {
	if r.detailed {
		return true
	}
	for _, l := range r.levels {
		if l.told {
			return true
		}
	}
	return false
}

func writeStep(b *strings.Builder, key, value string) {
	if b.Len() > 0 {
		b.WriteByte('.')
	}
	b.WriteString(key)
	if value != "" {
		b.WriteByte('_')
		b.WriteString(value)
	}
}

// Unit is what requests_per_unit is per.
type Unit string

// The units. A month has 30 days and a year 365, and each begins at a multiple of
// its length since 1970, UTC: neither knows the calendar.
const (
	Second Unit = "second"
	Minute Unit = "minute"
	Hour   Unit = "hour"
	Day    Unit = "day"
	Week   Unit = "week"
	Month  Unit = "month"
	Year   Unit = "year"
)

var units = []Unit{Second, Minute, Hour, Day, Week, Month, Year}

// Length is how long the unit is; 0 for what is none.
func (u Unit) Length() time.Duration {
	const day = 24 * time.Hour
	switch u {
	case Second:
		return time.Second
	case Minute:
		return time.Minute
	case Hour:
		return time.Hour
	case Day:
		return day
	case Week:
		return 7 * day
	case Month:
		return 30 * day
	case Year:
		return 365 * day
	}
	return 0
}

// Algorithm is how a rule's requests are counted: our addition to the language.
type Algorithm string

// The algorithms. The first is envoyproxy/ratelimit's, and the default.
const (
	FixedWindow   Algorithm = "fixed_window"
	SlidingWindow Algorithm = "sliding_window"
	SlidingLog    Algorithm = "sliding_log"
	TokenBucket   Algorithm = "token_bucket"
)

var algorithms = []Algorithm{FixedWindow, SlidingWindow, SlidingLog, TokenBucket}

// Limit is how requests of one kind of descriptor are counted: domain, keys,
// algorithm and unit are in its name, so that no two kinds share a count. How many
// requests are admitted is not: a count outlives a change of that.
func Limit(domain string, keys []string, a Algorithm, u Unit, requests int64) *config.Limit {
	var name strings.Builder
	for _, part := range append([]string{domain, string(a), string(u)}, keys...) {
		writeEscaped(&name, part)
		name.WriteByte('/')
	}
	limit := &config.Limit{Name: name.String(), Key: make([]config.KeyPart, len(keys))}
	for i, key := range keys {
		limit.Key[i] = config.KeyPart(key)
	}
	window := &config.SlidingWindow{Limit: requests, Window: config.Duration(u.Length())}
	switch a {
	case SlidingWindow:
		limit.SlidingWindow = window
	case SlidingLog:
		limit.SlidingLog = window
	case TokenBucket:
		limit.TokenBucket = &config.TokenBucket{Capacity: requests, Refill: config.Rate{Events: requests, Per: u.Length()}}
	default:
		limit.FixedWindow = window
	}
	return limit
}

// writeEscaped writes text so that no "/" is left in it, and no two texts become one.
func writeEscaped(b *strings.Builder, text string) {
	for i := range len(text) {
		switch text[i] {
		case '/':
			b.WriteString("~1")
		case '~':
			b.WriteString("~0")
		default:
			b.WriteByte(text[i])
		}
	}
}
