package config

import "cmp"

// The bounds of an AdaptiveConcurrency where the config says none.
const (
	DefaultMaxConcurrency = 1000
	DefaultMinConcurrency = 3
)

// MostConcurrency is what the bound is never above.
func (a *AdaptiveConcurrency) MostConcurrency() int { return cmp.Or(a.Max, DefaultMaxConcurrency) }

// LeastConcurrency is what it is never below.
func (a *AdaptiveConcurrency) LeastConcurrency() int { return cmp.Or(a.Min, DefaultMinConcurrency) }
