package diff

import (
	"cmp"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// field is a place in a request: a header, in lower case, or a query parameter.
type field struct {
	query bool
	name  string
}

func (f field) compare(other field) int {
	if f.query != other.query {
		return map[bool]int{false: -1, true: 1}[f.query]
	}
	return cmp.Compare(f.name, other.name)
}

// values are those of fields; a field without one is not there.
type values map[field]string

func conditions(r *config.Route) map[field]config.ValueMatch {
	if len(r.Match.Headers)+len(r.Match.Query) == 0 {
		return nil
	}
	all := make(map[field]config.ValueMatch, len(r.Match.Headers)+len(r.Match.Query))
	for name, want := range r.Match.Headers {
		all[field{false, strings.ToLower(name)}] = want
	}
	for name, want := range r.Match.Query {
		all[field{true, name}] = want
	}
	return all
}

// maxOthers is of how many fields that neither of two routes asks for each
// combination is tried; of more, all of them are there or none, or all but one.
const maxOthers = 6

// values gives to visit what fields may hold so that the conditions of two
// routes do, until visit wants no more.
func (w *witnesses) values(a, b map[field]config.ValueMatch, visit func(values) bool) {
	var asked, others []field
	for _, f := range w.named {
		_, inA := a[f]
		_, inB := b[f]
		if inA || inB {
			asked = append(asked, f)
		} else {
			others = append(others, f)
		}
	}
	choices := make([][]*string, len(asked))
	for i, f := range asked {
		choices[i] = w.choices(f, a, b)
	}
	combinations(choices, func(chosen []*string) bool {
		v := values{}
		v.set(asked, chosen)
		return w.withOthers(v, others, visit)
	})
}

func (v values) set(fields []field, chosen []*string) {
	for i, f := range fields {
		delete(v, f)
		if chosen[i] != nil {
			v[f] = *chosen[i]
		}
	}
}

// withOthers gives values with each of the other fields there or not.
func (w *witnesses) withOthers(v values, others []field, visit func(values) bool) bool {
	there := unnamedValue
	if len(others) <= maxOthers {
		return combinations(slices.Repeat([][]*string{{nil, &there}}, len(others)), func(chosen []*string) bool {
			v.set(others, chosen)
			return visit(v)
		})
	}
	for _, base := range []*string{nil, &there} {
		other := &there
		if base != nil {
			other = nil
		}
		for odd := -1; odd < len(others); odd++ {
			chosen := slices.Repeat([]*string{base}, len(others))
			if odd >= 0 {
				chosen[odd] = other
			}
			v.set(others, chosen)
			if !visit(v) {
				return false
			}
		}
	}
	return true
}

// combinations gives each way to choose one of each, until visit wants no more.
func combinations(choices [][]*string, visit func([]*string) bool) bool {
	chosen := make([]*string, len(choices))
	var choose func(i int) bool
	choose = func(i int) bool {
		if i == len(choices) {
			return visit(chosen)
		}
		for _, c := range choices[i] {
			chosen[i] = c
			if !choose(i + 1) {
				return false
			}
		}
		return true
	}
	return choose(0)
}

// unnamedValue is a value that no config names.
const unnamedValue = "any-value"

// choices are the values of a field, nil for none, that hold for both routes:
// nothing, what nobody names, and whatever some route names.
func (w *witnesses) choices(f field, a, b map[field]config.ValueMatch) []*string {
	holds := func(value string, there bool) bool {
		for _, m := range []map[field]config.ValueMatch{a, b} {
			if want, asked := m[f]; asked && !routing.Holds(want, value, there) {
				return false
			}
		}
		return true
	}
	var out []*string
	if holds("", false) {
		out = append(out, nil)
	}
	for _, name := range w.examples[f] {
		if holds(name, true) && len(out) < maxChoices {
			out = append(out, &name)
		}
	}
	return out
}

// maxChoices bounds how many values of one field are tried.
const maxChoices = 24

// examples are values that fit what is wanted.
func examples(want config.ValueMatch) []string {
	switch {
	case want.Absent, want.Present:
		return nil
	case want.Prefix != "":
		return []string{want.Prefix, want.Prefix + unnamedValue}
	case want.Regex != "":
		return fitting(want.Regex)
	}
	return []string{want.Exact}
}

// fitting are some texts that fit an expression, a short one for each of its
// first branches.
func fitting(regex string) []string {
	tree, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return nil
	}
	return texted(tree.Simplify())
}

// maxBranches is how many texts are made of one expression.
const maxBranches = 8

func texted(t *syntax.Regexp) []string {
	switch t.Op {
	case syntax.OpLiteral:
		return []string{string(t.Rune)}
	case syntax.OpCharClass:
		var out []string
		for i := 0; i < len(t.Rune) && len(out) < maxBranches; i += 2 {
			out = append(out, string(t.Rune[i]), string(t.Rune[i+1]))
		}
		return out
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"a"}
	case syntax.OpCapture, syntax.OpPlus:
		return texted(t.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		return append([]string{""}, texted(t.Sub[0])...)
	case syntax.OpRepeat:
		return append([]string{""}, repeated(texted(t.Sub[0]), t.Min)...)
	case syntax.OpAlternate:
		var out []string
		for _, sub := range t.Sub {
			out = append(out, texted(sub)...)
		}
		return first(out)
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range t.Sub {
			out = joined(out, texted(sub))
		}
		return out
	}
	return []string{""}
}

func repeated(texts []string, times int) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strings.Repeat(text, times)
	}
	return out
}

func joined(heads, tails []string) []string {
	var out []string
	for _, head := range heads {
		for _, tail := range tails {
			out = append(out, head+tail)
		}
	}
	return first(out)
}

func first(all []string) []string { return all[:min(len(all), maxBranches)] }

// headers are those of the values.
func (v values) headers() map[string]string {
	var out map[string]string
	for f, value := range v {
		if !f.query {
			if out == nil {
				out = map[string]string{}
			}
			out[f.name] = value
		}
	}
	return out
}

// query is the query of the values. It is not ok where no query says them.
func (v values) query() (query string, ok bool) {
	var pairs []string
	for _, f := range slices.SortedFunc(maps.Keys(v), field.compare) {
		if !f.query {
			continue
		}
		if strings.ContainsAny(f.name, "&=#") || strings.ContainsAny(v[f], "&#") {
			return "", false
		}
		pairs = append(pairs, f.name+"="+v[f])
	}
	if len(pairs) == 0 {
		return "", true
	}
	return "?" + strings.Join(pairs, "&"), true
}
