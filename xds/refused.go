package xds

import (
	"strings"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// RefusedRoute is the name, in logs and metrics, of the routes that take what no
// backend may see, whatever the config says. They stand before all others.
const RefusedRoute = "gatewright.refused"

// refusals are the first matchers of the virtual host of that name. What strangers
// are asked is asked of whom they refuse, too.
func refusals(host string, d Decision) []*matcherv3.Matcher_MatcherList_FieldMatcher {
	all := []*matcherv3.Matcher_MatcherList_FieldMatcher{
		{
			Predicate: holds(methodInput, exactly("TRACE")),
			OnMatch:   takes(refusedTrace(d)),
		},
		{
			// The first condition is cheap, and holds for next to no request.
			Predicate: allOf([]*predicate{holds(pathInput, contains(".;")), holds(pathInput, fitsExpression(dotParameter))}),
			OnMatch:   takes(refusedPath(d)),
		},
	}
	if host == everyHost || wildcard(host) { // another is found by its very name
		all = append(all, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: not(holds(hostInput, fitsExpression(plainHost))),
			OnMatch:   takes(refusedHost(d)),
		})
	}
	return all
}

// plainHost is a host, without a port, that is one and reads as one. Envoy joins
// two Host lines by a comma, and hands on an empty one, a user in front of the
// host and what is no port behind it.
const plainHost = `[0-9A-Za-z._-]+|\[[0-9A-Fa-f.:]+\]`

// dotParameter is a path, with its query, in which a dot segment has parameters.
// Envoy resolves /..;/ where it is so spelt; where the dots came as %2e it passes
// /..;/ on. Backends that cut parameters off read it as the segment above.
const dotParameter = `[^?]*/\.\.?;` + anyBytes

// methodRefused is the answer to TRACE, which would show a client what the
// gateway adds to its request, and to CONNECT, which would have it be a proxy.
var methodRefused = problem{status: 405, title: "Method Not Allowed", reason: "method-refused", detail: "TRACE and CONNECT are not served here"}

func allowedMethods() *corev3.HeaderValueOption {
	return setHeader("Allow", strings.Join(config.Methods(), ", "))
}

func refusedTrace(d Decision) *routev3.Route {
	r := refused(d, methodRefused)
	r.ResponseHeadersToAdd = append(r.ResponseHeadersToAdd, allowedMethods())
	return r
}

// refusedConnect gives Envoy's own refusal of CONNECT, which no route of ours
// takes, the status and the body of ours.
func refusedConnect() *hcmv3.ResponseMapper {
	m := replyFor(&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: methodIn(methodHeader, []string{"CONNECT"})},
	}}, methodRefused)
	m.StatusCode = wrapperspb.UInt32(uint32(methodRefused.status))
	m.HeadersToAdd = []*corev3.HeaderValueOption{allowedMethods()}
	return m
}

var (
	pathRefused = problem{status: 400, title: "Bad Request", reason: "path-refused", detail: "the path has a dot segment with parameters"}
	hostRefused = problem{status: 400, title: "Bad Request", reason: "host-refused", detail: "the request does not name one host"}
)

func refusedPath(d Decision) *routev3.Route { return refused(d, pathRefused) }

func refusedHost(d Decision) *routev3.Route { return refused(d, hostRefused) }

func refused(d Decision, p problem) *routev3.Route { return answering(RefusedRoute, d, p) }
