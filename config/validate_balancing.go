package config

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// The bounds of Envoy's load balancers.
const (
	maxChoices     = 100
	maxRingEntries = 8 << 20
	maxTableSize   = 5000011
	maxAggression  = 100
	maxBias        = 100
	maxHashParts   = 8
)

// policiesOf are the algorithms that a parameter is for.
var policiesOf = map[string][]BalancingPolicy{
	"slowStart":         {RoundRobin, LeastRequest},
	"choices":           {LeastRequest},
	"activeRequestBias": {LeastRequest},
	"hash":              {RingHash, Maglev},
	"maxLoad":           {RingHash, Maglev},
	"minRingSize":       {RingHash},
	"maxRingSize":       {RingHash},
	"hashFunction":      {RingHash},
	"tableSize":         {Maglev},
}

func (c *checker) loadBalancing(at *place, lb *LoadBalancing) {
	known := []BalancingPolicy{RoundRobin, LeastRequest, Random, RingHash, Maglev}
	if !slices.Contains(known, lb.Policy) && lb.Policy != "" {
		if node, _ := at.key("policy").find(c.report.root); node != nil {
			oneOf(c, at.key("policy"), lb.Policy, known...)
		} else {
			oneOf(c, at, lb.Policy, known...)
		}
		return
	}
	c.parametersFit(at, lb)
	if s := lb.SlowStart; s != nil {
		c.slowStart(at.key("slowStart"), s)
	}
	c.must(lb.Choices == 0 || lb.Choices >= 2, at.key("choices"), "must be at least 2")
	c.between(at.key("choices"), 0, int64(lb.Choices), maxChoices)
	c.must(lb.ActiveRequestBias == nil || *lb.ActiveRequestBias >= 0 && *lb.ActiveRequestBias <= maxBias, at.key("activeRequestBias"), fmt.Sprintf("must be 0 to %d", maxBias))
	c.hash(at.key("hash"), lb.Hash)
	c.between(at.key("minRingSize"), 0, int64(lb.MinRingSize), maxRingEntries)
	c.between(at.key("maxRingSize"), 0, int64(lb.MaxRingSize), maxRingEntries)
	least := lb.SmallestRing()
	c.must(lb.MaxRingSize == 0 || lb.MaxRingSize >= least, at.key("maxRingSize"), fmt.Sprintf("must be at least the minRingSize, %d", least))
	oneOf(c, at.key("hashFunction"), lb.HashFunction, XXHash, Murmur2)
	c.between(at.key("tableSize"), 0, int64(lb.TableSize), maxTableSize)
	c.must(lb.TableSize == 0 || big.NewInt(int64(lb.TableSize)).ProbablyPrime(0), at.key("tableSize"), "must be a prime number, as 65537")
	c.must(lb.MaxLoad == 0 || lb.MaxLoad >= 100, at.key("maxLoad"), "must be at least 100")
	c.between(at.key("maxLoad"), 0, int64(lb.MaxLoad), 1000)
	c.zoneWeights(at.key("zoneWeights"), lb.ZoneWeights)
	c.must(lb.Overprovisioning == 0 || lb.Overprovisioning >= 100, at.key("overprovisioning"), "must be at least 100")
	c.between(at.key("overprovisioning"), 0, int64(lb.Overprovisioning), 1000)
}

// parametersFit holds parameters to the algorithm that has them: those of another
// would do nothing.
func (c *checker) parametersFit(at *place, lb *LoadBalancing) {
	policy := lb.Policy
	if policy == "" {
		policy = RoundRobin
	}
	for name, fits := range policiesOf {
		if node, _ := at.key(name).find(c.report.root); node != nil && !slices.Contains(fits, policy) {
			c.obeyUnshown(at.key(name), fmt.Sprintf("is for %s, and the policy is %s", strings.Join(words(fits), " and "), policy))
		}
	}
}

// SmallestRing is how many entries the ring of ring_hash has at least.
func (lb *LoadBalancing) SmallestRing() int {
	if lb == nil || lb.MinRingSize == 0 {
		return 1024
	}
	return lb.MinRingSize
}

func (c *checker) slowStart(at *place, s *SlowStart) {
	c.must(s.Window != 0, at.key("window"), "must be > 0")
	c.atMost(at.key("window"), s.Window, maxDuration)
	c.must(s.Aggression >= 0 && s.Aggression <= maxAggression, at.key("aggression"), fmt.Sprintf("must be above 0, up to %d", maxAggression))
	c.between(at.key("minPercent"), 0, int64(s.MinPercent), 100)
}

