// Package importer writes what other languages say of an API in ours: every route
// by its name, with what it asks of callers. What cannot be said is told, and
// never left out without a word; where in doubt a route is closed, not open.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/gatewright/gatewright/config"
)

// Options say what a document does not.
type Options struct {
	// Source is where the document is, for the first line.
	Source string
	// Backend is where the routes go. The zero value is a place that the reader has to
	// fill in.
	Backend Backend
	// Public says that operations of which the document says nothing are public.
	// Otherwise they are not written.
	Public bool
	// Issuer and Audience are those of tokens, where the document does not say. Empty
	// writes ones that no token has.
	Issuer, Audience string
	// Listener is how the routes are reached.
	Listener Listener
	// Validate has the requests of all routes held to Document. Empty does not.
	Validate config.ValidateMode
	// Document is the path of the document, as the config is to name it.
	Document string
}

// Result is a config, and what it could not be made to say.
type Result struct {
	Config []byte
	// Notes are one line each.
	Notes []string
	// Routes and Left are how many operations have become routes, and how many are in
	// the config as comments alone.
	Routes, Left int
}

// OpenAPI writes a document as a config.
func OpenAPI(doc *openapi3.T, o Options) Result {
	i := &importing{doc: doc, options: o, names: map[string]bool{}, taken: map[string]string{}}
	i.backend = o.Backend.orUnsaid()
	if o.Backend.URL == "" {
		i.note("where the backend %s is: say --backend NAME=URL, or write its endpoints", i.backend.Name)
	}
	if doc.Webhooks != nil {
		i.note("webhooks are no routes: they go from the service to its clients")
	}
	i.listener()
	i.providers = newProviders(i)
	var routes []string
	for _, path := range sortedPaths(doc) {
		item := doc.Paths.Value(path)
		for _, method := range methodsOf(item) {
			routes = append(routes, i.operation(path, method, item)...)
		}
	}
	if len(routes) == 0 {
		i.note("no operation has become a route")
	}
	return Result{Config: i.page(routes), Notes: i.notes, Routes: i.written, Left: i.left}
}

// importing is a document on its way.
type importing struct {
	doc       *openapi3.T
	options   Options
	backend   Backend
	providers *providers
	// names are those of routes, and taken the requests that they take.
	names         map[string]bool
	taken         map[string]string
	notes         []string
	written, left int
}

func (i *importing) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(i.notes, text) {
		i.notes = append(i.notes, text)
	}
}

// sortedPaths are those of a document, and last those that take more here than in
// it: what another operation says of the same requests goes before them.
func sortedPaths(doc *openapi3.T) []string {
	if doc.Paths == nil {
		return nil
	}
	all := doc.Paths.Keys()
	last := func(path string) int {
		if _, wider, _ := pathOf(path); wider {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a, b)) })
	return all
}

// usualOrder is that of methods on a page.
var usualOrder = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}

func methodsOf(item *openapi3.PathItem) []string {
	var all []string
	for method := range item.Operations() {
		all = append(all, method)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(usualOrder, a), slices.Index(usualOrder, b)), cmp.Compare(a, b))
	})
	return all
}

// operation is an operation as routes, one for each base path that its servers
// have.
func (i *importing) operation(path, method string, item *openapi3.PathItem) []string {
	op := item.GetOperation(method)
	what := method + " " + path
	if len(op.Callbacks) > 0 {
		i.note("%s: its callbacks are no routes: they go from the service to its clients", what)
	}
	pattern, wider, rule := pathOf(path)
	if wider {
		i.note("%s: takes more than the document says: a variable is a whole segment here", what)
	}
	var all []string
	for _, s := range i.serversOf(item, op) {
		r := route{
			what: what, name: i.name(op, method, path), method: method, hosts: s.hosts, path: s.base + pattern, summary: op.Summary, deprecated: op.Deprecated,
			backend: i.backend.Name, rewrite: i.backend.rewritten(s.base, pattern), stream: streams(op),
		}
		fault := rule
		if method == "TRACE" {
			fault = "the gateway refuses TRACE everywhere"
		}
		if fault == "" {
			if _, err := config.ParsePath(r.path); err != nil {
				fault = "its path " + err.Error()
			}
		}
		if fault == "" {
			fault = i.clash(&r)
		}
		if fault == "" {
			r.auth, fault = i.auth(op, what)
		}
		if fault == "" {
			r.validation = i.validation(op, what)
		}
		all = append(all, i.write(r, fault))
	}
	return all
}

// write is a route, or where it cannot be one, why not.
func (i *importing) write(r route, fault string) string {
	if fault == "" {
		i.written++
		i.taken[r.requests()] = r.name
		return r.text()
	}
	i.left++
	i.note("%s is no route: %s", r.what, fault)
	return "  # " + r.what + " is no route: " + oneLine(fault) + "\n"
}

// clash is why a route would take the very requests that another does.
func (i *importing) clash(r *route) string {
	if other := i.taken[r.requests()]; other != "" {
		return "its requests are those of the route " + other
	}
	return ""
}

// page is the whole config.
func (i *importing) page(routes []string) []byte {
	var b strings.Builder
	title := "an API"
	if i.doc.Info != nil && i.doc.Info.Title != "" {
		title = i.doc.Info.Title
	}
	fmt.Fprintf(&b, "# %s, written by gatewright import openapi from %s (OpenAPI %s).\n", oneLine(title), oneLine(i.options.Source), oneLine(i.doc.OpenAPI))
	if len(i.notes) > 0 {
		b.WriteString("#\n# What the document does not say, or says and this gateway cannot:\n")
		for _, note := range i.notes {
			b.WriteString("# - " + oneLine(note) + "\n")
		}
	}
	b.WriteString("\nlisteners:\n" + i.options.Listener.text() + "\nbackends:\n" + i.backend.text())
	b.WriteString(i.providers.text())
	b.WriteString(i.documentText())
	b.WriteString("\nroutes:\n")
	if i.written == 0 {
		// There is no config without a route.
		b.WriteString("  - {name: nothing, match: {path: /**}, auth: public, respond: {status: 404}}\n")
	}
	b.WriteString(strings.Join(routes, ""))
	return []byte(b.String())
}

// oneLine is a text for a comment.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 || r == 0x2028 || r == 0x2029 || r >= 0xFFFE || r == 0xFEFF {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
}
