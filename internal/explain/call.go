package explain

import (
	"fmt"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// call says in words what a request becomes on a route that is transcoded, and what
// the backend then sees as its path.
func call(t *config.GRPCTranscode, asked Asked, path string) (words, seen string) {
	if contentType, _ := asked.header("content-type"); config.IsGRPC(contentType) {
		return "it is one already, and goes on as it is", path
	}
	plain := withoutQuery(path)
	m := t.Set.Find(asked.Method, plain)
	if m == nil {
		return "none: answer 404 method-not-bound, since no method is bound to " + asked.Method + " " + plain, ""
	}
	words = fmt.Sprintf("%s.%s, bound to %s %s", m.Service, m.Method, m.Verb, m.Template)
	var from []string
	for _, f := range m.Fields {
		from = append(from, fmt.Sprintf("%s = %q", f.Name, f.Value))
	}
	switch m.Body {
	case "":
	case "*":
		from = append(from, "the body is the message")
	default:
		from = append(from, "the body is "+m.Body)
	}
	if query := path[len(plain):]; len(query) > 1 && m.Body != "*" {
		from = append(from, "the query has further fields")
	}
	if len(from) > 0 {
		words += "; " + strings.Join(from, ", ")
	}
	if m.ClientStreams {
		words += "; the body is an array, of which each element is a message of a stream"
	}
	if m.ServerStreams {
		words += "; the answer is a stream"
	}
	return words, m.Call()
}
