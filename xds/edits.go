package xds

import (
	_ "embed"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// What is made of a request's own parts, Envoy's format language could make in part:
// it encodes nothing for a query, joins no lines, and leaves a client's header where a
// value lacks a part. So a script does it, the same for all routes, which share what
// it is compiled to. What it is to do comes as data, beside it.

//go:embed edits.lua
var editsScript string

// edits is the filter that changes headers, query and host by what is known of the
// request; none where the route needs no such change. late: it stands in the cluster of a
// backend, where each attempt meets it.
func edits(r *config.Route, late bool) []*corev3.TypedExtensionConfig {
	if !editsSomething(r) {
		return nil
	}
	todo := map[string]any{}
	if late {
		todo["late"] = true
	}
	if h := r.Request; h != nil {
		put(todo, "put", varying(r, h))
		put(todo, "rename", renames(h.Rename))
	}
	if h := r.Response; h != nil {
		put(todo, "putInAnswer", varying(r, h))
		put(todo, "renameInAnswer", renames(h.Rename))
	}
	if w := r.Rewrite; w != nil {
		if host, _ := config.ParseTemplate(w.Host); host.Varies() {
			put(todo, "host", parts(r, host))
		}
		if w.Query != nil {
			todo["query"] = queryChanges(r, w.Query)
		}
	}
	context, err := structpb.NewStruct(todo)
	if err != nil {
		panic("xds: edits: " + err.Error()) // strings of a valid config: a bug, not an input
	}
	return []*corev3.TypedExtensionConfig{extension("edits", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: editsScript}},
		FilterContext:     context,
		// The request has been judged by the policy of the route that it has. Envoy
		// would look for another one by what the script has written.
		ClearRouteCache: wrapperspb.Bool(false),
		SharedVmId:      "gatewright.edits",
	})}
}

// editsSomething tells whether a route needs that filter.
func editsSomething(r *config.Route) bool {
	for _, h := range []*config.HeaderChanges{r.Request, r.Response} {
		if h != nil && (len(h.Rename) > 0 || someVary(h.Set) || someVary(h.Add)) {
			return true
		}
	}
	if r.Rewrite == nil {
		return false
	}
	host, _ := config.ParseTemplate(r.Rewrite.Host)
	return r.Rewrite.Query != nil || host.Varies()
}

func someVary(values map[string]string) bool {
	for _, v := range values {
		if t, _ := config.ParseTemplate(v); t.Varies() {
			return true
		}
	}
	return false
}

// put adds a list that has something in it.
func put(todo map[string]any, key string, list []any) {
	if len(list) > 0 {
		todo[key] = list
	}
}

// varying are the headers whose values have variables.
func varying(r *config.Route, h *config.HeaderChanges) []any {
	var out []any
	for _, name := range sortedKeys(h.Set) {
		if v, _ := config.ParseTemplate(h.Set[name]); v.Varies() {
			out = append(out, map[string]any{"name": name, "parts": parts(r, v)})
		}
	}
	for _, name := range sortedKeys(h.Add) {
		if v, _ := config.ParseTemplate(h.Add[name]); v.Varies() {
			out = append(out, map[string]any{"name": name, "add": true, "parts": parts(r, v)})
		}
	}
	return out
}

func renames(names map[string]string) []any {
	var out []any
	for _, from := range sortedKeys(names) {
		out = append(out, map[string]any{"from": from, "to": names[from]})
	}
	return out
}

// queryChanges is what becomes of a query: of what is there first, and then what is
// put behind it.
func queryChanges(r *config.Route, q *config.QueryChanges) map[string]any {
	out := map[string]any{}
	gone := slices.Concat(q.Remove, sortedKeys(q.Set))
	var remove, puts []any
	for _, name := range gone {
		remove = append(remove, name)
	}
	for _, values := range []map[string]string{q.Set, q.Add} {
		for _, name := range sortedKeys(values) {
			v, _ := config.ParseTemplate(values[name])
			puts = append(puts, map[string]any{"name": name, "parts": parts(r, v)})
		}
	}
	put(out, "remove", remove)
	put(out, "rename", renames(q.Rename))
	put(out, "put", puts)
	return out
}

// parts are those of a value, each with the way to it.
func parts(r *config.Route, t config.Template) []any {
	out := []any{}
	for _, p := range t {
		out = append(out, part(r, p))
	}
	return out
}

// headersWith are the headers in which Envoy has what a variable is.
var headersWith = map[string]string{
	"client_ip": "x-envoy-external-address", "host": ":authority", "method": ":method",
	"request_id": "x-request-id", "scheme": ":scheme",
}

func part(r *config.Route, p config.TemplatePart) any {
	way := func(way string, what any) any { return map[string]any{"way": way, "what": what} }
	switch p.Variable {
	case "":
		return way("text", p.Text)
	case "claims", "user", "tenant":
		return way(metadataTold, p.Told())
	case "header", "query":
		return way(p.Variable, p.Name)
	case "path":
		if p.Name == "" {
			return way("path", "")
		}
		return way("segment", segmentOf(r.Match.Path, p.Name))
	case "route":
		return way("text", r.Name)
	case "sni", "tls_subject":
		return way("tls", p.Variable)
	}
	return way("header", headersWith[p.Variable])
}

// segmentOf is which segment of a path a variable is, counted from 1.
func segmentOf(path, variable string) int {
	pattern, _ := config.ParsePath(path)
	return 1 + slices.IndexFunc(pattern.Segments, func(s config.Segment) bool { return s.Variable == variable })
}
