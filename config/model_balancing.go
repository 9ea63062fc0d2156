package config

// LoadBalancing picks the endpoint for a request. In a file it is the policy's name
// alone, or all of this.
type LoadBalancing struct {
	// Policy is the algorithm. The empty string means round_robin.
	Policy BalancingPolicy `yaml:"policy"`
	// SlowStart gives an endpoint that is new, or healthy again, its share little by
	// little. Nil gives it at once. For round_robin and least_request.
	SlowStart *SlowStart `yaml:"slowStart"`
	// Choices is how many endpoints, picked at random, least_request compares. 0 means 2.
	Choices int `yaml:"choices"`
	// ActiveRequestBias is how much requests in flight count against an endpoint where
	// endpoints have different weights, for least_request: its weight is divided by
	// their number to this power. Left out, it is 1; 0 has weights alone count.
	ActiveRequestBias *float64 `yaml:"activeRequestBias"`
	// Hash is what ring_hash and maglev pick the endpoint by: the first of these that a
	// request has. Requests that have none go anywhere. Left out, it is clientIP.
	Hash []HashPart `yaml:"hash"`
	// MinRingSize and MaxRingSize bound the entries of ring_hash's ring: more of them
	// share requests out more evenly. 0 means 1024 and 8388608.
	MinRingSize int `yaml:"minRingSize"`
	MaxRingSize int `yaml:"maxRingSize"`
	// HashFunction is what ring_hash places endpoints by. The empty string means xxhash.
	HashFunction HashFunction `yaml:"hashFunction"`
	// TableSize is the size of maglev's table: a prime number, larger than a hundred
	// times the number of endpoints. 0 means 65537.
	TableSize int `yaml:"tableSize"`
	// MaxLoad lets ring_hash and maglev go on to another endpoint where one has more
	// than so many percent of the requests in flight of the average one, 100 to 1000. 0
	// never does.
	MaxLoad int `yaml:"maxLoad"`
	// ZoneWeights shares requests out among the zones of the endpoints first: the
	// share of a zone is its weight times how many of its endpoints are healthy. Zones
	// that are not named weigh 1. Left out, zones do not matter.
	ZoneWeights map[string]int `yaml:"zoneWeights"`
	// Overprovisioning is how much more than its requests the endpoints of a rank, or a
	// zone, can take, in percent: with 140, requests go on to the next rank when less
	// than 72 % are healthy. 0 means 140.
	Overprovisioning int `yaml:"overprovisioning"`
}

// BalancingPolicy names an algorithm that picks an endpoint.
type BalancingPolicy string

// The algorithms of Envoy.
const (
	RoundRobin   BalancingPolicy = "round_robin"
	LeastRequest BalancingPolicy = "least_request"
	Random       BalancingPolicy = "random"
	RingHash     BalancingPolicy = "ring_hash"
	Maglev       BalancingPolicy = "maglev"
)

// SlowStart is how an endpoint that is new gets its share of requests. An endpoint of
// a backend with a health check is new when it is found healthy.
type SlowStart struct {
	// Window is how long it takes until an endpoint has its whole share.
	Window Duration `yaml:"window" required:"true"`
	// Aggression is the shape of the way there: 1, the default, is a straight line;
	// more is faster in the beginning. Above 0, up to 100.
	Aggression float64 `yaml:"aggression"`
	// MinPercent is with what share, of its whole one, it begins. 0 means 10.
	MinPercent int `yaml:"minPercent"`
}

// HashPart is something of a request by which its endpoint can be picked: clientIP,
// header:NAME, cookie:NAME or query:NAME; or of the caller, whom a request has that the
// judge knows: user, tenant or claim:NAME.
type HashPart string

// The parts without a name of their own.
const (
	HashClientIP HashPart = "clientIP"
	HashUser     HashPart = "user"
	HashTenant   HashPart = "tenant"
)

// How the parts with a name begin.
const (
	HashHeaderPrefix = "header:"
	HashCookiePrefix = "cookie:"
	HashQueryPrefix  = "query:"
	HashClaimPrefix  = "claim:"
)

// HashFunction is what ring_hash places endpoints by.
type HashFunction string

// The functions of Envoy.
const (
	XXHash  HashFunction = "xxhash"
	Murmur2 HashFunction = "murmur2"
)

// SessionAffinity keeps each client on one endpoint, by a cookie that the gateway sets:
// as long as the endpoint is there and healthy, whatever other endpoints come and go.
// Then the client is moved, and stays where it is moved to. The cookie names the
// endpoint by a hash. Who has no cookie yet goes to any endpoint.
type SessionAffinity struct {
	// Cookie is its name. The empty string means endpoint-NAME, of the backend.
	Cookie string `yaml:"cookie"`
	// TTL is how long the browser keeps it after each answer. 0 means until it is closed.
	TTL Duration `yaml:"ttl"`
	// Path is where it is sent back. The empty string means /.
	Path string `yaml:"path"`
	// Secure has it sent over TLS alone, and HTTPOnly kept from scripts. Left out, they
	// are true.
	Secure   *bool `yaml:"secure"`
	HTTPOnly *bool `yaml:"httpOnly"`
	// SameSite is which pages send it along. The empty string means lax.
	SameSite SameSite `yaml:"sameSite"`
}

// SameSite is which pages send a cookie along (RFC 6265bis).
type SameSite string

// Those of the own site alone; links from others too; all.
const (
	SameSiteStrict SameSite = "strict"
	SameSiteLax    SameSite = "lax"
	SameSiteNone   SameSite = "none"
)
