package config

import "github.com/gatewright/gatewright/internal/jsontemplate"

// maxTemplateBytes bounds the bodies that are rewritten: Envoy holds them, and so does
// the gateway.
const maxTemplateBytes = 1 << 20

// body compiles the templates of a route, and holds it to bodies that can be rewritten.
func (c *checker) body(at *place, r *Route) {
	b := r.Body
	c.must(b.Request != nil || b.Response != nil, at, "must have request, response or both")
	oneOf(c, at.key("onFailure"), b.OnFailure, BodyDeny, BodyPass)
	c.must(r.Match.GRPC == nil, at, "must not stand on a route for gRPC: a call has no body of JSON")
	c.must(len(r.Upgrades) == 0, at, "must not stand beside upgrades: what is sent over an upgraded connection is no body")
	c.must(!r.Stream || b.Response == nil, at.key("response"), "must not stand beside stream: an answer is rewritten when all of it is there")
	c.must(!r.Decompresses(OfResponse) || b.Response == nil, at.key("response"), "must not stand beside decompress: [response]: Envoy never ends an answer of both; backends are asked for none that is compressed")
	if q := b.Request; q != nil {
		here := at.key("request")
		c.between(here.key("maxBytes"), 0, int64(q.MaxBytes), maxTemplateBytes)
		q.Reads = c.bodyTemplate(here.key("template"), q.Template, jsontemplate.Request, r)
	}
	if q := b.Response; q != nil {
		here := at.key("response")
		c.between(here.key("maxBytes"), 0, int64(q.MaxBytes), maxTemplateBytes)
		c.distinct(here.key("status"), len(q.Status), func(i int) string { return q.Status[i].String() })
		q.Reads = c.bodyTemplate(here.key("template"), q.Template, jsontemplate.Response, r)
	}
}

// bodyTemplate is what a template reads, once it is found to be one.
func (c *checker) bodyTemplate(at *place, text string, way jsontemplate.Direction, r *Route) jsontemplate.Reads {
	t, err := jsontemplate.Compile(text, way)
	if err != nil {
		c.obey(at, err.Error())
		return jsontemplate.Reads{}
	}
	reads := t.Reads()
	if r.Auth != nil {
		c.must(len(reads.Claims) == 0 || takesTokens(r.Auth), at, "reads claims, and the route asks for no token")
		c.must(!reads.User && !reads.Tenant || !r.Auth.Public, at, "reads who the caller is, and the route asks nobody who he is")
	}
	return reads
}
