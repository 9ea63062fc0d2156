package config

import (
	"fmt"
	"testing"
)

// TestProxiesOf: what a listener says itself goes before what is said of all, of
// either kind.
func TestProxiesOf(t *testing.T) {
	for _, c := range []struct {
		top, listener string
		hops          int
		networks      string
	}{
		{"", "", 0, "[]"},
		{"trustedHops: 2", "", 2, "[]"},
		{"trustedHops: 2", ", trustedHops: 0", 0, "[]"},
		{"trustedHops: 2", ", trustedProxies: []", 0, "[]"},
		{"trustedHops: 2", ", trustedProxies: [10.0.0.7]", 0, "[10.0.0.7/32]"},
		{"trustedProxies: [10.0.0.0/8, '2001:db8::/32']", "", 0, "[10.0.0.0/8 2001:db8::/32]"},
		{"trustedProxies: [10.0.0.0/8]", ", trustedHops: 1", 1, "[]"},
		{"trustedProxies: [10.0.0.0/8]", ", trustedHops: 0", 0, "[]"},
		{"trustedProxies: [10.0.0.0/8]", ", trustedProxies: []", 0, "[]"},
	} {
		cfg, err := Parse("f.yaml", []byte(c.top+"\nlisteners: [{name: a, address: '127.0.0.1:80'"+c.listener+"}]\nroutes: [{name: a, match: {path: /a}, auth: public, respond: {status: 204}}]\n"))
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		l := cfg.Listeners[0]
		if hops, networks := cfg.HopsOf(l), fmt.Sprint(cfg.ProxiesOf(l)); hops != c.hops || networks != c.networks || cfg.TrustsProxies() != (hops > 0 || networks != "[]") {
			t.Errorf("%+v: %d %s", c, hops, networks)
		}
	}
}

// TestHearsOfClients: who connects is the client, unless somebody is believed to say who is.
func TestHearsOfClients(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   bool
	}{
		"nobody":                 {Config{Listeners: []*Listener{{}}}, false},
		"a number of proxies":    {Config{Listeners: []*Listener{{}}, TrustedHops: 1}, true},
		"networks":               {Config{Listeners: []*Listener{{}, {TrustedProxies: []string{"10.0.0.0/8"}}}}, true},
		"a header of a balancer": {Config{Listeners: []*Listener{{}, {ProxyProtocol: &ProxyProtocol{}}}}, true},
	} {
		if got := c.config.HearsOfClients(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
