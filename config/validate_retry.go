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
		c.must(len(r.Codes) == 0, at.key("codes"), noRetries)
		c.must(r.Backoff == nil, at.key("backoff"), noRetries)
	}
	c.words(at.key("on"), r.On)
	for i, condition := range r.On {
		oneOf(c, at.key("on").index(i), condition, retryConditions...)
	}
	c.must(time.Duration(r.PerTryTimeout) <= whole, at.key("perTryTimeout"),
		fmt.Sprintf("must be at most the route's timeout, %s", Duration(whole)))
	seen := map[int]bool{}
	for i, code := range r.Codes {
		c.between(at.key("codes").index(i), 400, int64(code), 599)
		c.must(!seen[code], at.key("codes").index(i), "is listed twice")
		seen[code] = true
	}
	if r.Backoff != nil {
		c.backoff(at.key("backoff"), r.Backoff, whole)
	}
}

// backoff holds waits to what is left of a request's time.
func (c *checker) backoff(at *place, b *Backoff, whole time.Duration) {
	rule := fmt.Sprintf("must be less than the route's timeout, %s: nothing would be repeated", Duration(whole))
	c.must(time.Duration(b.Base) < whole, at.key("base"), rule)
	c.must(b.Max == 0 || b.LongestWait() >= b.FirstWait(), at.key("max"), fmt.Sprintf("must be at least the base, %s", Duration(b.FirstWait())))
	c.must(time.Duration(b.RetryAfter) < whole, at.key("retryAfter"), rule)
	c.must(b.RetryAfter == 0 || time.Duration(b.RetryAfter) >= time.Second, at.key("retryAfter"), "must be at least 1s: the header counts in seconds")
	c.must(*b != (Backoff{}), at, "must have a base, a max or a retryAfter")
}

// hedge holds a route that sends requests twice to a time after which it does.
func (c *checker) hedge(at *place, r *Route, whole time.Duration) {
	at = at.key("hedge")
	c.must(r.Hedge.OnPerTryTimeout, at.key("onPerTryTimeout"), "must be true: otherwise leave hedge out")
	switch {
	case !c.report.trusted(at) || r.Retry != nil && !c.report.trusted(at.in.key("retry")):
	case r.Retry == nil || r.Retry.Attempts < 1 || r.Retry.PerTryTimeout == 0:
		c.obey(at, "needs a retry with attempts and perTryTimeout: the first says how often, the second when")
	case time.Duration(r.Retry.PerTryTimeout) >= whole:
		c.obey(at, "needs a perTryTimeout below the route's timeout: before it nothing would be sent twice")
	}
}
