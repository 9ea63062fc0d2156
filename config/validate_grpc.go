package config

import (
	"regexp"
	"strings"
)

// grpcServiceForm and grpcMethodForm are the full name of a service and the
// name of a method in the language of protocol buffers.
var (
	grpcServiceForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	grpcMethodForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// grpcMatch judges a gRPC match at the match that it is in: what it says of
// paths, methods and content types the match must not say again.
func (c *checker) grpcMatch(at *place, g *GRPCMatch) {
	c.must(!c.written(at.key("path")), at.key("path"), "must not stand beside grpc: a call's path is its service and method")
	c.must(!c.written(at.key("methods")), at.key("methods"), "must not stand beside grpc: a call is always a POST")
	if headers, _ := at.key("headers").find(c.report.root); headers != nil {
		for i, key := range target(headers).Content {
			if i%2 == 0 && strings.EqualFold(key.Value, contentType) {
				c.obey(at.key("headers").key(key.Value), "must not stand beside grpc: it asks for a content type of gRPC")
			}
		}
	}
	at = at.key("grpc")
	c.must(g.Service == "" || grpcServiceForm.MatchString(g.Service), at.key("service"), "must be the full name of a gRPC service, as shop.v1.Orders")
	c.must(g.Method == "" || grpcMethodForm.MatchString(g.Method), at.key("method"), "must be the name of a method, as Get")
}

// grpcBackends holds the backends of a route for gRPC to speak it.
func (c *checker) grpcBackends(at *place, r *Route) {
	for i, d := range r.To {
		c.grpcBackend(at.index(i).key("backend"), r, d.Backend)
		if fallback := c.cfg.Backends[d.Backend].Fallback(); fallback != "" {
			c.grpcFallback(at.index(i).key("backend"), r, fallback)
		}
	}
}

func (c *checker) grpcBackend(at *place, r *Route, backend string) {
	protocol := new(place).key("backends").key(backend).key("protocol")
	if b := c.cfg.Backends[backend]; r.callsGRPC() && b != nil && !b.SpeaksHTTP2() && c.report.trusted(protocol) {
		c.obey(at, "must have protocol grpc or http2: the route is for gRPC")
	}
}

// grpcFallback holds the fallback of a route's backend for gRPC to speak it, too.
func (c *checker) grpcFallback(at *place, r *Route, fallback string) {
	if b := c.cfg.Backends[fallback]; r.callsGRPC() && b != nil && !b.SpeaksHTTP2() {
		c.obey(at, "falls back on "+quoted(fallback)+", which must have protocol grpc or http2: the route is for gRPC")
	}
}

// written tells whether the file has anything at a place.
func (c *checker) written(at *place) bool {
	node, _ := at.find(c.report.root)
	return node != nil
}
