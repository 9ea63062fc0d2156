package config

// Discovery says who knows where a backend is: exactly one of File, Consul and SRV. What
// it says is taken over within moments, without a change of the config. Where it cannot
// be asked, or says nothing of use, the endpoints that were known last stay, also
// after a restart.
type Discovery struct {
	// File is the path of a file with a list under endpoints, as a backend has it. It is
	// watched.
	File string `yaml:"file"`
	// Consul names a service in the catalogue of Consul (GATEWRIGHT_CONSUL_ADDR).
	Consul *ConsulService `yaml:"consul"`
	// SRV names records of DNS that say hosts and ports (RFC 2782). Envoy knows none.
	SRV *SRVRecords `yaml:"srv"`
}

// SRVRecords are the SRV records of a name, and the addresses of their targets. Their
// priorities are ranks, and their weights weights.
type SRVRecords struct {
	// Name is that of the records, as _http._tcp.users.internal.
	Name string `yaml:"name" required:"true"`
	// Resolvers are the DNS servers that are asked, IP:port, the next where one does not
	// answer. Left out, they are those of the machine that Gatewright is on.
	Resolvers []string `yaml:"resolvers"`
	// Refresh is how often they are asked for. 0 means 5s.
	Refresh Duration `yaml:"refresh"`
	// Addresses are the families of addresses that targets are used by. The empty string
	// means ipv4-first.
	Addresses DNSFamily `yaml:"addresses"`
	// Zone is where the endpoints are. The empty string has no zones.
	Zone string `yaml:"zone"`
	// AllowEmpty believes that there is no target: that the name has no records, or one
	// that says so. Otherwise the endpoints that were known last stay.
	AllowEmpty bool `yaml:"allowEmpty"`
}

// ConsulService is a service in Consul's catalogue. Its instances are the endpoints
// as long as none of their checks is critical.
type ConsulService struct {
	// Service is its name.
	Service string `yaml:"service" required:"true"`
	// Tags are those that instances must have, all of them.
	Tags []string `yaml:"tags"`
	// Datacenter is where it is. The empty string means that of the agent.
	Datacenter string `yaml:"datacenter"`
	// Filter is an expression of Consul that instances must fulfil, as
	// Service.Meta.version == "2".
	Filter string `yaml:"filter"`
	// OnlyPassing leaves instances out of which a check warns.
	OnlyPassing bool `yaml:"onlyPassing"`
	// ZoneMeta is the key under which the meta data of instances, or of their nodes,
	// have the zone. The empty string has no zones.
	ZoneMeta string `yaml:"zoneMeta"`
	// AllowEmpty believes Consul that there is no instance at all. Otherwise those that
	// were known last stay: that a service has lost all its instances at once is most
	// often a fault in their checks, or in who registers them.
	AllowEmpty bool `yaml:"allowEmpty"`
}
