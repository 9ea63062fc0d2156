package config

import "math"

// maxConnections is the number that Envoy's users write for "no bound".
const maxConnections = 1_000_000_000

func (c *checker) backend(at *place, b *Backend) {
	c.name(at, b.Name)
	c.endpoints(at.key("endpoints"), b.Endpoints)
	oneOf(c, at.key("protocol"), b.Protocol, ProtocolHTTP1, ProtocolHTTP2, ProtocolGRPC)
	c.loadBalancing(at.key("loadBalancing"), b.LoadBalancing)
	if b.HealthCheck != nil {
		c.healthCheck(at.key("healthCheck"), b.HealthCheck)
	}
	if b.Connections != nil {
		c.connections(at.key("connections"), b.Connections)
	}
	if b.OutlierDetection != nil {
		c.outlierDetection(at.key("outlierDetection"), b.OutlierDetection)
	}
	if b.Breaker != nil {
		c.breaker(at.key("breaker"), b.Breaker, b.Name)
	}
}

func (c *checker) loadBalancing(at *place, lb LoadBalancing) {
	if lb == RingHash || lb == Maglev {
		c.notYet(at, "hashed load balancing")
		return
	}
	oneOf(c, at, lb, RoundRobin, LeastRequest, Random)
}

func (c *checker) healthCheck(at *place, h *HealthCheck) {
	c.obey(at.key("path"), requestPathRule(h.Path))
	c.atMost(at.key("interval"), h.Interval, maxDuration)
	c.atMost(at.key("timeout"), h.Timeout, maxDuration)
	c.between(at.key("unhealthyAfter"), 0, int64(h.UnhealthyAfter), 1000)
	c.between(at.key("healthyAfter"), 0, int64(h.HealthyAfter), 1000)
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
	}
}

func (c *checker) outlierDetection(at *place, o *OutlierDetection) {
	c.between(at.key("consecutive5xx"), 0, int64(o.Consecutive5xx), math.MaxUint32)
	c.atMost(at.key("interval"), o.Interval, maxDuration)
	c.atMost(at.key("baseEjectionTime"), o.BaseEjectionTime, maxDuration)
	c.between(at.key("maxEjectionPercent"), 0, int64(o.MaxEjectionPercent), 100)
}
