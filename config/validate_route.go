package config

import (
	"fmt"
	"time"
)

const (
	// DefaultRouteTimeout is a route's timeout when its Timeout is 0.
	DefaultRouteTimeout = 15 * time.Second

	maxPriority = 1_000_000
	maxAttempts = 10
	// maxBody is what Envoy sends of its own without a data source.
	maxBody = 4096
)

func (c *checker) routes(at *place) {
	named := map[string]*place{}
	for i, r := range c.cfg.Routes {
		c.route(at.index(i), r)
		c.unique(at.index(i).key("name"), r.Name, named)
	}
	c.errorsOfRoutes(at)
	c.ambiguousRoutes(at)
	c.ambiguousPreflights(at)
}

func (c *checker) route(at *place, r *Route) {
	c.name(at.key("name"), r.Name)
	c.match(at.key("match"), &r.Match)
	c.between(at.key("priority"), -maxPriority, int64(r.Priority), maxPriority)
	if r.Auth != nil {
		c.routeAuth(at.key("auth"), r.Auth)
	}
	c.routeLimits(at.key("limits"), r)
	c.target(at, r)
	c.headerChanges(at.key("request"), r.Request, c.requestSetRule)
	c.headerChanges(at.key("response"), r.Response, responseSetRule)
	c.made(at.key("request"), r.Request, r)
	if r.Request != nil {
		c.tells(at.key("request").key("set"), r.Request.Set)
		c.tells(at.key("request").key("add"), r.Request.Add)
	}
	if len(r.To) > 0 {
		c.made(at.key("response"), r.Response, r)
	} else {
		c.literal(at.key("response"), r.Response)
	}
	c.bodies(at, r)
	c.routeTracing(at.key("tracing"), r.Tracing)
	c.routeErrors(at.key("errors"), r)
}

// target holds a route to one place to go, and to the fields of that place.
func (c *checker) target(at *place, r *Route) {
	c.must(places(r) == 1, at, "must have exactly one of to, redirect and respond")
	if r.Respond != nil {
		c.respond(at.key("respond"), r.Respond)
	}
	if r.Redirect != nil {
		c.redirect(at.key("redirect"), r)
	}
	if len(r.To) == 0 && places(r) > 0 {
		const rule = "needs a backend: the route answers by itself"
		c.must(r.Pin == nil, at.key("pin"), rule)
		c.must(r.Rollout == nil, at.key("rollout"), rule)
		c.must(len(r.Sticky) == 0, at.key("sticky"), rule)
		c.must(r.Timeout == 0, at.key("timeout"), rule)
		c.must(!r.Stream, at.key("stream"), rule)
		c.must(r.IdleTimeout == 0, at.key("idleTimeout"), rule)
		c.must(!r.GRPCWeb, at.key("grpcWeb"), rule)
		c.must(len(r.Upgrades) == 0, at.key("upgrades"), rule)
		c.must(r.Retry == nil, at.key("retry"), rule)
		c.must(r.Hedge == nil, at.key("hedge"), rule)
		c.must(r.CORS == nil, at.key("cors"), rule)
		c.must(r.Request == nil, at.key("request"), rule)
		c.must(r.Rewrite == nil, at.key("rewrite"), rule)
		c.must(r.GRPCTranscode == nil, at.key("grpcTranscode"), rule)
		c.must(r.OpenAPI == nil, at.key("openapi"), rule)
		c.must(r.Mirror == nil, at.key("mirror"), rule)
		c.must(len(r.Mirrors) == 0, at.key("mirrors"), rule)
		c.must(len(r.Decompress) == 0, at.key("decompress"), rule)
		c.must(r.MaxBodyBytes == 0, at.key("maxBodyBytes"), rule)
		c.must(r.Body == nil, at.key("body"), rule)
		return
	}
	c.destinations(at.key("to"), r)
	c.grpcBackends(at.key("to"), r)
	if r.Pin != nil {
		c.pin(at, r)
	}
	if len(r.Sticky) > 0 {
		c.sticky(at, r)
	}
	if r.Rollout != nil {
		c.rollout(at.key("rollout"), r)
	}
	c.countedElsewhere(at.key("to"), r)
	c.atMost(at.key("timeout"), r.Timeout, maxDuration)
	c.atMost(at.key("idleTimeout"), r.IdleTimeout, maxDuration)
	c.upgrades(at, r)
	c.must(!r.GRPCWeb || r.Match.GRPC != nil, at.key("grpcWeb"), "needs a match for gRPC: of other requests there is nothing to turn into calls")
	if r.Retry != nil {
		c.retry(at.key("retry"), r.Retry, r.Times().longest())
	}
	if r.CORS != nil {
		c.cors(at, r)
	}
	if r.Hedge != nil {
		c.must(!r.Stream, at.key("hedge"), "must not stand beside stream: a stream that is sent twice is served twice for as long as it lasts")
		c.hedge(at, r, r.Times().longest())
	}
	if r.Rewrite != nil {
		c.rewrite(at.key("rewrite"), r)
	}
	if r.OpenAPI != nil {
		c.routeOpenAPI(at.key("openapi"), r)
	}
	if r.GRPCTranscode != nil {
		c.grpcTranscode(at.key("grpcTranscode"), r)
	}
	c.mirrors(at, r)
	if r.Body != nil {
		c.body(at.key("body"), r)
	}
}

// places is how many places a route goes to.
func places(r *Route) int {
	n := 0
	for _, given := range []bool{len(r.To) > 0, r.Redirect != nil, r.Respond != nil} {
		if given {
			n++
		}
	}
	return n
}

func (c *checker) respond(at *place, r *Respond) {
	c.between(at.key("status"), 200, int64(r.Status), 599)
	c.must(len(r.Body) <= maxBody, at.key("body"), fmt.Sprintf("must be at most %d bytes", maxBody))
	c.must(r.Body == "" || r.Status != 204 && r.Status != 304, at.key("body"), fmt.Sprintf("must be empty: an answer of %d has no body", r.Status))
	headerKeys(c, at.key("headers"), r.Headers, responseSetRule)
	c.headerCount(at.key("headers"), len(r.Headers))
	c.headerValues(at.key("headers"), r.Headers)
	c.noVariables(at.key("headers"), r.Headers)
}

// routeLimits holds a route's limits to exist, and to have something to count
// by on this route.
func (c *checker) routeLimits(at *place, r *Route) {
	c.words(at, r.Limits)
	for i, name := range r.Limits {
		limit, ok := c.cfg.Limits[name]
		if !ok {
			exists(c, at.index(i), "limit", name, c.cfg.Limits, new(place).key("limits"))
			continue
		}
		c.ends(at.index(i), limit)
		if r.Auth != nil && c.report.trusted(at.key("auth")) {
			c.obey(at.index(i), uncountableRule(limit.Key, r.Auth))
		}
	}
}
