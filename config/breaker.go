package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a breaker is where a config does not say it.
const (
	DefaultErrorRate          = 0.5
	DefaultBreakerWindow      = 10 * time.Second
	DefaultBreakerMinRequests = 20
	DefaultOpenFor            = 30 * time.Second
	DefaultProbeLease         = 20 * time.Second // DefaultRouteTimeout, and some time to hear of the end
	DefaultBreakerFactor      = 2.0

	// longestOpens is how many times OpenFor the longest time is by default.
	longestOpens = 10
)

// Rate is the share of failures above which the breaker opens.
func (b *Breaker) Rate() float64 {
	if b.ErrorRate == nil {
		return DefaultErrorRate
	}
	return *b.ErrorRate
}

// Over is the time whose requests are counted.
func (b *Breaker) Over() time.Duration { return b.Window.Or(DefaultBreakerWindow) }

// Least is how many requests it takes for the breaker to open.
func (b *Breaker) Least() int {
	if b.MinRequests == 0 {
		return DefaultBreakerMinRequests
	}
	return b.MinRequests
}

// FirstOpen is how long the breaker stays open before its first probe.
func (b *Breaker) FirstOpen() time.Duration { return b.OpenFor.Or(DefaultOpenFor) }

// LongestOpen is how long it stays open at most, without jitter.
func (b *Breaker) LongestOpen() time.Duration {
	if b.Backoff == nil {
		return b.FirstOpen()
	}
	return b.Backoff.Max.Or(longestOpens * b.FirstOpen())
}

// Growth is what multiplies the time for each failed probe: at least 1.
func (b *Breaker) Growth() float64 {
	switch {
	case b.Backoff == nil:
		return 1
	case b.Backoff.Factor == nil:
		return DefaultBreakerFactor
	}
	return *b.Backoff.Factor
}

// Jitter is how much of the time is random beside it, from 0 to 1.
func (b *Breaker) Jitter() float64 {
	if b.Backoff == nil {
		return 0
	}
	return b.Backoff.Jitter
}

// ProbesToClose is how many probes in a row must succeed: at least 1.
func (b *Breaker) ProbesToClose() int { return max(b.Probes, 1) }

// Lease is how long the end of a probe is waited for.
func (b *Breaker) Lease() time.Duration { return b.ProbeLease.Or(DefaultProbeLease) }

// IsPerRoute tells that each route to the backend has a breaker of its own.
func (b *Breaker) IsPerRoute() bool { return b.Per == PerRoute }

// NameFor is the name of the breaker for requests of a route to the backend whose
// breaker b is: the backend's, or, where each route has one of its own, the route's
// and the backend's with a slash between them. State is kept under it.
func (b *Breaker) NameFor(route, backend string) string {
	if b.IsPerRoute() {
		return route + "/" + backend
	}
	return backend
}

// Statuses are the statuses of the backend's answers that are failures.
func (f *BreakerFailures) Statuses() []StatusRange {
	if f.Status == nil {
		return []StatusRange{{500, 599}}
	}
	return f.Status
}

// GRPCCodes are the numbers of the gRPC statuses that are failures.
func (f *BreakerFailures) GRPCCodes() []int {
	words := f.GRPCStatus
	if words == nil {
		words = []GRPCStatus{"unknown", "deadline-exceeded", "internal", "unavailable", "data-loss"}
	}
	codes := make([]int, len(words))
	for i, w := range words {
		codes[i] = w.Code()
	}
	return codes
}

// ConnectFailures, Resets and Timeouts tell whether those are failures.
func (f *BreakerFailures) ConnectFailures() bool { return trueUnlessSaid(f.ConnectFailure) }
func (f *BreakerFailures) Resets() bool          { return trueUnlessSaid(f.Reset) }
func (f *BreakerFailures) Timeouts() bool        { return trueUnlessSaid(f.Timeout) }

func trueUnlessSaid(b *bool) bool { return b == nil || *b }

// Has tells whether a status is in the range.
func (r StatusRange) Has(status int) bool { return r.From <= status && status <= r.To }

// String is the range as a config file says it.
func (r StatusRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return fmt.Sprintf("%dxx", r.From/100)
}

// ReadNode implements NodeReader: a status is an integer in YAML, and a class is a
// string.
func (r *StatusRange) ReadNode(n *yaml.Node) string {
	const rule = "must be a status from 400 to 599, or 4xx or 5xx"
	if n.Kind != yaml.ScalarNode {
		return rule
	}
	switch n.Value {
	case "4xx":
		*r = StatusRange{400, 499}
		return ""
	case "5xx":
		*r = StatusRange{500, 599}
		return ""
	}
	status, broken := integer(n)
	if broken != "" || status < 400 || status > 599 {
		return rule
	}
	*r = StatusRange{int(status), int(status)}
	return ""
}

// grpcStatuses are the statuses of gRPC, each at its number.
var grpcStatuses = []GRPCStatus{
	"ok", "cancelled", "unknown", "invalid-argument", "deadline-exceeded", "not-found", "already-exists", "permission-denied",
	"resource-exhausted", "failed-precondition", "aborted", "out-of-range", "unimplemented", "internal", "unavailable", "data-loss",
	"unauthenticated",
}

// GRPCFailures are the statuses that can be said to be failures: all but ok.
func GRPCFailures() []GRPCStatus { return slices.Clone(grpcStatuses[1:]) }

// Code is the number of the status; -1 where there is none of this name.
func (s GRPCStatus) Code() int { return slices.Index(grpcStatuses, s) }
