package ratelimit

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/limitfiles"
)

// RuleSettings are how domains of envoyproxy/ratelimit's files are answered. Each is a
// variable of that server, with GATEWRIGHT_RATELIMIT_ before its name and the same
// default; but for the first, which says where the files are, and the last, which that
// server lacks.
type RuleSettings struct {
	// Folder is where the files are: all in it that end in .yaml. Empty: there are none.
	Folder string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_DIR"`
	// MergeDomains lets several files have one domain.
	MergeDomains bool `envconfig:"GATEWRIGHT_RATELIMIT_MERGE_DOMAIN_CONFIG"`
	// Headers tell of the limit that is nearest to its end, in answers.
	Headers         bool   `envconfig:"GATEWRIGHT_RATELIMIT_LIMIT_RESPONSE_HEADERS_ENABLED"`
	LimitHeader     string `envconfig:"GATEWRIGHT_RATELIMIT_LIMIT_LIMIT_HEADER" default:"RateLimit-Limit"`
	RemainingHeader string `envconfig:"GATEWRIGHT_RATELIMIT_LIMIT_REMAINING_HEADER" default:"RateLimit-Remaining"`
	ResetHeader     string `envconfig:"GATEWRIGHT_RATELIMIT_LIMIT_RESET_HEADER" default:"RateLimit-Reset"`
	// DynamicMetadata says in answers what was asked, and the metadata of rules.
	DynamicMetadata bool `envconfig:"GATEWRIGHT_RATELIMIT_RESPONSE_DYNAMIC_METADATA"`
	// ShadowMode denies no request, whatever its limits say.
	ShadowMode bool `envconfig:"GATEWRIGHT_RATELIMIT_SHADOW_MODE"`
	// QuotaMode is quota_mode for all rules.
	QuotaMode bool `envconfig:"GATEWRIGHT_RATELIMIT_QUOTA_MODE"`
	// NearLimitRatio is from what part of a limit on metrics say near_limit.
	NearLimitRatio float64 `envconfig:"GATEWRIGHT_RATELIMIT_NEAR_LIMIT_RATIO" default:"0.8"`
	// OnStoreFailure is what is done while Redis does not answer: local, allow or deny.
	OnStoreFailure config.OnStoreFailure `envconfig:"GATEWRIGHT_RATELIMIT_ON_STORE_FAILURE" default:"local"`
}

func (s RuleSettings) check() error {
	var faults []error
	refuse := func(name string, value any, rule string) {
		faults = append(faults, fmt.Errorf("GATEWRIGHT_RATELIMIT_%s=%v: %s", name, value, rule))
	}
	for name, header := range map[string]string{
		"LIMIT_LIMIT_HEADER": s.LimitHeader, "LIMIT_REMAINING_HEADER": s.RemainingHeader, "LIMIT_RESET_HEADER": s.ResetHeader,
	} {
		if !isHeaderName(header) {
			refuse(name, header, "must be the name of a header")
		}
	}
	if !(s.NearLimitRatio >= 0 && s.NearLimitRatio <= 1) {
		refuse("NEAR_LIMIT_RATIO", s.NearLimitRatio, "must be from 0 to 1")
	}
	switch s.OnStoreFailure {
	case config.FailLocal, config.FailAllow, config.FailDeny:
	default:
		refuse("ON_STORE_FAILURE", s.OnStoreFailure, "must be local, allow or deny")
	}
	return errors.Join(faults...)
}

// isHeaderName: a token (RFC 9110, 5.6.2).
func isHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// Rules are the limits of envoyproxy/ratelimit's files, for a Service. They change as a
// whole, by Set. NewRules makes them.
type Rules struct {
	settings RuleSettings
	current  atomic.Pointer[ruleSet] // nil before the first Set
	metrics  *ruleMetrics
	now      func() time.Time
}

// ruleSet is a table, with the definition of each limit in it.
type ruleSet struct {
	table       *limitfiles.Table
	definitions map[*config.Limit]Definition
}

// NewRules returns rules that answer Unavailable until they are Set. Errors are settings that say nothing, and
// metrics that reg has already.
func NewRules(s RuleSettings, reg prometheus.Registerer) (*Rules, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	r := &Rules{settings: s, metrics: newRuleMetrics(), now: time.Now}
	return r, r.metrics.register(reg)
}

// Set serves what the table says, from the next request on. The error says which limit
// cannot be counted; then nothing has changed.
func (r *Rules) Set(table *limitfiles.Table) error {
	set := &ruleSet{table: table, definitions: map[*config.Limit]Definition{}}
	for _, rule := range table.Rules() {
		if rule.Limit == nil {
			continue
		}
		d, err := NewDefinition(rule.Limit, config.Allowance{})
		if err != nil {
			return fmt.Errorf("domain %q, rule %q: %w", rule.Domain, rule.Path(), err)
		}
		set.definitions[rule.Limit] = d
	}
	r.current.Store(set)
	return nil
}

// Summary is how much is served.
func (r *Rules) Summary() limitfiles.Summary {
	set := r.current.Load()
	if set == nil {
		return limitfiles.Summary{}
	}
	return set.table.Summary()
}

// definition is what a limit is, of a rule or an override.
func (s *ruleSet) definition(l *config.Limit) (Definition, error) {
	if d, ok := s.definitions[l]; ok {
		return d, nil
	}
	return NewDefinition(l, config.Allowance{})
}
