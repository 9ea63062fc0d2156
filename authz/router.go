package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// An Envoy that Gatewright configures says with each request which route it has
// taken, and by which policy the request is to be judged. Somebody else's Envoy
// says neither. For it the route is found here, by what the request asks for.

// Router finds the routes of requests that name none.
type Router interface {
	// Route tells which route takes a request, in the config that is served. An
	// error is that it cannot be told now: the request is then a 503.
	Route(ctx context.Context, r Unrouted) (Routed, error)
}

// Unrouted is a request as an Envoy hands it to its ext_authz filter.
type Unrouted struct {
	// Host and Path are the :authority and the :path, with what port and query
	// they have. Nothing of them has been normalized here.
	Host, Path string
	Method     string
	// Header is the value of a header, by its name in lower case, and whether it
	// is there. The values of a repeated one are joined by a comma.
	Header func(name string) (value string, ok bool)
}

// Routed is what a Router says of a request. The zero value is that no route
// takes it, and that nothing is asked of such requests.
type Routed struct {
	// PathRefused tells that the path is not in its normal form, so that the
	// backend may read another path than the one that would be judged. Nothing
	// below is then set, nor is it where the host is refused.
	PathRefused bool
	// HostRefused tells that the host is not one host, so that the backend may
	// take the request for another's.
	HostRefused bool
	// Route is the name of the route that takes the request.
	Route string
	// Policy is what the route asks, under its hash. Never nil where there is a
	// route; one that asks for nothing needs no hash. Where no route takes the
	// request it is what is asked of strangers (Policy.Strangers), if anything is.
	Policy *Policy
	Hash   string
	// Own are the headers that only the gateway may set, in lower case. For the
	// route they count as not there, and so they do for what follows.
	Own []string
}

// errNoRouter: the server was built without a Router.
var errNoRouter = errors.New("the request names no policy, and there is no route table")

// policyOf is the policy by which a request is judged.
func (s *Server) policyOf(ctx context.Context, rq *request) (*Policy, *refusal) {
	if !rq.unrouted {
		if p := s.policies.Policy(rq.policy); p != nil {
			return p, nil
		}
		return nil, refuseFor(ReasonPolicyUnknown, errPolicyUnknown)
	}
	if rq.method == "TRACE" || rq.method == "CONNECT" {
		return nil, refuse(ReasonMethodRefused)
	}
	if s.router == nil {
		return nil, refuseFor(ReasonPolicyUnknown, errNoRouter)
	}
	found, err := s.router.Route(ctx, Unrouted{Host: rq.host, Path: rq.path, Method: rq.method, Header: rq.matched})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, refuseFor(ReasonDeadlineExceeded, err)
	case err != nil:
		return nil, refuseFor(ReasonPolicyUnknown, err)
	case found.PathRefused:
		return nil, refuse(ReasonPathRefused)
	case found.HostRefused:
		return nil, refuse(ReasonHostRefused)
	case found.Policy == nil:
		return nil, refuse(ReasonRouteNotFound)
	}
	rq.route, rq.policy, rq.own = found.Route, found.Hash, found.Own
	return found.Policy, nil
}

// matched is a header as routes are matched by it: the values of all its lines,
// joined as Envoy joins them.
func (r *request) matched(name string) (value string, ok bool) {
	if len(r.lines) == 0 {
		value, count := r.joinedHeader(name)
		return value, count > 0
	}
	for _, line := range r.lines {
		switch {
		case !strings.EqualFold(line.name, name):
		case ok:
			value += "," + line.value
		default:
			value, ok = line.value, true
		}
	}
	return value, ok
}

// isOwn tells whether a header is one that only the gateway may set, in some
// spelling of it: there are backends to which X_User_ID is X-User-ID.
func (r *request) isOwn(name string) bool {
	return slices.ContainsFunc(r.own, func(own string) bool { return sameHeader(own, name) })
}

func sameHeader(own, name string) bool {
	if len(own) != len(name) {
		return false
	}
	for i := range len(own) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		if c != own[i] && !(own[i] == '_' && c == '-') {
			return false
		}
	}
	return true
}

// forged are the headers of a request, as it spells them, that only the gateway
// may set. Our own listeners take them away before anything reads them; another
// Envoy does it at the verdict's word.
func (r *request) forged() []string {
	var names []string
	for _, line := range r.lines {
		if r.isOwn(line.name) {
			names = append(names, strings.ToLower(line.name))
		}
	}
	if len(r.lines) == 0 {
		for name := range r.joined {
			if r.isOwn(name) {
				names = append(names, strings.ToLower(name))
			}
		}
	}
	return names
}

// withoutForged is a verdict that has the forged headers of its request taken
// away, but those that it sets itself: these replace what is there.
func (v Verdict) withoutForged(rq *request) Verdict {
	for _, name := range rq.forged() {
		ours := slices.ContainsFunc(v.headers, func(h header) bool { return h.name == name })
		if !ours && !slices.Contains(v.removeHeaders, name) {
			v.removeHeaders = append(v.removeHeaders, name)
		}
	}
	slices.Sort(v.removeHeaders)
	return v
}
