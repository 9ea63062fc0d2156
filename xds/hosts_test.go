package xds

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// TestHostsThatCover: what is found by the suffixes of a domain is what a look at
// all of them finds.
func TestHostsThatCover(t *testing.T) {
	domain := rapid.StringMatching(`(\*\.)?([ab]\.){0,3}[ab]`)
	rapid.Check(t, func(t *rapid.T) {
		c := &config.Config{}
		for _, host := range rapid.SliceOfNDistinct(domain, 1, 10, rapid.ID).Draw(t, "hosts") {
			c.Routes = append(c.Routes, &config.Route{Name: host, Match: config.Match{Hosts: []string{host}, Path: "/"}})
		}
		hosts := routesByHost(c)
		for _, d := range hosts.domains() {
			var want, got []string
			for _, r := range c.Routes {
				if d != everyHost && config.HostCovers(r.Name, d) {
					want = append(want, r.Name)
				}
			}
			for _, r := range hosts.serving(d) {
				got = append(got, r.Name)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s serves the routes of %v, the rules say %v", d, got, want)
			}
		}
	})
}
