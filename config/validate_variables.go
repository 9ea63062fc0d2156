package config

import (
	"fmt"
	"strings"
)

// variables holds values to variables that the route has.
func (c *checker) variables(at *place, values map[string]string, r *Route) {
	for _, name := range sorted(values) {
		c.obeyUnshown(at.key(name), c.templateRule(values[name], r))
	}
}

// noVariables holds values to be the same for all requests.
func (c *checker) noVariables(at *place, values map[string]string) {
	for _, name := range sorted(values) {
		t, err := ParseTemplate(values[name])
		if err != nil || t.Varies() {
			c.obeyUnshown(at.key(name), "must have no variables: they stand in request and response of the route itself; write $${ for the characters")
		}
	}
}

func (c *checker) templateRule(value string, r *Route) string {
	t, err := ParseTemplate(value)
	if err != nil {
		return err.Error()
	}
	for _, p := range t {
		if rule := c.variableRule(p, r); rule != "" {
			return rule
		}
	}
	return ""
}

func (c *checker) variableRule(p TemplatePart, r *Route) string {
	switch p.Variable {
	case "path":
		path, err := ParsePath(r.Match.Path)
		if p.Name != "" && err == nil && !path.hasVariable(p.Name) {
			return fmt.Sprintf("has the variable ${path.%s}, which the path of the route does not have", p.Name)
		}
	case "header":
		return headerNameRule(p.Name)
	case "claims":
		if r.Auth != nil && !takesTokens(r.Auth) {
			return fmt.Sprintf("has the variable ${claims.%s}, and the route asks for no token", p.Name)
		}
	case "user", "tenant":
		if r.Auth != nil && r.Auth.Public {
			return fmt.Sprintf("has the variable ${%s}, and the route asks nobody who he is", p.Variable)
		}
	}
	return ""
}

// takesTokens tells whether a token may say who the caller is.
func takesTokens(auth *RouteAuth) bool {
	for _, list := range [][]*Requirement{auth.AnyOf, auth.AllOf} {
		for _, q := range list {
			if q.JWT != "" || q.Introspection != "" {
				return true
			}
		}
	}
	return false
}

// renames holds headers that get another name, from and to, to rules, and to be
// changed in no other way.
func (c *checker) renames(at *place, h *HeaderChanges, toRule func(name string) string) {
	others := folded(h.Set)
	for name := range folded(h.Add) {
		others[name] = true
	}
	for _, name := range h.Remove {
		others[strings.ToLower(name)] = true
	}
	seen := map[string]bool{}
	for _, from := range sorted(h.Rename) {
		to, at := h.Rename[from], at.key(from)
		c.obeyUnshown(at, headerRule(from, "must not be renamed: it frames the message or steers Envoy", framing, envoys))
		c.obey(at, toRule(to))
		for _, name := range []string{strings.ToLower(from), strings.ToLower(to)} {
			c.must(!others[name], at, "is also set, added to or removed: a header is changed once")
			c.must(!seen[name], at, "is also renamed: a header is changed once")
			seen[name] = true
		}
	}
}

// query holds changes of a query to parameters that are changed once.
func (c *checker) query(at *place, q *QueryChanges, r *Route) {
	if q == nil {
		return
	}
	c.variables(at.key("set"), q.Set, r)
	c.variables(at.key("add"), q.Add, r)
	c.headerCount(at, len(q.Set)+len(q.Add)+len(q.Rename)+len(q.Remove))
	c.headerValues(at.key("set"), q.Set)
	c.headerValues(at.key("add"), q.Add)
	seen := map[string]bool{}
	once := func(at *place, name string) {
		switch {
		case name == "":
			c.obeyUnshown(at, "must be the name of a parameter")
		case len(name) > maxHeaderName:
			c.obeyUnshown(at, fmt.Sprintf("must have at most %d bytes", maxHeaderName))
		case seen[name]:
			c.obeyUnshown(at, "is changed twice: a parameter is changed once")
		}
		seen[name] = true
	}
	for _, name := range sorted(q.Set) {
		once(at.key("set").key(name), name)
	}
	for _, name := range sorted(q.Add) {
		once(at.key("add").key(name), name)
	}
	for i, name := range q.Remove {
		once(at.key("remove").index(i), name)
	}
	for _, from := range sorted(q.Rename) {
		once(at.key("rename").key(from), from)
		once(at.key("rename").key(from), q.Rename[from])
	}
	c.must(len(seen) > 0, at, "must set, add, remove or rename a parameter")
}

// hostTemplateRule judges a host that is made of a request. What the variables are
// worth is judged with each.
func (c *checker) hostTemplateRule(host string, r *Route) string {
	if rule := c.templateRule(host, r); rule != "" {
		return rule
	}
	for _, p := range template(host) {
		if strings.ContainsFunc(p.Text, func(r rune) bool { return !strings.ContainsRune(hostCharacters, r) }) {
			return "must be letters, digits, dots and dashes beside its variables"
		}
	}
	return ""
}

const hostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789.-:"
