package openapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Validator holds requests to a document. It is never changed.
type Validator struct {
	// operations are all, by the number of slashes in their paths, and those of one
	// number in the order in which they are looked at.
	operations map[int][]*operation
}

// operation is one of a document's, at one of its servers' base paths.
type operation struct {
	method, path string
	pattern      *regexp.Regexp
	variables    []string
	parameters   []*openapi3.Parameter
	body         *openapi3.RequestBody
	// slow are the media types of the body whose schemas need the slow validator.
	slow map[*openapi3.MediaType]bool
	// circular are those whose schemas contain themselves.
	circular map[*openapi3.MediaType]bool
	route    *routers.Route
}

// Request is a request as a client has sent it.
type Request struct {
	Method string
	// Path has the query.
	Path   string
	Header http.Header
	Body   []byte
}

// Fault is what a request breaks. It never has a value of the request's.
type Fault struct {
	// In is path, query, header, cookie or body.
	In string
	// Name is the parameter's, where it is one.
	Name string
	// Pointer is the place in a body of JSON (RFC 6901); empty is all of it.
	Pointer string
	// Rule says what must be, in words.
	Rule string
}

// String is the fault in a line.
func (f *Fault) String() string {
	text := "the " + f.In
	if f.Name != "" {
		text += " parameter " + f.Name
	}
	if f.Pointer != "" {
		text += " at " + f.Pointer
	}
	return text + " " + f.Rule
}

// Compile makes a validator of a document that Load has read. The error is the rule
// that the document breaks.
func Compile(doc *openapi3.T) (*Validator, error) {
	v := &Validator{operations: map[int][]*operation{}}
	if doc.Paths == nil || doc.Paths.Len() == 0 {
		return nil, errors.New("must have a path")
	}
	for _, path := range doc.Paths.Keys() {
		item := doc.Paths.Value(path)
		for method, op := range item.Operations() {
			for _, base := range bases(doc, item, op) {
				o := newOperation(doc, method, base+path, item, op)
				if o.endless() {
					return nil, fmt.Errorf("%s %s has a schema that is applied to its own value by way of itself: it would never be validated", method, path)
				}
				n := strings.Count(o.path, "/")
				v.operations[n] = append(v.operations[n], o)
			}
		}
	}
	for _, list := range v.operations {
		slices.SortFunc(list, func(a, b *operation) int {
			return cmp.Or(comparePaths(a.path, b.path), cmp.Compare(a.method, b.method))
		})
	}
	return v, nil
}

// comparePaths puts a literal before a variable, at the first segment in which two
// paths differ in that.
func comparePaths(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(x), len(y)) {
		if d := cmp.Compare(strings.Count(x[i], "{"), strings.Count(y[i], "{")); d != 0 {
			return d
		}
	}
	return cmp.Compare(a, b)
}

var variableForm = regexp.MustCompile(`\{([^}]*)\}`)

func newOperation(doc *openapi3.T, method, path string, item *openapi3.PathItem, op *openapi3.Operation) *operation {
	o := &operation{method: method, path: path, route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}}
	expression := "^"
	rest := path
	for _, at := range variableForm.FindAllStringSubmatchIndex(path, -1) {
		before := path[len(path)-len(rest) : at[0]]
		expression += regexp.QuoteMeta(before) + "([^/]+)"
		o.variables = append(o.variables, path[at[2]:at[3]])
		rest = path[at[1]:]
	}
	o.pattern = regexp.MustCompile(expression + regexp.QuoteMeta(rest) + "$")
	for _, p := range item.Parameters {
		if p.Value != nil && op.Parameters.GetByInAndName(p.Value.In, p.Value.Name) == nil {
			o.parameters = append(o.parameters, p.Value)
		}
	}
	for _, p := range op.Parameters {
		if p.Value != nil {
			o.parameters = append(o.parameters, p.Value)
		}
	}
	if op.RequestBody != nil {
		o.body = op.RequestBody.Value
	}
	if o.body != nil {
		o.circular = map[*openapi3.MediaType]bool{}
		for _, media := range o.body.Content {
			o.circular[media] = media != nil && containsItself(media.Schema)
		}
	}
	if o.body != nil && doc.IsOpenAPI31OrLater() {
		o.slow = map[*openapi3.MediaType]bool{}
		for _, media := range o.body.Content {
			o.slow[media] = media != nil && media.Schema != nil && needs2020(media.Schema)
		}
	}
	return o
}

// endless tells of a schema of the operation that no validator would come to an end of.
func (o *operation) endless() bool {
	for _, p := range o.parameters {
		if appliesItself(p.Schema) {
			return true
		}
	}
	if o.body == nil {
		return false
	}
	for _, media := range o.body.Content {
		if media != nil && appliesItself(media.Schema) {
			return true
		}
	}
	return false
}

// Operation is the document's word for a request: its method and path there. Empty
// is none.
func (v *Validator) Operation(method, path string) string {
	o, _, _ := v.find(method, path)
	if o == nil {
		return ""
	}
	return o.method + " " + o.path
}

