package config

import (
	"fmt"
	"net/netip"
)

// String is the endpoint as it is shown: its address, and what is unusual about it.
func (e Endpoint) String() string {
	out := e.Address
	if e.Share() != 1 {
		out += fmt.Sprintf(" weight %d", e.Weight)
	}
	if e.Zone != "" {
		out += " zone " + e.Zone
	}
	if e.Priority != 0 {
		out += fmt.Sprintf(" priority %d", e.Priority)
	}
	return out
}

// Share is the endpoint's weight beside the others: at least 1.
func (e Endpoint) Share() int { return max(e.Weight, 1) }

// ResolvedByDNS tells a backend of host names, which Envoy resolves, from one of
// addresses. A valid backend has one kind only.
func (b *Backend) ResolvedByDNS() bool {
	if len(b.Endpoints) == 0 {
		return false
	}
	_, err := netip.ParseAddrPort(b.Endpoints[0].Address)
	return err != nil
}

// AffinityCookie is the name of the cookie that keeps clients on an endpoint of the
// backend, or "" where none does.
func (b *Backend) AffinityCookie() string {
	switch {
	case b == nil || b.SessionAffinity == nil:
		return ""
	case b.SessionAffinity.Cookie == "":
		return "endpoint-" + b.Name
	}
	return b.SessionAffinity.Cookie
}

// IsSecure and IsHTTPOnly tell whether the cookie has those attributes.
func (a *SessionAffinity) IsSecure() bool   { return trueUnlessSaid(a.Secure) }
func (a *SessionAffinity) IsHTTPOnly() bool { return trueUnlessSaid(a.HTTPOnly) }

// Algorithm is the policy by which the backend's endpoint is picked. To keep clients
// on one, it is ring_hash.
func (b *Backend) Algorithm() BalancingPolicy {
	switch {
	case b.SessionAffinity != nil:
		return RingHash
	case b.LoadBalancing == nil || b.LoadBalancing.Policy == "":
		return RoundRobin
	}
	return b.LoadBalancing.Policy
}

// Hashes tells an algorithm that picks an endpoint by something of the request.
func (p BalancingPolicy) Hashes() bool { return p == RingHash || p == Maglev }
