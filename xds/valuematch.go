package xds

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/gatewright/gatewright/config"
)

// headerMatch is Envoy's condition on a header.
func headerMatch(name string, m config.ValueMatch) *routev3.HeaderMatcher {
	if m.Present || m.Absent {
		return &routev3.HeaderMatcher{
			Name:                 name,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: m.Present},
		}
	}
	return header(name, text(m))
}

// queryMatch is Envoy's condition on a query parameter.
func queryMatch(name string, m config.ValueMatch) *routev3.QueryParameterMatcher {
	out := &routev3.QueryParameterMatcher{Name: name}
	if m.Present || m.Absent {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: m.Present}
	} else {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: text(m)}
	}
	return out
}

// text is Envoy's condition on a value that is there.
func text(m config.ValueMatch) *matcherv3.StringMatcher {
	switch {
	case m.Prefix != "":
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: m.Prefix}}
	case m.Regex != "":
		return fits(m.Regex)
	default:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: m.Exact}}
	}
}

func fits(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: regex},
	}}
}

// present is the condition that a header is there.
func present(name string) *routev3.HeaderMatcher {
	return headerMatch(name, config.ValueMatch{Present: true})
}

func headerExact(name, value string) *routev3.HeaderMatcher {
	return header(name, text(config.ValueMatch{Exact: value}))
}

func header(name string, m *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name:                 name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m},
	}
}
