package config

import (
	"cmp"
	"encoding/json"
	"html"
	"mime"
	"regexp"
	"strings"
	"sync"
)

// ErrorVariables are those that the body of an error may have.
var ErrorVariables = []string{"status", "title", "reason", "detail", "request_id"}

// ErrorBodyFor is the first of bodies that is for answers of a status to requests
// with that Accept header; nil where none is.
func ErrorBodyFor(bodies []*ErrorBody, status int, accept string) *ErrorBody {
	for _, e := range bodies {
		if e.Has(status) && (e.Accept == "" || expression(e.AcceptPattern()).MatchString(accept)) {
			return e
		}
	}
	return nil
}

// ErrorBodiesOf are those of the lists, in their order, that are for answers of one
// origin, FromGateway or FromBackend.
func ErrorBodiesOf(from ErrorOrigin, lists ...[]*ErrorBody) []*ErrorBody {
	var out []*ErrorBody
	for _, list := range lists {
		for _, e := range list {
			if cmp.Or(e.From, FromGateway) == from || e.From == FromAny {
				out = append(out, e)
			}
		}
	}
	return out
}

// expressions are those of media types, each compiled once: a config has few.
var expressions sync.Map

func expression(pattern string) *regexp.Regexp {
	if known, ok := expressions.Load(pattern); ok {
		return known.(*regexp.Regexp)
	}
	compiled := regexp.MustCompile(`^(?:` + pattern + `)$`)
	expressions.Store(pattern, compiled)
	return compiled
}

// Has tells whether the body is for answers of a status.
func (e *ErrorBody) Has(status int) bool {
	for _, r := range e.Status {
		if r.Has(status) {
			return true
		}
	}
	return false
}

// AcceptPattern is an RE2 expression that the whole of an Accept header fits which
// names the type, and not with a weight of 0.
func (e *ErrorBody) AcceptPattern() string {
	const weight = `q=(?:1(?:\.0*)?|0\.[0-9]*[1-9][0-9]*)`
	return `(?i)(?:.*,)?[ \t]*` + regexp.QuoteMeta(e.Accept) + `(?:[ \t]*;[ \t]*(?:` + weight + `|[^,;q][^,;]*))*[ \t]*(?:,.*)?`
}

// Text is the body: plain makes its fixed parts, and of its variables. Neither is
// encoded any further.
func (e *ErrorBody) Text(plain, of func(string) string) string {
	parts, _ := parseTemplate(e.Body, errorVariable) // it is valid
	var b strings.Builder
	for _, p := range parts {
		if p.Variable == "" {
			b.WriteString(plain(p.Text))
		} else {
			b.WriteString(of(p.Variable))
		}
	}
	return b.String()
}

// Escape encodes a text for the content type of the body.
func (e *ErrorBody) Escape(text string) string {
	switch kind := e.mediaType(); {
	case isJSON(kind):
		quoted, _ := json.Marshal(text) // a string: cannot fail
		return string(quoted[1 : len(quoted)-1])
	case kind == "text/html" || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml"):
		return html.EscapeString(text)
	}
	return text
}

func (e *ErrorBody) mediaType() string {
	kind, _, _ := mime.ParseMediaType(e.ContentType)
	return kind
}

func isJSON(kind string) bool { return kind == "application/json" || strings.HasSuffix(kind, "+json") }