// find is the operation of a request, with its variables decoded; others are the
// methods that its path has.
func (v *Validator) find(method, path string) (found *operation, values map[string]string, others []string) {
	path, _, _ = strings.Cut(path, "?")
	for _, o := range v.operations[strings.Count(path, "/")] {
		m := o.pattern.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		if o.method != method {
			others = append(others, o.method)
			continue
		}
		values = map[string]string{}
		for i, name := range o.variables {
			value, err := url.PathUnescape(m[i+1])
			if err != nil {
				value = m[i+1]
			}
			values[name] = value
		}
		return o, values, nil
	}
	return nil, nil, others
}

// NeedsBody tells whether the document says anything of the body of some request.
func (v *Validator) NeedsBody() bool {
	for _, list := range v.operations {
		if slices.ContainsFunc(list, func(o *operation) bool { return o.body != nil }) {
			return true
		}
	}
	return false
}

// TakesBody tells whether the document has a body for the requests of an operation.
// False where there is no such operation.
func (v *Validator) TakesBody(method, path string) bool {
	o, _, _ := v.find(method, path)
	return o != nil && o.body != nil
}

// Validate is what a request breaks; nil where it is as the document says.
func (v *Validator) Validate(ctx context.Context, r *Request) *Fault {
	o, variables, others := v.find(r.Method, r.Path)
	switch {
	case o == nil && len(others) > 0:
		return &Fault{In: "path", Rule: "has no operation by " + r.Method + " in the document"}
	case o == nil:
		return &Fault{In: "path", Rule: "is none of the document's"}
	}
	_, rawQuery, _ := strings.Cut(r.Path, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return &Fault{In: "query", Rule: "must be well-formed"}
	}
	input := &openapi3filter.RequestValidationInput{
		Request:    &http.Request{Method: r.Method, URL: &url.URL{Path: "/", RawQuery: rawQuery}, Header: r.Header},
		PathParams: variables, QueryParams: query, Route: o.route,
		Options: &openapi3filter.Options{SkipSettingDefaults: true},
	}
	for _, p := range o.parameters {
		if err := openapi3filter.ValidateParameter(ctx, input, p); err != nil {
			return &Fault{In: p.In, Name: p.Name, Rule: ruleOf(err)}
		}
	}
	return o.validateBody(r)
}

// validateBody holds a body to its media type, and one of JSON to its schema.
func (o *operation) validateBody(r *Request) *Fault {
	switch {
	case o.body == nil && len(r.Body) > 0:
		return bodyFault(nil, "must not be there: the document has none")
	case o.body == nil:
		return nil
	case len(r.Body) == 0 && o.body.Required:
		return bodyFault(nil, "is required")
	case len(r.Body) == 0 || len(o.body.Content) == 0:
		return nil
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &Fault{In: "header", Name: "Content-Encoding", Rule: "must not be there: what is compressed cannot be validated"}
	}
	contentType := r.Header.Get("Content-Type")
	media := o.body.Content.Get(contentType)
	if media == nil || len(r.Header.Values("Content-Type")) > 1 {
		return &Fault{In: "header", Name: "Content-Type", Rule: "must be one that the document has"}
	}
	if !isJSON(contentType) || media.Schema == nil {
		return nil
	}
	value, fault := decode(r.Body)
	if fault != nil {
		return fault
	}
	if o.circular[media] && tooDear(media.Schema.Value, value, o.slow[media]) {
		return bodyFault(nil, "nests too deep, or is too large, for its schema, which contains itself")
	}
	options := []openapi3.SchemaValidationOption{openapi3.VisitAsRequest()}
	if o.slow[media] {
		options = append(options, openapi3.EnableJSONSchema2020())
	}
	if err := media.Schema.Value.VisitJSON(value, options...); err != nil {
		return bodyFault(placeOf(err), ruleOf(err))
	}
	return nil
}

func isJSON(contentType string) bool {
	base, _, _ := strings.Cut(contentType, ";")
	base = strings.ToLower(strings.TrimSpace(base))
	return base == "application/json" || strings.HasSuffix(base, "+json")
}

// needs2020 tells a schema with keywords of JSON Schema 2020-12 that the library has
// a validator of its own for, which it compiles for each value: ten times the price.
func needs2020(schema *openapi3.SchemaRef) bool {
	found := errors.New("found")
	return schema.WalkSubtree(func(_ string, ref *openapi3.SchemaRef) error {
		if s := ref.Value; s != nil && (s.Const != nil || len(s.PrefixItems) != 0 || s.Contains != nil || len(s.PatternProperties) != 0 ||
			len(s.DependentSchemas) != 0 || s.PropertyNames != nil || s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil ||
			s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil || s.If != nil || s.Then != nil || s.Else != nil ||
			len(s.DependentRequired) != 0 || len(s.Defs) != 0) {
			return found
		}
		return nil
	}) != nil
}
