package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// anyWord is the word for all origins or headers.
const anyWord = "*"

// corsHeaders are what a CORS policy alone says of an answer.
var corsHeaders = headers("", "access-control-")

// cors judges the policy of a route at the route.
func (c *checker) cors(at *place, r *Route) {
	p, in := r.CORS, at.key("cors")
	c.must(r.Match.GRPC == nil || r.GRPCWeb, in, "must not stand on a route for gRPC: browsers do not speak it, but gRPC-Web (grpcWeb: true)")
	c.words(in.key("origins"), p.Origins)
	for i, origin := range p.Origins {
		c.obey(in.key("origins").index(i), originRule(origin))
	}
	c.alone(in.key("origins"), p.Origins)
	c.must(!p.Credentials || !slices.ContainsFunc(p.Origins, everyHost), in.key("credentials"),
		"must not be true for every origin: any page could act as its visitor")
	if i := slices.IndexFunc(p.Origins, everyCustomer); p.Credentials && i >= 0 {
		c.obey(in.key("origins").index(i), "must not stand beside credentials: anybody can have a name there, whose pages could act as their visitors")
	}
	c.words(in.key("methods"), p.Methods)
	for i, method := range p.Methods {
		at := in.key("methods").index(i)
		c.obey(at, c.methodRule(method))
		c.must(len(r.Match.Methods) == 0 || slices.Contains(r.Match.Methods, method) || !slices.Contains(methods, method), at, "must be a method of the route")
	}
	c.corsHeaders(in.key("headers"), p.Headers)
	c.corsHeaders(in.key("exposeHeaders"), p.ExposeHeaders)
	c.must(!p.Credentials || !slices.Contains(p.ExposeHeaders, anyWord), in.key("exposeHeaders"),
		"must not be * with credentials: browsers then take it for a header's name")
	c.atMost(in.key("maxAge"), p.MaxAge, maxDuration)
	c.must(time.Duration(p.MaxAge)%time.Second == 0, in.key("maxAge"), "must be whole seconds")
	c.notOfCORS(at.key("response"), r.Response)
	for i, d := range r.To {
		c.notOfCORS(at.key("to").index(i).key("response"), d.Response)
	}
}

// notOfCORS holds changes of an answer to headers that no policy speaks in.
func (c *checker) notOfCORS(at *place, h *HeaderChanges) {
	if h == nil {
		return
	}
	for _, name := range sorted(h.names()) {
		c.must(!corsHeaders.has(name), at, fmt.Sprintf("must not change %s: cors says it", name))
	}
}

// corsHeaders holds a list to names of headers, or to the word for all.
func (c *checker) corsHeaders(at *place, names []string) {
	seen := map[string]bool{}
	for i, name := range names {
		folded := strings.ToLower(name)
		c.must(name != "", at.index(i), "must not be empty")
		c.must(name == "" || !seen[folded], at.index(i), "is listed twice")
		seen[folded] = true
		if name != "" && name != anyWord {
			c.obey(at.index(i), headerNameRule(name))
		}
	}
	c.alone(at, names)
}

// alone holds the word for all to stand alone.
func (c *checker) alone(at *place, values []string) {
	c.must(len(values) < 2 || !slices.Contains(values, anyWord), at, "must have * alone: it is all of them")
}

// everyHost tells an origin that names no host: *, https://* and https://*:8443.
func everyHost(origin string) bool {
	_, host, _ := strings.Cut(origin, "://")
	return origin == anyWord || host == anyWord || strings.HasPrefix(host, anyWord+":")
}

// everyCustomer tells an origin that is all names below one under which they are given to
// anybody, as https://*.com and https://*.github.io. A name that the list of those does
// not have, as one of a company's own network, is not one of them.
func everyCustomer(origin string) bool {
	_, name, wild := strings.Cut(origin, "://*.")
	if !wild {
		return false
	}
	name, _, _ = strings.Cut(name, ":")
	suffix, public := publicsuffix.PublicSuffix(name)
	return suffix == name && (public || strings.Contains(suffix, "."))
}

// originRule judges an origin as browsers write it (RFC 6454, section 6.2).
func originRule(origin string) string {
	const form = "must be an origin, as https://shop.example.com or https://*.example.com"
	if origin == "" || origin == anyWord { // the first has its fault
		return ""
	}
	scheme, host, ok := strings.Cut(origin, "://")
	host = strings.TrimPrefix(host, "*.")
	if everyHost(origin) {
		host = "every" + strings.TrimPrefix(host, anyWord) // the rest is judged
	}
	u, err := url.Parse(scheme + "://" + host)
	switch {
	case origin == "null":
		return "must not be null: any page can have that origin"
	case origin != strings.ToLower(origin):
		return "must be in lower case"
	case !ok, err != nil, scheme != "http" && scheme != "https", u.Host == "":
		return form
	case u.Host != host, u.User != nil:
		return "must have no more than a scheme, a host and a port"
	case !validPort(u):
		return "must have a port from 1 to 65535"
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "must not have the usual port: browsers leave it out"
	case strings.Contains(u.Hostname(), "*"):
		return "must have * only as its whole first label, as https://*.example.com"
	}
	return hostRule(strings.TrimSuffix(u.Host, ":"+u.Port()))
}
