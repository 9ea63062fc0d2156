package diff

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
)

// way is one way into a policy: requirements that must all hold.
type way []*authz.Requirement

// waysIn are all ways into a policy: each of AnyOf, with all of AllOf.
func waysIn(p *authz.Policy) []way {
	var all way
	for i := range p.AllOf {
		all = append(all, &p.AllOf[i])
	}
	if len(p.AnyOf) == 0 {
		return []way{all}
	}
	ways := make([]way, len(p.AnyOf))
	for i := range p.AnyOf {
		ways[i] = append(way{&p.AnyOf[i]}, all...)
	}
	return ways
}

// asksFor tells whether whoever comes in by the way satisfies a requirement.
func (w way) asksFor(q *authz.Requirement) bool {
	return slices.ContainsFunc(w, func(asked *authz.Requirement) bool { return asksAtLeast(asked, q) })
}

// String is the way in words.
func (w way) String() string {
	var all []string
	for _, q := range w {
		all = append(all, wayText(q))
	}
	return strings.Join(all, " and ")
}

// newWaysIn are what somebody may come in by, or without, who could not come
// into the policy before. That several credentials must be of one caller is
// asked of those that remain as it was before: each names whom it did. Those in
// shadow are no ways: they let nobody in, and keep nobody out.
func newWaysIn(before, after *authz.Policy) []string {
	if before.Public() {
		return nil
	}
	if after.Public() && len(after.Shadow) > 0 {
		return []string{"everybody passes now: all that it asks for is in shadow"}
	}
	if after.Public() {
		return []string{"it is public now"}
	}
	var all []string
	if after.AllowAnonymous && !before.AllowAnonymous {
		all = append(all, "new way in: without a credential")
	}
	ways := waysIn(after)
	for i := range before.AllOf {
		q := &before.AllOf[i]
		if slices.ContainsFunc(ways, func(w way) bool { return !w.asksFor(q) }) {
			all = append(all, "no longer needed by all: "+wayText(q))
		}
	}
	for _, w := range ways {
		asks := func(old authz.Requirement) bool { return w.asksFor(&old) }
		if len(before.AnyOf) > 0 && !slices.ContainsFunc(before.AnyOf, asks) {
			all = append(all, "new way in: "+w.String())
		}
	}
	return all
}

// each are the texts of requirements.
func each(list []authz.Requirement, text func(*authz.Requirement) string) []string {
	var all []string
	for i := range list {
		all = append(all, text(&list[i]))
	}
	return all
}

// askedText is what a route asks for, in words, in which "and" binds closer
// than "or".
func askedText(anyOf, allOf []string, anonymous bool) string {
	ways := anyOf
	if len(allOf) > 0 {
		one := strings.Join(anyOf, " or ")
		switch {
		case len(anyOf) > 1:
			allOf = append([]string{"(" + one + ")"}, allOf...)
		case len(anyOf) == 1:
			allOf = append([]string{one}, allOf...)
		}
		ways = []string{strings.Join(allOf, " and ")}
	}
	if anonymous {
		ways = append(slices.Clone(ways), "anonymous")
	}
	return strings.Join(ways, " or ")
}
