package xds

import (
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	setmetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_metadata/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/config"
)

// The claims of a token are in a request's metadata for as long as filters look at them,
// and no longer: Envoy copies all metadata into every record of the access log stream, and
// that of a token was dearer than all else that is done with it (bench/edge). Who the
// caller is, which the log tells, is kept beside.
const (
	callerFilter = "gatewright.caller"
	forgetFilter = "gatewright.forget"
)

// Where it is kept.
const (
	callerUserState   = "gatewright.user"
	callerTenantState = "gatewright.tenant"
	// configState is the version of the config. It comes with this filter, which is served
	// beside routes and listeners: in those it would make each of them anew with every
	// change.
	configState = "gatewright.config"
)

// callerFilters are those filters, behind the judge, off but for routes that say so.
func (b builder) callerFilters(l *config.Listener) []*hcmv3.HttpFilter {
	if !b.places(l) || len(judgedInEnvoy(b.policies.Placed)) == 0 {
		return nil
	}
	out := []*hcmv3.HttpFilter{discovered(callerFilter, &setfilterstatev3.Config{})}
	if len(b.jwtFilters()) > 0 {
		out = append(out, discovered(forgetFilter, &setmetadatav3.Config{}))
	}
	return out
}

// providerKeys are the keys of the providers of policies, each once.
func providerKeys(policies []*PlacedPolicy) []string {
	keys := map[string]bool{}
	for _, p := range policies {
		for _, c := range p.Callers {
			keys[c.Key] = true
		}
	}
	return sortedKeys(keys)
}

// keptCaller keeps by which config a request was let pass, and who the caller is, as the
// token says that was verified.
func keptCaller(policies []*PlacedPolicy, version string) *setfilterstatev3.Config {
	kept := func(state, claim string) *filterstatev3.FilterStateValue {
		var pairs []string
		for _, key := range providerKeys(policies) {
			pairs = append(pairs, "DYNAMIC_METADATA", jwtMetadata+":"+key+":"+claim)
		}
		v := filterState(state, firstOf(pairs...))
		v.GetFormatString().OmitEmptyValues = true
		v.SkipIfEmpty = true
		return v
	}
	var all []*filterstatev3.FilterStateValue
	if len(providerKeys(policies)) > 0 {
		all = append(all, kept(callerUserState, "sub"), kept(callerTenantState, "tenant"))
	}
	if version != "" {
		all = append(all, filterState(configState, version))
	}
	return &setfilterstatev3.Config{OnRequestHeaders: all}
}

// forgottenClaims puts nothing in the place of the claims.
func forgottenClaims(policies []*PlacedPolicy) *setmetadatav3.Config {
	nothing := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, key := range providerKeys(policies) {
		nothing.Fields[key] = structpb.NewStringValue("")
	}
	return &setmetadatav3.Config{Metadata: []*setmetadatav3.Metadata{{MetadataNamespace: jwtMetadata, AllowOverwrite: true, Value: nothing}}}
}
