package config

import (
	"fmt"
	"time"
)

const (
	leastBreakerWindow = time.Second
	maxBreakerWindow   = time.Hour
	maxBreakerRequests = 1_000_000
	leastOpenFor       = 100 * time.Millisecond
	maxProbes          = 100
	leastProbeLease    = time.Second
	maxBreakerFactor   = 10
)

func (c *checker) breaker(at *place, b *Breaker, backend string) {
	c.must(b.ErrorRate == nil || *b.ErrorRate >= 0 && *b.ErrorRate < 1, at.key("errorRate"),
		"must be from 0 to less than 1: more than all of the requests cannot fail")
	c.unlessZero(at.key("window"), b.Window, leastBreakerWindow, maxBreakerWindow)
	c.between(at.key("minRequests"), 0, int64(b.MinRequests), maxBreakerRequests)
	c.unlessZero(at.key("openFor"), b.OpenFor, leastOpenFor, maxDuration)
	if b.Backoff != nil {
		c.breakerBackoff(at.key("backoff"), b)
	}
	oneOf(c, at.key("per"), b.Per, PerBackend, PerRoute)
	c.between(at.key("probes"), 0, int64(b.Probes), maxProbes)
	c.unlessZero(at.key("probeLease"), b.ProbeLease, leastProbeLease, maxDuration)
	c.atMost(at.key("ramp"), b.Ramp, maxDuration)
	c.breakerFailures(at.key("failures"), &b.Failures)
	if b.Fallback != nil {
		c.breakerFallback(at.key("fallback"), b, backend)
	}
	oneOf(c, at.key("mode"), b.Mode, ModeEnforce, ModeShadow)
	if b.Webhook != nil {
		c.webhook(at.key("webhook"), b.Webhook)
	}
}

// unlessZero holds a duration that has a default to a range.
func (c *checker) unlessZero(at *place, d Duration, least, most time.Duration) {
	c.must(d == 0 || d >= Duration(least), at, "must be at least "+Duration(least).String())
	c.atMost(at, d, most)
}

func (c *checker) breakerBackoff(at *place, b *Breaker) {
	n := b.Backoff
	c.must(n.Factor == nil || *n.Factor >= 1 && *n.Factor <= maxBreakerFactor, at.key("factor"), "must be from 1 to 10")
	c.must(b.LongestOpen() >= b.FirstOpen(), at.key("max"), fmt.Sprintf("must be at least openFor, %s", Duration(b.FirstOpen())))
	c.atMost(at.key("max"), n.Max, maxDuration)
	c.must(n.Jitter >= 0 && n.Jitter <= 1, at.key("jitter"), "must be from 0 to 1")
}

func (c *checker) breakerFailures(at *place, f *BreakerFailures) {
	seen := map[StatusRange]bool{}
	for i, r := range f.Status {
		at := at.key("status").index(i)
		c.must(r.From == 0 || !seen[r], at, "is listed twice")
		class := StatusRange{r.From / 100 * 100, r.From/100*100 + 99}
		c.must(r == class || !seen[class], at, fmt.Sprintf("is in %s already", class))
		seen[r] = true
	}
	statuses := map[GRPCStatus]bool{}
	for i, s := range f.GRPCStatus {
		at := at.key("grpcStatus").index(i)
		c.must(s != "", at, "must not be empty")
		oneOf(c, at, s, GRPCFailures()...)
		c.must(s == "" || !statuses[s], at, "is listed twice")
		statuses[s] = true
	}
	c.atMost(at.key("slowerThan"), f.SlowerThan, maxDuration)
	counts := len(f.Statuses()) > 0 || len(f.GRPCCodes()) > 0 || f.ConnectFailures() || f.Resets() || f.Timeouts() || f.SlowerThan > 0
	c.must(counts, at, "must leave something that counts: the breaker would never open")
}

func (c *checker) breakerFallback(at *place, b *Breaker, backend string) {
	f := b.Fallback
	c.must((f.Backend == "") != (f.Respond == nil), at, "must have exactly one of backend and respond")
	if f.Respond != nil {
		c.respond(at.key("respond"), f.Respond)
	}
	if f.Backend != "" {
		exists(c, at.key("backend"), "backend", f.Backend, c.cfg.Backends, new(place).key("backends"))
		c.must(f.Backend != backend, at.key("backend"), "must be another backend")
	}
	c.must(!b.InShadow(), at, "needs mode enforce: in shadow every request passes")
}

// webhook judges an address that events are sent to.
func (c *checker) webhook(at *place, w *Webhook) {
	if w.URL != "" {
		c.remoteURL(at.key("url"), w.URL, w.PlainHTTP)
	}
	if w.AuthorizationEnv != "" {
		c.secretEnv(at.key("authorizationEnv"), w.AuthorizationEnv, secretEnvRule(w.AuthorizationEnv))
	}
}
