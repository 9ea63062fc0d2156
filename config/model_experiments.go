package config

// Experiments are features that may change, or go again, with any version. The zero
// value has none of them.
type Experiments struct {
	// RateLimitQuota has limits with consistency: lease counted inside Envoy, out of tokens
	// that are lent to it by Envoy's Rate Limit Quota Service. No Envoy that is known can:
	// true is refused, and such limits are counted by Gatewright
	// (docs/decisions/0046-no-lease-inside-envoy.md).
	RateLimitQuota bool `yaml:"rateLimitQuota"`
	// EnvoyModule is the path of Gatewright's dynamic module (`make module`), as each Envoy
	// has it. Policies of tokens are then judged by a call once for each token, and
	// remembered inside Envoy until they might be judged otherwise: see
	// docs/decisions/0049-a-module-remembers.md. An Envoy without the file refuses the config,
	// and serves the one before. Empty: Envoy's own filters judge. What Envoy promises of
	// its modules holds from one version to the next, so it is an experiment.
	EnvoyModule string `yaml:"envoyModule"`
}
