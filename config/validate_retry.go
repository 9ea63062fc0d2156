package config

import (
	"fmt"
	"time"
)

// retryConditions are Envoy's, for HTTP and for gRPC (x-envoy-retry-on and
// x-envoy-retry-grpc-on in its router filter).
var retryConditions = []string{
	"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream",
	"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
}

// noRetries is the rule of fields that say how a route repeats.
const noRetries = "needs attempts > 0: the route repeats nothing"

func (c *checker) retry(at *place, r *Retry, whole time.Duration) {
	c.between(at.key("attempts"), 0, int64(r.Attempts), maxAttempts)
	if r.Attempts == 0 {
		c.must(r.PerTryTimeout > 0, at.key("attempts"), "must be > 0, or stand beside a perTryTimeout: otherwise nothing is done")
		c.must(len(r.On) == 0, at.key("on"), noRetries)
	}
	c.words(at.key("on"), r.On)
	for i, condition := range r.On {
		oneOf(c, at.key("on").index(i), condition, retryConditions...)
	}
	c.must(time.Duration(r.PerTryTimeout) <= whole, at.key("perTryTimeout"),
		fmt.Sprintf("must be at most the route's timeout, %s", Duration(whole)))
}
