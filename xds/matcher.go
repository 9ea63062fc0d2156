package xds

import (
	"regexp"
	"slices"
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

// hostInput is the request's host, without a port: the listener cuts it off.
var hostInput = headerInput(":authority")

// treePath is what trees are maps of: see pathHeader.
var treePath = headerInput(pathHeader)

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

func hasSuffix(suffix string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: suffix}}
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
	if len(of) == 1 {
		return of[0]
	}
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_OrMatcher{
		OrMatcher: &matcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: of},
	}}
}

// allOf is the condition that each of several holds.
func allOf(of []*predicate) *predicate {
	if len(of) == 1 {
		return of[0]
	}
	return &predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_AndMatcher{
		AndMatcher: &matcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: of},
	}}
}

// always is a condition that holds for every request that has a path.
func always() *predicate { return holds(treePath, hasPrefix("/")) }

func orAlways(p *predicate) *predicate {
	if p == nil {
		return always()
	}
	return p
}

// pathCondition is what a route asks of the path that its place in a tree has
// not told already, or nil.
func pathCondition(g group, r *treeRoute) *predicate {
	p := r.path
	elsewhere := !samePath(r, &treeRoute{path: r.place})
	if p.Variables() == 0 {
		switch {
		case !elsewhere:
			return nil
		case p.Rest:
			return holds(treePath, hasPrefix(literalBeginning(p)))
		default:
			return holds(treePath, exactly(literalBeginning(p)))
		}
	}
	isVariable := func(s config.Segment) bool { return s.Variable != "" }
	first := slices.IndexFunc(p.Segments, isVariable)
	behind := p.Segments[first+p.Variables():] // if the variables are next to each other
	switch {
	case elsewhere || !g.counted() || slices.ContainsFunc(behind, isVariable) || p.Rest && len(behind) > 0:
		return holds(treePath, fitsExpression(treeRegex(p)))
	case len(behind) == 0:
		return nil
	default:
		return holds(treePath, hasSuffix(literalBeginning(config.PathPattern{Segments: behind})))
	}
}

// treeRegex fits treePath for every path that a pattern with variables takes.
func treeRegex(p config.PathPattern) string {
	var b strings.Builder
	for _, s := range p.Segments {
		b.WriteByte('/')
		if s.Variable != "" {
			b.WriteString("[^/]+")
		} else {
			b.WriteString(regexp.QuoteMeta(s.Literal))
		}
	}
	b.WriteByte('/')
	if p.Rest {
		b.WriteString(anyBytes)
	}
	return b.String()
}

// headerConditions are a route's conditions on headers, of which its method is
// one, as conditions of a matcher.
func headerConditions(r *treeRoute) []*predicate {
	var out []*predicate
	if len(r.methods) > 0 {
		var each []*predicate
		for _, m := range r.methods {
			each = append(each, holds(methodInput, exactly(m)))
		}
		out = append(out, anyOf(each...))
	}
	for _, h := range r.otherHeaders() {
		input := headerInput(h.GetName())
		switch m := h.GetHeaderMatchSpecifier().(type) {
		case *routev3.HeaderMatcher_PresentMatch:
			there := holds(input, fitsExpression(anyBytes))
			if !m.PresentMatch {
				there = not(there)
			}
			out = append(out, there)
		case *routev3.HeaderMatcher_StringMatch:
			out = append(out, holds(input, stringCondition(m.StringMatch)))
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

// byValue is the search under the very value of an input.
func byValue(input *xdscorev3.TypedExtensionConfig, under map[string]*matcherv3.Matcher_OnMatch) *matcherv3.Matcher {
	return mapped(&matcherv3.Matcher_MatcherTree{Input: input, TreeType: &matcherv3.Matcher_MatcherTree_ExactMatchMap{
		ExactMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: under},
	}})
}

// byPrefix is the search under the longest beginning of an input's value, and
// where nothing fits there, under shorter ones.
func byPrefix(input *xdscorev3.TypedExtensionConfig, under map[string]*matcherv3.Matcher_OnMatch) *matcherv3.Matcher {
	return mapped(&matcherv3.Matcher_MatcherTree{Input: input, TreeType: &matcherv3.Matcher_MatcherTree_PrefixMatchMap{
		PrefixMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: under},
	}})
}

func mapped(tree *matcherv3.Matcher_MatcherTree) *matcherv3.Matcher {
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: tree}}
}