func (c *checker) hash(at *place, parts []HashPart) {
	c.must(len(parts) <= maxHashParts, at, fmt.Sprintf("must have at most %d parts", maxHashParts))
	seen := map[string]bool{}
	for i, part := range parts {
		at, folded := at.index(i), foldedPart(KeyPart(part))
		c.obey(at, c.hashPartRule(part))
		c.must(!seen[folded], at, "is listed twice")
		seen[folded] = true
	}
}

func (c *checker) hashPartRule(part HashPart) string {
	if name, ok := part.Header(); ok {
		return c.hashHeaderRule(name)
	}
	if name, ok := part.Cookie(); ok {
		return cookieRule(name)
	}
	if name, ok := part.Query(); ok {
		if name == "" {
			return "must name the parameter, as query:session"
		}
		return ""
	}
	if name, ok := part.Claim(); ok {
		return hashClaimRule(name)
	}
	switch part {
	case HashClientIP, HashUser, HashTenant:
		return ""
	case HashPart(KeyAPIKey):
		return "is no part of it: say user, which is the key's where a caller has one"
	}
	return c.choiceRule(string(part), []string{string(HashClientIP), string(HashUser), string(HashTenant), "claim:NAME", "header:NAME", "cookie:NAME", "query:NAME"})
}

// hashClaimRule judges the name of a claim by which Envoy is to pick an endpoint: its
// formats know no way to write what ends a name in them.
func hashClaimRule(name string) string {
	switch {
	case name == "":
		return "must name the claim, as claim:team"
	case strings.ContainsAny(name, ":()%"):
		return "must not have : ( ) or % in the claim's name: have the provider forward it in a header, and say header:NAME"
	}
	return ""
}

// hashHeaderRule judges a header that a request may have when its endpoint is picked:
// clients can send it, or a provider forwards identity in it.
func (c *checker) hashHeaderRule(name string) string {
	if c.identity[strings.ToLower(name)] || strings.EqualFold(name, "host") {
		return headerNameRule(name)
	}
	if rule := headerNameRule(name); rule != "" {
		return rule
	}
	return c.matchedHeaderRule(name)
}

func (c *checker) zoneWeights(at *place, weights map[string]int) {
	for _, zone := range sorted(weights) {
		c.obey(at.key(zone), zoneRule(zone))
		c.between(at.key(zone), 1, int64(weights[zone]), MaxWeight)
	}
}

// Header is the name of the header that a part is.
func (p HashPart) Header() (name string, ok bool) {
	return strings.CutPrefix(string(p), HashHeaderPrefix)
}

// Cookie is the name of the cookie that a part is.
func (p HashPart) Cookie() (name string, ok bool) {
	return strings.CutPrefix(string(p), HashCookiePrefix)
}

// Query is the name of the query parameter that a part is.
func (p HashPart) Query() (name string, ok bool) {
	return strings.CutPrefix(string(p), HashQueryPrefix)
}

// Claim is the name of the claim that a part is.
func (p HashPart) Claim() (name string, ok bool) {
	return strings.CutPrefix(string(p), HashClaimPrefix)
}

// sessionAffinity judges the cookie, and that the backend is one whose endpoints can be
// told apart by it.
func (c *checker) sessionAffinity(at *place, b *Backend) {
	a := b.SessionAffinity
	c.must(!b.ResolvedByDNS(), at, "needs endpoints that are addresses, or discovery: of a host name Envoy does not tell which address it stood for")
	if b.LoadBalancing != nil && b.LoadBalancing.Policy != "" {
		c.must(b.LoadBalancing.Policy == RingHash, at, fmt.Sprintf("needs the policy ring_hash, by which an endpoint is found again, and loadBalancing is %s", b.LoadBalancing.Policy))
	}
	if b.LoadBalancing != nil {
		c.must(len(b.LoadBalancing.Hash) == 0, at, "must not stand beside loadBalancing.hash: the cookie is what is hashed")
	}
	if a.Cookie != "" {
		c.obey(at.key("cookie"), cookieRule(a.Cookie))
	}
	if a.Path != "" {
		c.obey(at.key("path"), cookiePathRule(a.Path))
	}
	c.wholeSeconds(at.key("ttl"), a.TTL, maxCookieAge)
	oneOf(c, at.key("sameSite"), a.SameSite, SameSiteStrict, SameSiteLax, SameSiteNone)
	c.must(a.SameSite != SameSiteNone || a.IsSecure(), at.key("secure"), "must be true beside sameSite none: browsers drop the cookie otherwise")
}

// maxCookieAge is what browsers cut the ages of cookies to (RFC 6265bis).
const maxCookieAge = 400 * 24 * time.Hour

// cookiePathRule judges the Path of a cookie (RFC 6265, section 4.1.1).
func cookiePathRule(path string) string {
	if rule := requestPathRule(path); rule != "" {
		return rule
	}
	if strings.ContainsAny(path, ";,%") {
		return "must not have ; , or % in it"
	}
	return ""
}
