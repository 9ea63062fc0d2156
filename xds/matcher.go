package xds

import (
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// The words of Envoy's matching API (xds.type.matcher.v3) that trees are
// written in.

type predicate = matcherv3.Matcher_MatcherList_Predicate

// pathInput is :path, which is the path with its query.
var pathInput = headerInput(":path")

// methodInput is the input of most conditions beside those on the path.
var methodInput = headerInput(":method")

// headerInput is the value of a header; those of a repeated one joined by
// commas. A predicate does not hold where the header is not there.
func headerInput(name string) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{
		Name:        "header",
		TypedConfig: mustAny(&inputv3.HttpRequestHeaderMatchInput{HeaderName: name}),
	}
}

func exactly(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

func hasPrefix(prefix string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}}
}

func contains(part string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: part}}
}

func fitsExpression(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
		EngineType: &matcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &matcherv3.RegexMatcher_GoogleRE2{}},
		Regex:      regex,
	}}}
}

// anyBytes fits every value, also one that is not UTF-8, which a dot does not.
const anyBytes = `\C*`

// holds is the condition that an input's value is as the matcher says.
func holds(input *xdscorev3.TypedExtensionConfig, value *matcherv3.StringMatcher) *predicate {
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   input,
			Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: value},
		},
	}}
}

func not(p *predicate) *predicate {
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: p}}
}

// anyOf is the condition that one of several holds.
func anyOf(of ...*predicate) *predicate {
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_OrMatcher{
		OrMatcher: &matcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: of},
	}}
}

// allOf is the condition that each of several holds; of none, one that always does.
func allOf(of []*predicate) *predicate {
	switch len(of) {
	case 0:
		return holds(pathInput, hasPrefix("/"))
	case 1:
		return of[0]
	}
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_AndMatcher{
		AndMatcher: &matcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: of},
	}}
}

// pathConditions are those on the path under the pattern's literal prefix,
// where only paths that begin with it are looked for: none for /**.
func pathConditions(p config.PathPattern) []*predicate {
	literal := literalPrefix(p)
	switch {
	case p.Rest && len(p.Segments) == 0:
		return nil
	case p.Variables() > 0:
		path, rest := strings.CutSuffix(p.String(), "/**")
		return []*predicate{holds(pathInput, fitsExpression(pathRegex(path, rest)+`(?:\?`+anyBytes+`)?`))}
	case p.Rest:
		return []*predicate{anyOf(
			holds(pathInput, hasPrefix(literal+"/")),
			holds(pathInput, exactly(literal)),
			holds(pathInput, hasPrefix(literal+"?")),
		)}
	default:
		return []*predicate{anyOf(
			holds(pathInput, exactly(literal)),
			holds(pathInput, hasPrefix(literal+"?")),
		)}
	}
}

// headerConditions are a route's conditions on headers, of which its method is
// one, as conditions of a matcher.
func headerConditions(headers []*routev3.HeaderMatcher) []*predicate {
	out := make([]*predicate, len(headers))
	for i, h := range headers {
		input := methodInput
		if h.GetName() != ":method" {
			input = headerInput(h.GetName())
		}
		switch m := h.GetHeaderMatchSpecifier().(type) {
		case *routev3.HeaderMatcher_PresentMatch:
			out[i] = holds(input, fitsExpression(anyBytes))
			if !m.PresentMatch {
				out[i] = not(out[i])
			}
		case *routev3.HeaderMatcher_StringMatch:
			out[i] = holds(input, stringCondition(m.StringMatch))
		}
	}
	return out
}

// stringCondition is a condition on a text, from one API of Envoy to the other.
func stringCondition(m *inputv3.StringMatcher) *matcherv3.StringMatcher {
	switch {
	case m.GetPrefix() != "":
		return hasPrefix(m.GetPrefix())
	case m.GetSafeRegex() != nil:
		return fitsExpression(m.GetSafeRegex().GetRegex())
	default:
		return exactly(m.GetExact())
	}
}

// goesOn is the search in another matcher; where nothing fits there, it goes
// on here.
func goesOn(m *matcherv3.Matcher) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Matcher{Matcher: m}}
}

// takes is the end of the search: this route.
func takes(r *routev3.Route) *matcherv3.Matcher_OnMatch { return does("route", r) }

// takesFirst is the end of the search: the first of these routes that fits.
func takesFirst(routes []*routev3.Route) *matcherv3.Matcher_OnMatch {
	return does("routes", &routev3.RouteList{Routes: routes})
}

func does(name string, action proto.Message) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: mustAny(action)},
	}}
}

func listed(l *matcherv3.Matcher_MatcherList, otherwise *matcherv3.Matcher_OnMatch) *matcherv3.Matcher {
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: l}, OnNoMatch: otherwise}
}
