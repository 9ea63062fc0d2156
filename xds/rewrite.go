package xds

import (
	"fmt"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/gatewright/gatewright/config"
)

// pathSubstitution turns a path that the pattern from takes into one of the
// form to: variables keep their values, and /** is what from's /** took. Both
// patterns are valid, and to's variables are among from's.
func pathSubstitution(from, to string) *matcherv3.RegexMatchAndSubstitute {
	source, _ := config.ParsePath(from)
	target, _ := config.ParsePath(to)
	var pattern, out strings.Builder
	groups := map[string]int{}
	for _, s := range source.Segments {
		if s.Variable != "" {
			groups[s.Variable] = len(groups) + 1
			pattern.WriteString("/([^/]+)")
		} else {
			pattern.WriteString("/" + regexp.QuoteMeta(s.Literal))
		}
	}
	for _, s := range target.Segments {
		if s.Variable != "" {
			fmt.Fprintf(&out, `/\%d`, groups[s.Variable])
		} else {
			out.WriteString("/" + s.Literal)
		}
	}
	rest := len(groups) + 1
	switch {
	case target.Rest && len(target.Segments) == 0:
		// What is left of /docs under /** is /, not nothing.
		pattern.WriteString("/?(.*)")
		fmt.Fprintf(&out, `/\%d`, rest)
	case target.Rest:
		pattern.WriteString("(/.*)?")
		fmt.Fprintf(&out, `\%d`, rest)
	case source.Rest:
		pattern.WriteString("(?:/.*)?")
	}
	return &matcherv3.RegexMatchAndSubstitute{
		// Anchored: Envoy replaces every place that fits.
		Pattern:      &matcherv3.RegexMatcher{Regex: "^" + pattern.String() + "$"},
		Substitution: out.String(),
	}
}

// RewrittenPath is what becomes of a path, without its query, that the pattern
// from takes, where a route rewrites it to the pattern to.
func RewrittenPath(from, to, path string) string {
	s := pathSubstitution(from, to)
	// Both are RE2; only the words for a group differ.
	out := strings.ReplaceAll(s.GetSubstitution(), "$", "$$")
	out = groupReference.ReplaceAllString(out, "$${${1}}")
	return regexp.MustCompile(s.GetPattern().GetRegex()).ReplaceAllString(path, out)
}

var groupReference = regexp.MustCompile(`\\(\d)`)

// rewritten sets what the backend sees instead of the client's path and host.
func rewritten(action *routev3.RouteAction, r *config.Route) {
	if r.Rewrite == nil {
		return
	}
	if r.Rewrite.Path != "" {
		action.RegexRewrite = pathSubstitution(r.Match.Path, r.Rewrite.Path)
	}
	if host, _ := config.ParseTemplate(r.Rewrite.Host); r.Rewrite.Host != "" && !host.Varies() { // else edits do it
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: r.Rewrite.Host}
	}
}

// redirect is the answer that names another place.
func redirect(r *config.Route) *routev3.RedirectAction {
	a := &routev3.RedirectAction{
		HostRedirect: r.Redirect.Host,
		ResponseCode: redirectCodes[r.Redirect.Status],
	}
	if r.Redirect.Scheme != "" {
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.Redirect.Scheme}
	}
	if r.Redirect.Port != usualPorts[r.Redirect.Scheme] {
		a.PortRedirect = uint32(r.Redirect.Port)
	}
	if r.Redirect.Path != "" {
		a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{
			RegexRewrite: pathSubstitution(r.Match.Path, r.Redirect.Path),
		}
	}
	return a
}

// usualPorts are the ports that a URL of the scheme does not say. Listeners take
// the port off a request's host, so that where a redirect has none, there is none.
var usualPorts = map[string]int{"http": 80, "https": 443}

// redirectCodes are Envoy's names of the statuses; 0 is the default.
var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	0:   routev3.RedirectAction_FOUND,
	301: routev3.RedirectAction_MOVED_PERMANENTLY,
	302: routev3.RedirectAction_FOUND,
	303: routev3.RedirectAction_SEE_OTHER,
	307: routev3.RedirectAction_TEMPORARY_REDIRECT,
	308: routev3.RedirectAction_PERMANENT_REDIRECT,
}
