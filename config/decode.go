package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxExpanded is how many values all aliases of a file may stand for together,
// so that a few lines of aliases of aliases do not become a gigabyte.
const maxExpanded = 100_000

// decode makes a Config of a YAML tree. Whatever the tree has that the types
// do not say is reported, and all of it: an unknown field, a wrong type, a
// missing value. What could be read is in the Config either way, so that the
// rules can judge the rest.
func decode(root *yaml.Node, r *report) *Config {
	cfg := new(Config)
	fill(cfg, root, r)
	nameEntries(cfg)
	return cfg
}

// fill reads a tree into the struct that out points to.
func fill(out any, root *yaml.Node, r *report) {
	d := &decoder{report: r, fields: map[reflect.Type][]field{}}
	d.value(root, reflect.ValueOf(out).Elem(), new(place), field{})
}

// nameEntries gives what stands under a name in the file that name.
func nameEntries(cfg *Config) {
	for name, b := range cfg.Backends {
		b.Name = name
		if b.TLS != nil && b.TLS.Certificate != nil {
			b.TLS.Certificate.Name = b.TLS.Certificate.Cert
		}
	}
	for name, j := range cfg.Auth.JWT {
		j.Name = name
	}
	for name, k := range cfg.Auth.APIKey {
		k.Name = name
	}
	for name, i := range cfg.Auth.Introspection {
		i.Name = name
	}
	for name, p := range cfg.Auth.ClientCertificate {
		p.Name = name
	}
	for _, l := range cfg.Listeners {
		if l.TLS != nil {
			for _, c := range l.TLS.Certificates {
				c.Name = c.Cert
			}
		}
	}
	for name, l := range cfg.Limits {
		l.Name = name
	}
	for name, d := range cfg.OpenAPI {
		d.Name = name
	}
}

// maxDepth is how many values may stand in each other. The gateway's own types
// do not contain themselves, and never get there.
const maxDepth = 64

// decoder fills Go values from YAML nodes. How deep it goes is bounded by the
// types, or else by maxDepth, and not by the file.
type decoder struct {
	report *report
	fields map[reflect.Type][]field
	// inAlias is how many aliases the present value stands in, and expanded
	// how many values were read in that way.
	inAlias, expanded int
	// depth is how many values the present one stands in.
	depth int
}

// NodeReader is a value that reads itself, in a language where the decoder is
// stricter than it may be. It is asked for nulls too, and for no alias: the node
// is what the alias stands for.
type NodeReader interface {
	// ReadNode reads the node. The rule is what the node breaks, or "".
	ReadNode(n *yaml.Node) (rule string)
}

// field is what the tags of a struct's field say (see the package comment).
type field struct {
	index                  int
	name, later, hint      string
	required, secret, text bool
	// null: a null is as if the field were not there.
	null bool
}

func (d *decoder) fieldsOf(t reflect.Type) []field {
	if known, ok := d.fields[t]; ok {
		return known
	}
	var fields []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if name := tag.Get("yaml"); name != "-" {
			fields = append(fields, field{
				index: i, name: name, later: tag.Get("later"), hint: tag.Get("hint"),
				required: tag.Get("required") == "true",
				secret:   tag.Get("secret") == "true",
				text:     tag.Get("text") == "true",
				null:     tag.Get("null") == "true",
			})
		}
	}
	d.fields[t] = fields
	return fields
}

// refuse reports a value that cannot be taken, and keeps the rules from it.
func (d *decoder) refuse(at *place, f field, rule string) {
	d.report.distrust(at)
	if f.secret {
		d.report.refuseUnshown(at, rule)
		return
	}
	d.report.refuse(at, rule)
}

// value reads a node into out. f is the struct field that the value is in,
// perhaps as an entry of its list or mapping.
func (d *decoder) value(n *yaml.Node, out reflect.Value, at *place, f field) {
	if out.Kind() == reflect.Pointer { // never nil in a list or map, whatever stands there
		out.Set(reflect.New(out.Type().Elem()))
		out = out.Elem()
	}
	if n.Kind == yaml.AliasNode {
		d.inAlias++
		defer func() { d.inAlias-- }()
		n = n.Alias
	}
	if d.inAlias > 0 && !d.expand(at) {
		return
	}
	d.depth++
	defer func() { d.depth-- }()
	if d.depth > maxDepth {
		d.refuse(at, f, fmt.Sprintf("is nested too deep: at most %d values may stand in each other", maxDepth))
		return
	}
	if reader, ok := out.Addr().Interface().(NodeReader); ok {
		d.obey(at, f, reader.ReadNode(n))
		return
	}
	if isNull(n) {
		d.refuse(at, f, "must have a value: give one, or take the field out")
		return
	}
	switch out.Interface().(type) { // written otherwise than Go lays them out
	case Duration:
		d.duration(n, out, at, f)
		return
	case Rate:
		d.rate(n, out, at, f)
		return
	case RouteAuth:
		d.routeAuth(n, out, at, f)
		return
	case ValueMatch:
		d.valueMatch(n, out, at, f)
		return
	case Cost:
		d.cost(n, out, at, f)
		return
	case Endpoint:
		d.shortOr(n, out, "Address", at, f)
		return
	case LoadBalancing:
		d.shortOr(n, out, "Policy", at, f)
		return
	case Compress:
		d.compress(n, out, at, f)
		return
	case HTTPSRedirect:
		d.httpsRedirect(n, out, at, f)
		return
	}
	switch out.Kind() {
	case reflect.Struct:
		d.structure(n, out, at, f)
	case reflect.Map:
		d.mapping(n, out, at, f)
	case reflect.Slice:
		d.list(n, out, at, f)
	default:
		d.scalar(n, out, at, f)
	}
}

