package config

import (
	"net/netip"
	"slices"
	"strings"
)

// methods are the methods a route can name. TRACE and CONNECT never pass.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Methods are the methods that requests may have.
func Methods() []string { return slices.Clone(methods) }

func (c *checker) match(at *place, m *Match) {
	c.words(at.key("hosts"), m.Hosts)
	for i, host := range m.Hosts {
		c.obey(at.key("hosts").index(i), hostRule(host))
	}
	c.words(at.key("methods"), m.Methods)
	for i, method := range m.Methods {
		c.obey(at.key("methods").index(i), c.methodRule(method))
	}
	c.pathOrGRPC(at, m)
	headerKeys(c, at.key("headers"), m.Headers, c.matchedHeaderRule)
	for _, name := range sorted(m.Headers) {
		value, at := m.Headers[name], at.key("headers").key(name)
		c.must(!value.IsExact() || value.Exact != "", at, "must not be empty: for any value say {present: true}")
		c.valueMatch(at, value)
	}
	for _, name := range sorted(m.Query) {
		c.must(name != "", at.key("query").key(name), "a query parameter must have a name")
		c.valueMatch(at.key("query").key(name), m.Query[name])
	}
}

// pathOrGRPC holds a match to say its path in one of two ways. Of a gRPC match,
// what the file says is judged, and not what was made of it.
func (c *checker) pathOrGRPC(at *place, m *Match) {
	if m.GRPC != nil {
		c.grpcMatch(at, m.GRPC)
		return
	}
	if m.Path == "" {
		c.obey(at.key("path"), "is missing: a match has a path, or grpc")
		return
	}
	if _, err := ParsePath(m.Path); err != nil {
		c.obey(at.key("path"), err.Error())
	}
}

func (c *checker) valueMatch(at *place, m ValueMatch) {
	if m.Regex == "" {
		return
	}
	if _, err := CompileExpression(m.Regex); err != nil {
		c.obey(at.key("regex"), err.Error())
	}
}

func (c *checker) methodRule(method string) string {
	switch {
	case method == "" || slices.Contains(methods, method): // an empty one has its fault
		return ""
	case method == "TRACE" || method == "CONNECT":
		return "must not be " + method + ": the gateway passes none"
	case slices.Contains(methods, strings.ToUpper(method)):
		return "must be in capitals: " + strings.ToUpper(method)
	}
	return c.choiceRule(method, methods)
}

// hostRule judges a host that requests are matched by. They are matched in
// lower case and without a port, so it must be written that way.
func hostRule(host string) string {
	name, isSuffix := strings.CutPrefix(host, "*.")
	_, bare := netip.ParseAddr(host)
	bracketed, inBrackets := bracketed(host)
	switch {
	case host == "": // has its fault
		return ""
	case host == "*":
		return "must be a name or *.suffix: for every host leave hosts out"
	case host != strings.ToLower(host):
		return "must be in lower case"
	case inBrackets && "["+bracketed.String()+"]" != host:
		return "must be written as [" + bracketed.String() + "]"
	case inBrackets:
		return ""
	case bare == nil && strings.Contains(host, ":"):
		return "must be in brackets, as a request says it"
	case bare == nil:
		return ""
	case strings.Contains(host, ":"):
		return "must not have a port: hosts are matched without"
	case isSuffix && strings.Contains(name, "*"), !isSuffix && strings.Contains(host, "*"):
		return "must have * only as its whole first label, as *.example.com"
	}
	return hostNameRule(name)
}

// bracketed is the IPv6 address that a host holds in brackets.
func bracketed(host string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	address, err := netip.ParseAddr(inner)
	return address, ok && closed && err == nil && address.Is6() && address.Zone() == ""
}
