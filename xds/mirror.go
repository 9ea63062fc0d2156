package xds

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/gatewright/gatewright/config"
)

// mirrors are the copies of a route's requests. A copy goes out when the
// request has been judged, with the same identity headers, and with the host
// that the backend would see, not with Envoy's "-shadow" behind it.
func mirrors(r *config.Route) []*routev3.RouteAction_RequestMirrorPolicy {
	var out []*routev3.RouteAction_RequestMirrorPolicy
	for _, m := range r.AllMirrors() {
		cluster := m.Backend
		if cluster == r.DarkCanary() {
			cluster = config.DarkName(r.Name)
		}
		out = append(out, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster:                       cluster,
			RuntimeFraction:               &corev3.RuntimeFractionalPercent{DefaultValue: share(m.Percent)},
			DisableShadowHostSuffixAppend: true,
		})
	}
	return out
}

// share is a percentage to four digits behind the point; nil is all.
func share(percent *float64) *typev3.FractionalPercent {
	if percent == nil {
		return &typev3.FractionalPercent{Numerator: 100, Denominator: typev3.FractionalPercent_HUNDRED}
	}
	return &typev3.FractionalPercent{
		Numerator:   uint32(math.Round(*percent * 10_000)),
		Denominator: typev3.FractionalPercent_MILLION,
	}
}
