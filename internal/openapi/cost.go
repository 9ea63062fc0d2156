package openapi

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// A schema that contains itself in several branches of a oneOf has each branch tried at
// each level of a value: some hundred bytes that nest may be tried billions of times.
// So what a value can cost is bounded before it is validated: by how many pairs of a schema
// and a value there are to look at, where nothing ends it earlier.

const (
	// costPerValue is what may be spent on each value of a body on the average, freeCost
	// on any body, and maxCost at the most. The unit is a visit of a schema that fits,
	// about a microsecond.
	costPerValue = 128
	freeCost     = 20_000
	maxCost      = 1_500_000
	// branchCost is what a branch is beyond that: where it does not fit, the library
	// writes an error, for nothing.
	branchCost = 15
	// slowFactor is what a visit of the slow validator costs of the other's.
	slowFactor = 10
)

// tooDear tells a value that could cost more than is allowed.
func tooDear(schema *openapi3.Schema, value any, slow bool) bool {
	left := min(freeCost+costPerValue*countValues(value), maxCost)
	if slow {
		left /= slowFactor
	}
	b := budget{left: left, looks: &left}
	b.visit(schema, value)
	return b.left < 0
}

func countValues(value any) int {
	n := 1
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			n += countValues(inner)
		}
	case []any:
		for _, inner := range v {
			n += countValues(inner)
		}
	}
	return n
}

// budget is what is left to spend. Once it is used up nothing is looked at.
type budget struct {
	left int
	// looks is how often one may still look, to find out.
	looks *int
}

func (b *budget) visit(s *openapi3.Schema, value any) {
	b.left--
	if *b.looks--; *b.looks < 0 {
		b.left = -1
	}
	if s == nil || b.left < 0 {
		return
	}
	b.branches(s, value)
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			b.property(s, name, inner)
		}
	case []any:
		for i, inner := range v {
			if i < len(s.PrefixItems) {
				b.ref(s.PrefixItems[i], inner)
			} else {
				b.ref(s.Items, inner)
			}
			b.ref(s.Contains, inner)
			b.ref(s.UnevaluatedItems.Schema, inner)
		}
	}
}

// branches are those that look at the same value. Where a discriminator has a mapping
// one of oneOf does: the dearest.
func (b *budget) branches(s *openapi3.Schema, value any) {
	if s.Discriminator != nil && len(s.Discriminator.Mapping) > 0 {
		b.dearest(s.OneOf, value)
	} else {
		b.each(s.OneOf, value)
	}
	b.each(s.AnyOf, value)
	b.each(openapi3.SchemaRefs{s.Not, s.If, s.Then, s.Else}, value)
	for _, ref := range s.AllOf {
		b.ref(ref, value)
	}
	for _, ref := range s.DependentSchemas {
		b.ref(ref, value)
	}
}

func (b *budget) each(refs openapi3.SchemaRefs, value any) {
	for _, ref := range refs {
		b.branch(ref, value)
	}
}

func (b *budget) branch(ref *openapi3.SchemaRef, value any) {
	if ref != nil {
		b.left -= branchCost
		b.ref(ref, value)
	}
}

func (b *budget) dearest(refs openapi3.SchemaRefs, value any) {
	least := b.left
	for _, ref := range refs {
		alone := budget{left: b.left, looks: b.looks}
		alone.branch(ref, value)
		if least = min(least, alone.left); least < 0 {
			break
		}
	}
	b.left = least
}

func (b *budget) property(s *openapi3.Schema, name string, value any) {
	if ref, ok := s.Properties[name]; ok {
		b.ref(ref, value)
	} else {
		b.ref(s.AdditionalProperties.Schema, value)
	}
	for _, ref := range s.PatternProperties {
		b.ref(ref, value)
	}
	b.ref(s.UnevaluatedProperties.Schema, value)
}

func (b *budget) ref(ref *openapi3.SchemaRef, value any) {
	if ref != nil && b.left >= 0 {
		b.visit(ref.Value, value)
	}
}

// containsItself tells a schema from which a way leads back to a schema on it: of others
// the cost is that of the document, whatever is sent.
func containsItself(ref *openapi3.SchemaRef) bool {
	way := way{inner: within, on: map[*openapi3.Schema]bool{}, done: map[*openapi3.Schema]bool{}}
	return way.leadsBack(ref)
}

// appliesItself tells a schema with one in it that is applied to the very value that it
// is applied to: no validator of it would ever end.
func appliesItself(ref *openapi3.SchemaRef) bool {
	same := way{inner: ofSameValue, on: map[*openapi3.Schema]bool{}, done: map[*openapi3.Schema]bool{}}
	seen := map[*openapi3.Schema]bool{}
	var somewhere func(ref *openapi3.SchemaRef) bool
	somewhere = func(ref *openapi3.SchemaRef) bool {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return false
		}
		seen[ref.Value] = true
		return same.leadsBack(ref) || slices.ContainsFunc(within(ref.Value), somewhere)
	}
	return somewhere(ref)
}

// way is a search for a schema from which one comes back to it.
type way struct {
	// inner are the schemas that one leads to.
	inner func(*openapi3.Schema) []*openapi3.SchemaRef
	// on are the schemas on the way here, and done those from which nothing leads back.
	on, done map[*openapi3.Schema]bool
}

func (w *way) leadsBack(ref *openapi3.SchemaRef) bool {
	if ref == nil || ref.Value == nil || w.done[ref.Value] {
		return false
	}
	s := ref.Value
	if w.on[s] {
		return true
	}
	w.on[s] = true
	if slices.ContainsFunc(w.inner(s), w.leadsBack) {
		return true
	}
	delete(w.on, s)
	w.done[s] = true
	return false
}

// ofSameValue are the schemas that a schema applies to its own value.
func ofSameValue(s *openapi3.Schema) []*openapi3.SchemaRef {
	all := slices.Concat(s.OneOf, s.AnyOf, s.AllOf, openapi3.SchemaRefs{s.Not, s.If, s.Then, s.Else})
	for _, ref := range s.DependentSchemas {
		all = append(all, ref)
	}
	return all
}

// within are the schemas that a schema applies, to its own value and to those in it.
func within(s *openapi3.Schema) []*openapi3.SchemaRef {
	all := slices.Concat(ofSameValue(s), s.PrefixItems, openapi3.SchemaRefs{
		s.Items, s.Contains, s.AdditionalProperties.Schema, s.UnevaluatedItems.Schema, s.UnevaluatedProperties.Schema,
	})
	for _, refs := range []openapi3.Schemas{s.Properties, s.PatternProperties} {
		for _, ref := range refs {
			all = append(all, ref)
		}
	}
	return all
}
