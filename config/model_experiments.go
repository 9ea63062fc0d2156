package config

// Experiments are features that may change, or go again, with any version. The zero
// value has none of them.
type Experiments struct {
	// RateLimitQuota has limits with consistency: lease counted inside Envoy, out of tokens
	// that are lent to it by Envoy's Rate Limit Quota Service. No Envoy that is known can:
	// true is refused, and such limits are counted by Gatewright
	// (docs/decisions/0046-no-lease-inside-envoy.md).
	RateLimitQuota bool `yaml:"rateLimitQuota"`
}
