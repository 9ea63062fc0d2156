package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxRewriteVariables is what a path with a rewrite or a redirect can have: the
// substitutions of RE2, by which Envoy rewrites, refer to nine groups, and /**
// is one.
const maxRewriteVariables = 8

// redirectStatuses are the answers that name another place (RFC 9110, section
// 15.4). 300 and 304 to 306 do not.
var redirectStatuses = []int{301, 302, 303, 307, 308}

func (c *checker) redirect(at *place, r *Route) {
	d := r.Redirect
	c.must(d.Status == 0 || slices.Contains(redirectStatuses, d.Status), at.key("status"), "must be 301, 302, 303, 307 or 308")
	if d.Scheme != "" {
		oneOf(c, at.key("scheme"), d.Scheme, "http", "https")
	}
	c.obey(at.key("host"), targetHostRule(d.Host))
	c.targetPath(at.key("path"), d.Path, r.Match.Path)
	c.between(at.key("port"), 0, int64(d.Port), 65535)
	c.must(d.Scheme != "" || d.Host != "" || d.Port != 0 || d.Path != "", at, "must name another scheme, host, port or path: it would send clients in a circle")
}

func (c *checker) rewrite(at *place, r *Route) {
	if strings.Contains(r.Rewrite.Host, "${") {
		c.obey(at.key("host"), c.hostTemplateRule(r.Rewrite.Host, r))
	} else {
		c.obey(at.key("host"), targetHostRule(r.Rewrite.Host))
	}
	c.targetPath(at.key("path"), r.Rewrite.Path, r.Match.Path)
	c.query(at.key("query"), r.Rewrite.Query, r)
	c.must(r.Rewrite.Host != "" || r.Rewrite.Path != "" || r.Rewrite.Query != nil, at, "must have a path, a host or a query")
}

// targetHostRule judges a host that a request is sent to; "" keeps its own.
func targetHostRule(host string) string {
	switch {
	case host == "":
		return ""
	case strings.Contains(host, "*"):
		return "must be one host, without *"
	}
	return hostRule(host)
}

// targetPath judges what a path becomes. It can only be made of what the
// route's own path has.
func (c *checker) targetPath(at *place, target, from string) {
	source, err := ParsePath(from)
	if target == "" || err != nil { // the second has its fault
		return
	}
	to, err := ParsePath(target)
	if err != nil {
		c.obey(at, err.Error())
		return
	}
	for _, s := range to.Segments {
		if s.Variable != "" && !source.hasVariable(s.Variable) {
			c.obey(at, fmt.Sprintf("has the variable %s, which the path of the route does not have", shown(s.Variable)))
		}
	}
	c.must(!to.Rest || source.Rest, at, "ends in /**, and the path of the route does not")
	c.must(source.Variables() <= maxRewriteVariables, at, fmt.Sprintf("needs a path with at most %d variables", maxRewriteVariables))
}
