package xds

import (
	"fmt"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestFormFor: large configs of several hosts are served host by host, but where a second
// attempt to find the host's table would be too late for what the config says.
func TestFormFor(t *testing.T) {
	t.Parallel()
	routes := func(n, hosts int, more ...*config.Route) (all []*config.Route) {
		for i := range n {
			r := &config.Route{Name: fmt.Sprintf("r%d", i)}
			r.Match.Hosts = []string{fmt.Sprintf("h%d.example", i%hosts)}
			all = append(all, r)
		}
		return append(all, more...)
	}
	upgrading := func(hosts ...string) *config.Route {
		r := &config.Route{Name: "ws", Upgrades: []string{"websocket"}}
		r.Match.Hosts = hosts
		return r
	}
	adaptive := map[string]*config.Backend{"b": {AdaptiveConcurrency: &config.AdaptiveConcurrency{}}}
	for name, c := range map[string]struct {
		config config.Config
		want   Form
	}{
		"small":                     {config.Config{Routes: routes(scopedFrom-1, 10)}, Table},
		"large":                     {config.Config{Routes: routes(scopedFrom, 10)}, Scoped},
		"one host":                  {config.Config{Routes: routes(scopedFrom, 1)}, Table},
		"upgrades on a host":        {config.Config{Routes: routes(scopedFrom, 10, upgrading("h1.example"))}, Scoped},
		"upgrades on any":           {config.Config{Routes: routes(scopedFrom, 10, upgrading())}, Table},
		"upgrades on a suffix":      {config.Config{Routes: routes(scopedFrom, 10, upgrading("*.example"))}, Table},
		"adaptive concurrency":      {config.Config{Routes: routes(scopedFrom, 10), Backends: adaptive}, Table},
		"adaptive, and a small one": {config.Config{Routes: routes(1, 1), Backends: adaptive}, Table},
	} {
		if got := FormFor(&c.config); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
