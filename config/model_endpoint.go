package config

// Endpoint is one place at which a backend is. In a file it is its address alone, or
// all of this.
type Endpoint struct {
	// Address is host:port. A host name is resolved by Envoy, and followed.
	Address string `yaml:"address" required:"true"`
	// Weight is how much of the requests it gets, beside the weights of the others, 1
	// to 1000. 0 means 1.
	Weight int `yaml:"weight"`
	// Zone is where it is, as eu-1a; see LoadBalancing.ZoneWeights. The empty string
	// is a zone as well.
	Zone string `yaml:"zone"`
	// Priority is which rank it has: those of rank 0 get all requests while enough of
	// them are healthy, and then those of rank 1, up to 15. Ranks have no gaps.
	Priority int `yaml:"priority"`
}

// DNS says how the host names of a backend's endpoints are resolved, and followed.
type DNS struct {
	// Mode is how many of the addresses of a name are used. The empty string means strict.
	Mode DNSMode `yaml:"mode"`
	// Refresh is how long an answer is used before the name is asked for again, and the
	// least where RespectTTL is set. 0 means 5s.
	Refresh Duration `yaml:"refresh"`
	// RespectTTL has each answer say itself for how long it holds.
	RespectTTL bool `yaml:"respectTTL"`
	// FailureRefresh is how soon after a failure the name is asked for again: a random
	// time up to it at first, and up to ten times as much later. 0 means Refresh. What
	// was known stays in use meanwhile.
	FailureRefresh Duration `yaml:"failureRefresh"`
	// Jitter is how much later a name may be asked for, at random, so that the Envoys
	// of a fleet do not ask as one. 0 is no later.
	Jitter Duration `yaml:"jitter"`
	// Addresses are the families that are asked for. The empty string means ipv4-first.
	Addresses DNSFamily `yaml:"addresses"`
	// Resolvers are the DNS servers that are asked, IP:port. Left out, they are those of
	// the machine that the Envoy is on.
	Resolvers []string `yaml:"resolvers"`
	// TCP has them asked over TCP from the beginning, and not after a cut answer only.
	TCP bool `yaml:"tcp"`
	// QueryTimeout is how long one try may take, in whole seconds, and Tries how many
	// there are. 0 means 5s and 4.
	QueryTimeout Duration `yaml:"queryTimeout"`
	Tries        int      `yaml:"tries"`
}

// DNSMode is how many of the addresses of a name are used.
type DNSMode string

// The modes: strict has an endpoint for each address in the answer, and closes the
// connections to those that are no longer in it; logical connects to the first one at
// the time, whatever it is then, and leaves connections that there are alone: for names
// that stand for a large service with many addresses, of which each answer has a few.
const (
	DNSStrict  DNSMode = "strict"
	DNSLogical DNSMode = "logical"
)

// DNSFamily are the families of addresses that a name is asked for.
type DNSFamily string

// The families: one of the two alone; one, and the other where there is none; or both
// together.
const (
	DNSIPv4Only  DNSFamily = "ipv4"
	DNSIPv6Only  DNSFamily = "ipv6"
	DNSIPv4First DNSFamily = "ipv4-first"
	DNSIPv6First DNSFamily = "ipv6-first"
	DNSBoth      DNSFamily = "both"
)
