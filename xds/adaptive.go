package xds

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// Envoy's adaptive concurrency is a filter of a listener, and counts all that passes
// it together; it is none that stands before a cluster. So each backend that asks for
// it has a filter of its own, which is off but for the routes, and the sides of
// splits, that go to this backend.

// adaptiveFilter is the name of a backend's filter.
func adaptiveFilter(backend string) string { return "gatewright.adaptive_concurrency/" + backend }

// adaptiveBackends are the names of the backends that have one, in order, with spaces
// between them.
func adaptiveBackends(c *config.Config) string {
	var names []string
	for _, name := range sortedKeys(c.Backends) {
		if c.Backends[name].AdaptiveConcurrency != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// adaptiveFilters are those of all backends, in the order of their names.
func (b builder) adaptiveFilters() []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	for name := range strings.FieldsSeq(b.adaptive) {
		f := httpFilter(adaptiveFilter(name), b.policies.AdaptiveConcurrency(b.config.Backends[name].AdaptiveConcurrency))
		f.Disabled = true
		out = append(out, f)
	}
	return out
}

// underAdaptive switches a backend's filter on, where there is one.
func (b builder) underAdaptive(settings map[string]*anypb.Any, backend string) {
	if c := b.config.Backends[backend]; c != nil && c.AdaptiveConcurrency != nil {
		settings[adaptiveFilter(backend)] = switchedOn
	}
}

// switchedOff is that of a filter that is not made for a route's requests.
var switchedOff = mustAny(&routev3.FilterConfig{Disabled: true})

// switchedOn is a filter's settings that say no more than that it is on.
var switchedOn = mustAny(&routev3.FilterConfig{Config: &anypb.Any{}})
