package importer

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// route is an operation in our words.
type route struct {
	what, name, method, path string
	hosts                    []string
	auth                     []string // the lines of its auth
	backend, rewrite         string
	summary                  string
	deprecated, stream       bool
	validation               string // its openapi, where it is held to the document
}

// requests is the same for routes that take the same requests.
func (r *route) requests() string {
	return r.method + " " + strings.Join(r.hosts, ",") + " " + variables.ReplaceAllString(r.path, "{}")
}

var variables = regexp.MustCompile(`\{[^}]*\}`)

func (r *route) text() string {
	var b strings.Builder
	if r.summary != "" {
		b.WriteString("  # " + oneLine(r.summary) + "\n")
	}
	if r.deprecated {
		b.WriteString("  # deprecated\n")
	}
	fmt.Fprintf(&b, "  - name: %s\n", quoted(r.name))
	b.WriteString("    match: {")
	if len(r.hosts) > 0 {
		b.WriteString("hosts: " + list(r.hosts) + ", ")
	}
	fmt.Fprintf(&b, "methods: [%s], path: %s}\n", r.method, quoted(r.path))
	for _, line := range r.auth {
		b.WriteString("    " + line + "\n")
	}
	fmt.Fprintf(&b, "    to: [{backend: %s}]\n", quoted(r.backend))
	if r.rewrite != "" {
		fmt.Fprintf(&b, "    rewrite: {path: %s}\n", quoted(r.rewrite))
	}
	if r.stream {
		b.WriteString("    stream: true\n")
	}
	if r.validation != "" {
		b.WriteString("    openapi: " + r.validation + "\n")
	}
	return b.String()
}

// quoted is a text in YAML: as JSON has it, but for what JSON escapes for HTML.
func quoted(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(text, "")) // a text has an encoding
	return strings.TrimSpace(b.String())
}

func list(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = quoted(t)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// pathOf is a path of OpenAPI in our language. wider tells that it takes more: a
// variable here is a whole segment. rule is why it has no form here.
func pathOf(path string) (pattern string, wider bool, rule string) {
	if !strings.HasPrefix(path, "/") {
		return "", false, "its path does not begin with /"
	}
	used := map[string]bool{}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch whole := variables.FindString(s); {
		case whole == "":
			segments[i] = escapeSegment(s)
		default:
			wider = wider || whole != s
			segments[i] = "{" + variableName(s, used) + "}"
		}
	}
	return "/" + strings.Join(segments, "/"), wider, ""
}

// variableName is a name for a segment with variables, each once.
func variableName(segment string, used map[string]bool) string {
	name := strings.Trim(notInVariables.ReplaceAllString(segment, "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "v" + name
	}
	unique := name
	for n := 2; used[unique]; n++ {
		unique = fmt.Sprintf("%s_%d", name, n)
	}
	used[unique] = true
	return unique
}

var notInVariables = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// escapeSegment percent-encodes what no request has plain.
func escapeSegment(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~!$&'()+,;=:@%*", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// maxName bounds the name of a route, with room for a number behind it.
const maxName = 58

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// name is the operation's own, in the form that names have here, or made of its
// method and path. It does not depend on where the operation stands.
func (i *importing) name(op *openapi3.Operation, method, path string) string {
	name := op.OperationID
	if name == "" {
		name = strings.ToLower(method) + path
	}
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-._")
	if len(name) > maxName {
		name = strings.TrimRight(name[:maxName], "-._")
	}
	if name == "" || strings.HasPrefix(name, "gatewright") {
		name = strings.TrimRight("api-"+name, "-")
	}
	unique := name
	for n := 2; i.names[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	i.names[unique] = true
	return unique
}