// expand counts a value that an alias stands for, and tells whether it may be
// read. With too many of them nothing of the file is judged any further.
func (d *decoder) expand(at *place) bool {
	d.expanded++
	if d.expanded == maxExpanded+1 {
		d.report.refuseUnshown(at, fmt.Sprintf("the aliases of the file stand for more than %d values", maxExpanded))
		d.report.distrust(new(place))
	}
	return d.expanded <= maxExpanded
}

func (d *decoder) structure(n *yaml.Node, out reflect.Value, at *place, f field) {
	if !d.is(n, mappingNode, at, f) {
		return
	}
	fields := d.fieldsOf(out.Type())
	for key, value := range d.entries(n, at) {
		f, ok := fieldNamed(fields, key.Value)
		switch {
		case !ok:
			d.unknown(key, at, fields)
		case f.later != "":
			d.report.distrust(at.key(f.name))
			d.report.refuseUnshown(at.key(f.name), "not yet supported: "+f.later)
		case f.null && isNull(target(value)):
		default:
			d.value(value, out.Field(f.index), at.key(f.name), f)
			d.notEmpty(out.Field(f.index), at.key(f.name), f)
		}
	}
	for _, f := range fields {
		if key, _ := child(n, f.name); f.required && key == nil {
			d.missing(at.key(f.name), f)
		}
	}
}

func fieldNamed(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// unknown reports a key that no field has. The field that was most likely
// meant is not judged: what it lacks stands under the wrong name.
func (d *decoder) unknown(key *yaml.Node, at *place, fields []field) {
	if d.report.full() {
		return
	}
	var all, supported []string
	for _, f := range fields {
		all = append(all, f.name)
		if f.later == "" {
			supported = append(supported, f.name)
		}
	}
	rule := "unknown field"
	if meant := nearest(key.Value, all); meant != "" {
		d.report.distrust(at.key(meant))
		rule += ", did you mean " + quoted(meant) + "?"
	} else {
		rule += d.report.suggestion(", ", key.Value, supported)
	}
	d.report.distrust(at.key(key.Value))
	d.report.add(Fault{Line: key.Line, Path: at.key(key.Value).String(), Rule: rule})
}

// missing reports a required field that is not there.
func (d *decoder) missing(at *place, f field) {
	if !d.report.found(at) {
		return // there under a wrong name
	}
	rule := "is missing"
	if f.hint != "" {
		rule += ": " + f.hint
	}
	d.refuse(at, f, rule)
}

// notEmpty reports a field that is there for nothing: a word without letters,
// or nothing in what is required. A zero is for the rules to judge.
func (d *decoder) notEmpty(out reflect.Value, at *place, f field) {
	empty := false
	switch out.Kind() {
	case reflect.String:
		empty = out.Len() == 0 && !f.text
	case reflect.Slice, reflect.Map:
		empty = out.Len() == 0 && f.required
	default:
	}
	if empty && d.report.trusted(at) {
		d.refuse(at, f, "must not be empty")
	}
}

func (d *decoder) mapping(n *yaml.Node, out reflect.Value, at *place, f field) {
	if !d.is(n, mappingNode, at, f) {
		return
	}
	out.Set(reflect.MakeMapWithSize(out.Type(), len(n.Content)/2))
	for key, node := range d.entries(n, at) {
		value := reflect.New(out.Type().Elem()).Elem()
		d.value(node, value, at.key(key.Value), f)
		out.SetMapIndex(reflect.ValueOf(key.Value), value)
	}
}

func (d *decoder) list(n *yaml.Node, out reflect.Value, at *place, f field) {
	if !d.is(n, listNode, at, f) {
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))
	for i, entry := range n.Content {
		d.value(entry, out.Index(i), at.index(i), f)
	}
}

// entries are the keys and values of a mapping whose keys are sound: words,
// and each there once.
func (d *decoder) entries(n *yaml.Node, at *place) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		lines := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			rule := keyRule(key)
			if first, ok := lines[key.Value]; ok && rule == "" {
				rule = fmt.Sprintf("is given twice, first on line %d", first)
			}
			if rule != "" {
				d.report.distrust(at.key(key.Value))
				d.report.add(Fault{Line: key.Line, Path: at.key(key.Value).String(), Rule: rule})
				continue
			}
			lines[key.Value] = key.Line
			if !yield(key, n.Content[i+1]) {
				return
			}
		}
	}
}

// keyRule is the rule that a key of any mapping breaks, or "".
func keyRule(key *yaml.Node) string {
	switch {
	case key.ShortTag() == "!!merge":
		return "merge keys are not supported: write the fields out, or give a whole value by an alias"
	case key.Kind == yaml.AliasNode:
		return "a key must be written out, not be an alias"
	case key.Kind != yaml.ScalarNode:
		return "a key must be a string, not " + kindOf(key).String()
	case key.ShortTag() != "!!str":
		return "a key must be a string, not " + kindOf(key).String() + ": write it in quotes"
	case strings.ContainsFunc(key.Value, unprintable):
		return "a key must not contain control characters"
	}
	return ""
}
