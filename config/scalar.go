package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// kind is what a YAML node is, by its resolved tag: !!str, !!map and so on.
type kind string

const (
	mappingNode kind = "!!map"
	listNode    kind = "!!seq"
	stringNode  kind = "!!str"
	integerNode kind = "!!int"
	numberNode  kind = "!!float"
	boolNode    kind = "!!bool"
)

// kindWords are the kinds as a reader of YAML calls them.
var kindWords = map[kind]string{
	mappingNode:   "a mapping",
	listNode:      "a list",
	stringNode:    "a string",
	integerNode:   "an integer",
	numberNode:    "a number",
	boolNode:      "true or false",
	"!!null":      "null",
	"!!timestamp": "a date",
}

func (k kind) String() string {
	if words, ok := kindWords[k]; ok {
		return words
	}
	return "a value tagged " + shown(string(k))
}

func kindOf(n *yaml.Node) kind { return kind(target(n).ShortTag()) }

// is tells whether a node is of a kind, and reports it where it is not.
func (d *decoder) is(n *yaml.Node, want kind, at *place, f field) bool {
	got := kindOf(n)
	// A tag may claim what the node is not: !!map on a list.
	if got == want && (want == mappingNode) == (n.Kind == yaml.MappingNode) && (want == listNode) == (n.Kind == yaml.SequenceNode) {
		return true
	}
	rule := fmt.Sprintf("must be %s, not %s", want, got)
	if want == stringNode && n.Kind == yaml.ScalarNode {
		rule += ": write it in quotes"
	}
	d.refuse(at, f, rule)
	return false
}

// scalar reads a single value of one of Go's own kinds.
func (d *decoder) scalar(n *yaml.Node, out reflect.Value, at *place, f field) {
	switch out.Kind() {
	case reflect.String:
		if d.is(n, stringNode, at, f) && d.obey(at, f, stringRule(n.Value, f.text)) {
			out.SetString(n.Value)
		}
	case reflect.Bool:
		if d.is(n, boolNode, at, f) {
			out.SetBool(strings.EqualFold(n.Value, "true"))
		}
	case reflect.Int, reflect.Int64:
		value, rule := integer(n)
		if d.obey(at, f, rule) {
			out.SetInt(value)
		}
	case reflect.Float64:
		value, rule := number(n)
		if d.obey(at, f, rule) {
			out.SetFloat(value)
		}
	default:
		// Only a new field of the model can come here, and its first test.
		d.refuse(at, f, "has a type that the decoder does not know: "+out.Type().String())
	}
}

// obey reports a rule that is broken, and tells whether none is ("").
func (d *decoder) obey(at *place, f field, rule string) bool {
	if rule != "" {
		d.refuse(at, f, rule)
	}
	return rule == ""
}

// stringRule is the rule that a string breaks: no control characters, but for
// the breaks and tabs of a text.
func stringRule(s string, text bool) string {
	for _, r := range s {
		if unprintable(r) && !(text && strings.ContainsRune("\n\r\t", r)) {
			return fmt.Sprintf("must not contain the control character %U", r)
		}
	}
	return ""
}

// unprintable are the control characters, and what some programs take for the
// end of a line.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029
}

var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

func integer(n *yaml.Node) (int64, string) {
	plain := n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0
	got := kindOf(n)
	switch {
	case plain && (got == integerNode || got == numberNode) && decimal.MatchString(n.Value):
		value, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil {
			return 0, fmt.Sprintf("must be from %d to %d", math.MinInt64, math.MaxInt64)
		}
		return value, ""
	case got == integerNode:
		return 0, "must be an integer in decimal digits"
	case got == numberNode:
		return 0, "must be an integer, not a number with a fraction or an exponent"
	}
	return 0, fmt.Sprintf("must be %s, not %s", integerNode, got)
}

func number(n *yaml.Node) (float64, string) {
	if got := kindOf(n); got != integerNode && got != numberNode {
		return 0, fmt.Sprintf("must be %s, not %s", numberNode, got)
	}
	value, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
		return 0, "must be a finite number in decimal digits"
	}
	return value, ""
}

