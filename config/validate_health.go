package config

import "fmt"

// maxProbeText bounds what a probe sends and expects.
const maxProbeText = 1024

func (c *checker) healthCheck(at *place, h *HealthCheck, b *Backend) {
	ways := 0
	for _, given := range []bool{h.Path != "" || !c.report.trusted(at.key("path")), h.GRPC != nil, h.TCP != nil} {
		if given {
			ways++
		}
	}
	c.must(ways == 1, at, "must have exactly one of path, grpc and tcp")
	switch {
	case h.Path != "":
		c.obey(at.key("path"), requestPathRule(h.Path))
	case h.GRPC != nil:
		c.must(b.SpeaksHTTP2(), at.key("grpc"), "needs a backend of the protocol grpc or http2")
		c.probeHost(at.key("grpc").key("authority"), h.GRPC.Authority)
		c.must(len(h.GRPC.Service) <= maxProbeText, at.key("grpc").key("service"), fmt.Sprintf("must have at most %d bytes", maxProbeText))
	case h.TCP != nil:
		c.must(len(h.TCP.Send) <= maxProbeText, at.key("tcp").key("send"), fmt.Sprintf("must have at most %d bytes", maxProbeText))
		c.must(len(h.TCP.Receive) <= maxProbeText, at.key("tcp").key("receive"), fmt.Sprintf("must have at most %d bytes", maxProbeText))
	}
	c.ofHTTP(at, h)
	c.atMost(at.key("interval"), h.Interval, maxDuration)
	c.atMost(at.key("jitter"), h.Jitter, maxDuration)
	c.atMost(at.key("unhealthyInterval"), h.UnhealthyInterval, maxDuration)
	c.atMost(at.key("edgeInterval"), h.EdgeInterval, maxDuration)
	c.atMost(at.key("idleInterval"), h.IdleInterval, maxDuration)
	c.atMost(at.key("timeout"), h.Timeout, maxDuration)
	c.between(at.key("unhealthyAfter"), 0, int64(h.UnhealthyAfter), 1000)
	c.between(at.key("healthyAfter"), 0, int64(h.HealthyAfter), 1000)
	c.between(at.key("port"), 0, int64(h.Port), 65535)
}

// ofHTTP judges what probes by a path alone have.
func (c *checker) ofHTTP(at *place, h *HealthCheck) {
	const rule = "is for probes by path"
	byPath := h.Path != "" || h.GRPC == nil && h.TCP == nil
	c.must(byPath || h.Host == "", at.key("host"), rule)
	c.must(byPath || len(h.Headers) == 0, at.key("headers"), rule)
	c.must(byPath || len(h.Expect) == 0, at.key("expect"), rule)
	c.probeHost(at.key("host"), h.Host)
	headerKeys(c, at.key("headers"), h.Headers, func(name string) string {
		return headerRule(name, "must not be set: it frames the message", framing)
	})
	c.headerCount(at.key("headers"), len(h.Headers))
	c.headerValues(at.key("headers"), h.Headers)
}

// probeHost judges the host of a probe: a name or an address, perhaps with a port.
func (c *checker) probeHost(at *place, host string) {
	if host == "" {
		return
	}
	for i := range len(host) {
		if !unreserved(host[i]) && host[i] != ':' && host[i] != '[' && host[i] != ']' {
			c.obey(at, "must be a host, as users.internal or users.internal:8080")
			return
		}
	}
}
