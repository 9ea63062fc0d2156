package config

import (
	"path"
	"strings"
)

// experiments refuses those that no Envoy can take part in. What is known of it is held
// by test/ratelimitquota_test.go: once an Envoy can, that fails.
func (c *checker) experiments(at *place, e Experiments) {
	c.must(!e.RateLimitQuota, at.key("rateLimitQuota"), "cannot be had: Envoy's rate_limit_quota filter (1.40) denies what it has no tokens for, "+
		"a caller's first request too, and cannot leave it to Gatewright. Leave it out: limits with consistency: lease are counted by Gatewright")
	if e.EnvoyModule != "" {
		c.must(path.IsAbs(e.EnvoyModule) && strings.HasSuffix(e.EnvoyModule, ".so"), at.key("envoyModule"),
			"has to be the whole path of a shared object, as Envoy sees it: /usr/lib/gatewright/libgatewright.so")
	}
}
