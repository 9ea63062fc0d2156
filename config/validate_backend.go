package config

import (
	"fmt"
	"math"
	"time"
)

// maxConnections is the number that Envoy's users write for "no bound".
const maxConnections = 1_000_000_000

// maxBudgetInterval bounds what an Envoy remembers of the requests that have begun.
const maxBudgetInterval = 10 * time.Second

func (c *checker) backend(at *place, b *Backend) {
	c.name(at, b.Name)
	c.whereabouts(at, b)
	oneOf(c, at.key("protocol"), b.Protocol, ProtocolHTTP1, ProtocolHTTP2, ProtocolGRPC)
	if b.LoadBalancing != nil {
		c.loadBalancing(at.key("loadBalancing"), b.LoadBalancing)
	}
	if b.SessionAffinity != nil {
		c.sessionAffinity(at.key("sessionAffinity"), b)
	}
	c.must(!b.Trailers || !b.SpeaksHTTP2(), at.key("trailers"), "must not stand beside this protocol: HTTP/2 always has them")
	if b.HealthCheck != nil {
		c.healthCheck(at.key("healthCheck"), b.HealthCheck, b)
	}
	if b.Connections != nil {
		c.connections(at.key("connections"), b.Connections)
		c.eachConnection(at.key("connections"), b.Connections, b)
	}
	if b.OutlierDetection != nil {
		c.outlierDetection(at.key("outlierDetection"), b.OutlierDetection)
	}
	if b.PanicThreshold != nil {
		c.between(at.key("panicThreshold"), 0, int64(*b.PanicThreshold), 100)
	}
	if b.AdaptiveConcurrency != nil {
		c.adaptiveConcurrency(at.key("adaptiveConcurrency"), b.AdaptiveConcurrency)
	}
	if b.TLS != nil {
		c.backendTLS(at.key("tls"), b)
	}
	oneOf(c, at.key("proxyProtocol"), b.ProxyProtocol, ProxyProtocolV1, ProxyProtocolV2)
	c.must(b.ProxyProtocol == "" || b.Connections == nil || b.Connections.Preconnect <= 1, at.key("proxyProtocol"),
		"must not stand beside connections.preconnect: a connection that is made ahead is for no client yet")
	if b.Breaker != nil {
		c.breaker(at.key("breaker"), b.Breaker, b.Name)
	}
}

// requestPathRule judges a path that is sent as it is.
func requestPathRule(path string) string {
	if path == "" || path[0] != '/' {
		return "must begin with /"
	}
	for i := range len(path) {
		if path[i] <= ' ' || path[i] >= 0x7F || path[i] == '#' {
			return "must be a path of a request: ASCII without spaces and without #"
		}
	}
	return ""
}

func (c *checker) connections(at *place, n *Connections) {
	c.between(at.key("max"), 0, int64(n.Max), maxConnections)
	c.between(at.key("maxPending"), 0, int64(n.MaxPending), maxConnections)
	c.between(at.key("maxRequests"), 0, int64(n.MaxRequests), maxConnections)
	c.between(at.key("maxRetries"), 0, int64(n.MaxRetries), maxConnections)
	if budget := n.RetryBudget; budget != nil {
		at := at.key("retryBudget")
		c.must(n.MaxRetries == 0, at, "must not stand beside maxRetries: of the two bounds Envoy keeps one")
		c.must(budget.Percent == nil || *budget.Percent >= 0 && *budget.Percent <= 100, at.key("percent"), "must be 0 to 100")
		c.between(at.key("minConcurrent"), 0, int64(budget.MinConcurrent), maxConnections)
		c.atMost(at.key("interval"), budget.Interval, maxBudgetInterval)
	}
}

func (c *checker) outlierDetection(at *place, o *OutlierDetection) {
	c.between(at.key("consecutive5xx"), 0, int64(o.Consecutive5xx), math.MaxUint32)
	c.atMost(at.key("interval"), o.Interval, maxDuration)
	c.atMost(at.key("baseEjectionTime"), o.BaseEjectionTime, maxDuration)
	c.between(at.key("maxEjectionPercent"), 0, int64(o.MaxEjectionPercent), 100)
	c.between(at.key("consecutiveGatewayErrors"), 0, int64(o.ConsecutiveGatewayErrors), math.MaxUint32)
	c.between(at.key("consecutiveLocalErrors"), 0, int64(o.ConsecutiveLocalErrors), math.MaxUint32)
	c.atMost(at.key("maxEjectionTime"), o.MaxEjectionTime, maxDuration)
	base := Duration(o.BaseEjectionTime.Or(DefaultBaseEjection))
	c.must(o.MaxEjectionTime == 0 || o.MaxEjectionTime >= base, at.key("maxEjectionTime"), fmt.Sprintf("must be at least the baseEjectionTime, %s", base))
	c.atMost(at.key("jitter"), o.Jitter, maxDuration)
	if p := o.FailurePercentage; p != nil {
		at := at.key("failurePercentage")
		c.between(at.key("threshold"), 0, int64(p.Threshold), 100)
		c.enoughToCompare(at, p.MinEndpoints, p.MinRequests)
	}
	if r := o.SuccessRate; r != nil {
		at := at.key("successRate")
		c.must(r.Deviations >= 0 && r.Deviations <= maxDeviations, at.key("deviations"), fmt.Sprintf("must be 0 to %d", maxDeviations))
		c.enoughToCompare(at, r.MinEndpoints, r.MinRequests)
	}
}

// DefaultBaseEjection is how long an endpoint is ejected for the first time, where a
// config says nothing.
const DefaultBaseEjection = 30 * time.Second

// maxDeviations is so much that no endpoint is so far from the others.
const maxDeviations = 1000

// enoughToCompare are the minima of endpoints and of requests of each.
func (c *checker) enoughToCompare(at *place, endpoints, requests int) {
	c.between(at.key("minEndpoints"), 0, int64(endpoints), math.MaxUint32)
	c.between(at.key("minRequests"), 0, int64(requests), math.MaxUint32)
}

func (c *checker) adaptiveConcurrency(at *place, a *AdaptiveConcurrency) {
	c.between(at.key("max"), 0, int64(a.Max), maxConnections)
	c.between(at.key("min"), 0, int64(a.Min), maxConnections)
	c.must(a.Max < 0 || a.LeastConcurrency() <= a.MostConcurrency(), at.key("min"), fmt.Sprintf("must be at most the max, %d", a.MostConcurrency()))
	c.must(a.Percentile >= 0 && a.Percentile <= 100, at.key("percentile"), "must be above 0 and up to 100")
	c.must(a.Tolerance == nil || *a.Tolerance >= 0 && *a.Tolerance <= 100, at.key("tolerance"), "must be 0 to 100")
	c.atMost(at.key("interval"), a.Interval, maxDuration)
	c.atMost(at.key("measureEvery"), a.MeasureEvery, maxDuration)
	c.between(at.key("measureRequests"), 0, int64(a.MeasureRequests), math.MaxUint32)
}
