package config

import (
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// maxErrorBodies is how many there may be: each stands once for each kind of error
// of Envoy's in every listener.
const maxErrorBodies = 16

func (c *checker) errorBodies(at *place, bodies []*ErrorBody) {
	c.must(len(bodies) <= maxErrorBodies, at, fmt.Sprintf("must have at most %d entries", maxErrorBodies))
	for i, e := range bodies {
		c.errorBody(at.index(i), e)
	}
}

// maxRouteErrors is how many of all routes' may be for what the gateway says by itself:
// each stands in every listener, as those of the config do.
const maxRouteErrors = 64

// routeErrors judges a route's own.
func (c *checker) routeErrors(at *place, r *Route) {
	c.errorBodies(at, r.Errors)
	if len(r.Errors) == 0 {
		return
	}
	c.must(r.Match.GRPC == nil, at, "must not stand on a route for gRPC: a call gets its status")
	if len(r.To) > 0 {
		return
	}
	for i, e := range r.Errors {
		c.must(e.From != FromBackend, at.index(i).key("from"), "needs a backend: the route answers by itself")
	}
}

// errorsOfRoutes bounds how many routes may have.
func (c *checker) errorsOfRoutes(at *place) {
	n := 0
	for _, r := range c.cfg.Routes {
		n += len(ErrorBodiesOf(FromGateway, r.Errors))
	}
	c.must(n <= maxRouteErrors, at, fmt.Sprintf("must have at most %d errors that are from the gateway, in all routes; those of the config are for all", maxRouteErrors))
}

func (c *checker) errorBody(at *place, e *ErrorBody) {
	oneOf(c, at.key("from"), e.From, FromGateway, FromBackend, FromAny)
	if e.Accept != "" {
		c.obey(at.key("accept"), acceptedTypeRule(e.Accept))
	}
	if _, _, err := mime.ParseMediaType(e.ContentType); err != nil || !strings.Contains(e.ContentType, "/") || !isASCII(e.ContentType) {
		c.obey(at.key("contentType"), "must be a media type, as text/html; charset=utf-8")
	}
	c.must(len(e.Body) <= maxBody, at.key("body"), fmt.Sprintf("must be at most %d bytes", maxBody))
	if _, err := parseTemplate(e.Body, errorVariable); err != nil {
		c.obey(at.key("body"), err.Error())
		return
	}
	filled := e.Text(func(s string) string { return s }, func(string) string { return "1" })
	c.must(!isJSON(e.mediaType()) || json.Valid([]byte(filled)), at.key("body"), "must be JSON, as its content type says, with variables inside of quotes")
}

func acceptedTypeRule(t string) string {
	kind, sub, ok := strings.Cut(t, "/")
	if !ok || !isToken(kind) || !isToken(sub) || strings.Contains(t, "*") || t != strings.ToLower(t) {
		return "must be a media type without parameters, as text/html"
	}
	return ""
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// errorVariable is a variable in the body of an error.
func errorVariable(text string) (TemplatePart, error) {
	if slices.Contains(ErrorVariables, text) {
		return TemplatePart{Variable: text}, nil
	}
	return TemplatePart{}, fmt.Errorf("has a variable that there is not: ${%s}; there are %s", text, strings.Join(ErrorVariables, ", "))
}
