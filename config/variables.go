package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/internal/jsontemplate"
)

// TemplatePart is a part of a value: a text, or a variable.
type TemplatePart struct {
	// Text stands for itself. It is all there is where Variable is empty.
	Text string
	// Variable is what the part is taken from: claims, path, header or query, with a
	// Name; or one of Variables without.
	Variable, Name string
}

// Template is a value with variables: ${claims.tenant}, ${path.id},
// ${header.X-Shop}, ${query.page}, or ${NAME} with one of Variables. $${ is ${.
type Template []TemplatePart

// Variables are those that have no name behind them.
var Variables = []string{"client_ip", "host", "method", "path", "request_id", "route", "scheme", "sni", "tenant", "tls_subject", "user"}

// named are those that have one.
var namedVariables = []string{"claims", "header", "path", "query"}

// ParseTemplate reads a value. The error is a rule in words.
func ParseTemplate(value string) (Template, error) { return parseTemplate(value, variable) }

// parseTemplate reads a value with those variables that variable knows.
func parseTemplate(value string, variable func(text string) (TemplatePart, error)) (Template, error) {
	var out Template
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, TemplatePart{Text: text.String()})
			text.Reset()
		}
	}
	for value != "" {
		before, rest, found := strings.Cut(value, "${")
		if !found {
			text.WriteString(value)
			break
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			text.WriteString(plain + "${")
			value = rest
			continue
		}
		text.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("has a ${ without its }: write $${ for the characters themselves")
		}
		part, err := variable(inner)
		if err != nil {
			return nil, err
		}
		flush()
		out, value = append(out, part), after
	}
	flush()
	return out, nil
}

func variable(text string) (TemplatePart, error) {
	kind, name, hasName := strings.Cut(text, ".")
	switch {
	case hasName && name != "" && slices.Contains(namedVariables, kind):
		return TemplatePart{Variable: kind, Name: name}, nil
	case !hasName && slices.Contains(Variables, kind):
		return TemplatePart{Variable: kind}, nil
	}
	return TemplatePart{}, fmt.Errorf("has a variable that there is not: ${%s}; there are claims.NAME, path.NAME, header.NAME, query.NAME, %s",
		text, strings.Join(Variables, ", "))
}

// Varies tells whether the value is not the same for all requests.
func (t Template) Varies() bool {
	return slices.ContainsFunc(t, func(p TemplatePart) bool { return p.Variable != "" })
}

// Literal is the value of a template that does not vary.
func (t Template) Literal() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
	}
	return b.String()
}

// TellsIdentity tells whether a part says who the caller is.
func (t Template) TellsIdentity() bool {
	return slices.ContainsFunc(t, func(p TemplatePart) bool {
		return p.Told() != "" || p.Variable == "tls_subject"
	})
}

// template is a value of a valid config.
func template(value string) Template {
	t, _ := ParseTemplate(value)
	return t
}

// templates are all values of the route that may have variables.
func (r *Route) templates() []Template {
	var out []Template
	add := func(values map[string]string) {
		for _, v := range values {
			out = append(out, template(v))
		}
	}
	for _, h := range []*HeaderChanges{r.Request, r.Response} {
		if h != nil {
			add(h.Set)
			add(h.Add)
		}
	}
	if r.Rewrite != nil {
		out = append(out, template(r.Rewrite.Host))
		if q := r.Rewrite.Query; q != nil {
			add(q.Set)
			add(q.Add)
		}
	}
	return out
}

// ReadsRequests tells whether what the route makes of requests and answers depends on the
// path, the query, the host or the headers that requests have.
func (r *Route) ReadsRequests() bool {
	if slices.ContainsFunc(r.Body.reads(), func(reads jsontemplate.Reads) bool { return reads.Request }) {
		return true
	}
	return slices.ContainsFunc(r.templates(), func(t Template) bool {
		return slices.ContainsFunc(t, func(p TemplatePart) bool {
			return slices.Contains([]string{"path", "query", "host", "header"}, p.Variable)
		})
	})
}

// Told is what the judge has to tell of the caller for the part: the same text for
// the same thing, and "" where it has nothing to tell.
func (p TemplatePart) Told() string {
	switch p.Variable {
	case "claims":
		return "claims." + p.Name
	case "user", "tenant":
		return p.Variable
	}
	return ""
}

// Told are all of that for the route, sorted, each once.
func (r *Route) Told() []string {
	var names []string
	for _, t := range r.templates() {
		for _, p := range t {
			if told := p.Told(); told != "" {
				names = append(names, told)
			}
		}
	}
	names = append(names, r.Body.told()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// headersFromIdentity are the headers of requests, in lower case, by which some
// route tells a backend of who the caller is.
func headersFromIdentity(c *Config) map[string]bool {
	set := map[string]bool{}
	for _, r := range c.Routes {
		if r.Request == nil {
			continue
		}
		for _, values := range []map[string]string{r.Request.Set, r.Request.Add} {
			for name, v := range values {
				if template(v).TellsIdentity() {
					set[strings.ToLower(name)] = true
				}
			}
		}
	}
	return set
}
