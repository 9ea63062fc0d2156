package config

import "strings"

// HostCovers tells whether a pattern of Match.Hosts takes a host, or takes all
// hosts that another pattern does. Both are in lower case.
func HostCovers(pattern, host string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// HostRule is the rule that a host of Match.Hosts breaks; empty where it is kept.
func HostRule(host string) string { return hostRule(host) }
