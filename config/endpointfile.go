package config

import (
	"net/netip"
	"slices"
)

// endpointFile is a file of endpoints (Discovery.File).
type endpointFile struct {
	// Endpoints are as those of a backend, but addresses alone.
	Endpoints []*Endpoint `yaml:"endpoints"`
}

// ParseEndpoints reads a file of endpoints: a list under endpoints, as a backend has
// it, which may be empty; but Envoy does not resolve names in it. Those of the gateway's own
// listeners, which cfg has, are refused. The error is Faults.
func ParseEndpoints(file string, data []byte, cfg *Config) ([]*Endpoint, error) {
	root, faults := readDocument(file, data)
	if root == nil {
		return nil, faults
	}
	r := newReport(file, root)
	r.faults = faults
	var said endpointFile
	fill(&said, root, r)
	c, at := &checker{cfg: cfg, report: r, bound: boundAddresses(cfg)}, new(place).key("endpoints")
	if list, _ := at.find(root); list == nil && c.report.found(at) {
		c.obey(at, "is missing: a backend without endpoints has an empty list")
	}
	c.endpoints(at, said.Endpoints)
	for i, e := range said.Endpoints {
		if found, rule := parseEndpoint(e.Address); rule == "" && !found.address.IsValid() {
			c.obey(c.addressOf(at.index(i)), discoveredNameRule)
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return said.Endpoints, nil
}

const discoveredNameRule = "must be an IP address: of endpoints that are discovered Envoy resolves no names"

// DiscoveredRule is the rule that an endpoint breaks that somebody else than the config
// knows, or "": it must be one that may stand in the config, and an address.
func DiscoveredRule(e *Endpoint, cfg *Config) string {
	found, rule := parseEndpoint(e.Address)
	switch {
	case rule != "":
		return rule
	case !found.address.IsValid():
		return discoveredNameRule
	case slices.ContainsFunc(boundAddresses(cfg)[found.port], func(listener netip.Addr) bool { return reaches(found, listener) }):
		return "is the gateway's own listener: requests would go round in a loop"
	case e.Zone != "":
		return zoneRule(e.Zone)
	}
	return ""
}