func (d *decoder) duration(n *yaml.Node, out reflect.Value, at *place, f field) {
	d.written(n, out, at, f, "a duration needs a unit, as 5s", func(s string) (any, error) { return ParseDuration(s) })
}

func (d *decoder) rate(n *yaml.Node, out reflect.Value, at *place, f field) {
	d.written(n, out, at, f, "a rate needs a time, as 10/s", func(s string) (any, error) { return ParseRate(s) })
}

// written reads a value that has a notation of its own. A bare number lacks
// the half that bare says.
func (d *decoder) written(n *yaml.Node, out reflect.Value, at *place, f field, bare string, parse func(string) (any, error)) {
	text := "" // which no notation is: the error says how it is written
	switch got := kindOf(n); {
	case got == integerNode, got == numberNode:
		d.refuse(at, f, bare)
		return
	case got == stringNode && n.Kind == yaml.ScalarNode:
		text = n.Value
	}
	value, err := parse(text)
	if err != nil {
		d.refuse(at, f, err.Error())
		return
	}
	out.Set(reflect.ValueOf(value))
}

// routeAuth reads the word public, or requirements.
func (d *decoder) routeAuth(n *yaml.Node, out reflect.Value, at *place, f field) {
	switch {
	case n.Kind == yaml.MappingNode:
		d.structure(n, out, at, f)
	case kindOf(n) == stringNode && n.Value == "public":
		out.FieldByName("Public").SetBool(true)
	default:
		d.refuse(at, f, errRouteAuth.Error())
	}
}

// valueMatch reads a text as what the value must equal.
func (d *decoder) valueMatch(n *yaml.Node, out reflect.Value, at *place, f field) {
	if n.Kind != yaml.MappingNode {
		d.scalar(n, out.FieldByName("Exact"), at, f)
		return
	}
	d.structure(n, out, at, f)
	if len(n.Content) != 2 {
		d.refuse(at, f, "must be a text, or have exactly one of exact, prefix, regex, present and absent")
		return
	}
	// A false that is read as if it were not there would ask for an empty value.
	word := n.Content[0].Value
	said := out.Addr().Interface().(*ValueMatch)
	if word == "present" && !said.Present || word == "absent" && !said.Absent {
		if d.report.trusted(at.key(word)) {
			d.refuse(at.key(word), f, "must be true: for the opposite say the other word")
		}
	}
}

// cost reads a number as the cost of every request.
func (d *decoder) cost(n *yaml.Node, out reflect.Value, at *place, f field) {
	d.shortOr(n, out, "Number", at, f)
}

// shortOr reads a mapping, or a single value as the one field that it is short for.
func (d *decoder) shortOr(n *yaml.Node, out reflect.Value, short string, at *place, f field) {
	if n.Kind != yaml.MappingNode {
		d.scalar(n, out.FieldByName(short), at, f)
		return
	}
	d.structure(n, out, at, f)
}

// compress reads true or false, or the fields of a Compress.
func (d *decoder) compress(n *yaml.Node, out reflect.Value, at *place, f field) {
	switch kindOf(n) {
	case boolNode:
		out.FieldByName("Off").SetBool(!strings.EqualFold(n.Value, "true"))
	case mappingNode:
		d.structure(n, out, at, f)
	default:
		d.refuse(at, f, fmt.Sprintf("must be true, false or a mapping, not %s", kindOf(n)))
	}
}

// httpsRedirect reads the word true as a redirect without fields.
func (d *decoder) httpsRedirect(n *yaml.Node, out reflect.Value, at *place, f field) {
	if n.Kind != yaml.ScalarNode {
		d.structure(n, out, at, f)
		return
	}
	var word bool
	d.scalar(n, reflect.ValueOf(&word).Elem(), at, f)
	if !word && d.report.trusted(at) {
		d.obey(at, f, "must be true, or a mapping with port, status or acmeChallenges; without it nothing is redirected")
	}
}

var errRouteAuth = errors.New(`must be the word public, or a mapping with anyOf or allOf`)
