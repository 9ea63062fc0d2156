package authz

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"
)

// Public reports whether the policy asks nothing of a caller that is enforced.
func (p *Policy) Public() bool { return len(p.AnyOf) == 0 && len(p.AllOf) == 0 }

// Requirements are all that the policy enforces: those of AnyOf, then those of
// AllOf.
func (p *Policy) Requirements() iter.Seq[*Requirement] {
	return func(yield func(*Requirement) bool) {
		for i := range p.AnyOf {
			if !yield(&p.AnyOf[i]) {
				return
			}
		}
		for i := range p.AllOf {
			if !yield(&p.AllOf[i]) {
				return
			}
		}
	}
}

// identify returns the caller whom the policy asks for: one of AnyOf, if it has
// any, and beside it all of AllOf. Of those the first that does not hold says
// why. What comes after it is not asked, no key store and no issuer.
func (s *Server) identify(ctx context.Context, shown *credentials, p *Policy, now time.Time) (*caller, *unidentified) {
	var found *caller
	if len(p.AnyOf) > 0 {
		var none *unidentified
		if found, none = s.identifyAny(ctx, shown, p, now); none != nil {
			return nil, none
		}
	}
	if len(p.AllOf) == 0 {
		return found, nil
	}
	together := make([]*caller, 0, 1+len(p.AllOf))
	if found != nil {
		together = append(together, found)
	}
	for i := range p.AllOf {
		q := &p.AllOf[i]
		member, refused := s.satisfy(ctx, shown, q, now)
		if refused != nil {
			return nil, &unidentified{refused, q, cmp.Or(member, found)}
		}
		together = append(together, member)
		found = together[0]
	}
	if other := contradicting(together); other != nil {
		return nil, &unidentified{refuse(ReasonIdentityMismatch), other.by, found}
	}
	found.beside(together[1:])
	return found, nil
}

// contradicting is the first of several callers that speaks of another user or
// another tenant than one before it; nil where they can be one and the same.
// One that names no user, as an API key without an owner, may be anybody's.
func contradicting(together []*caller) *caller {
	user, tenant := "", ""
	for _, c := range together {
		if differ(user, c.vouchedUser()) || differ(tenant, c.Tenant) {
			return c
		}
		user, tenant = cmp.Or(user, c.vouchedUser()), cmp.Or(tenant, c.Tenant)
	}
	return nil
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

// vouchedUser is the user whom the credential names; the id that stands in for
// one where a key has no owner is not, and neither is whose connection it is:
// a partner's service brings requests of that partner's users.
func (c *caller) vouchedUser() string {
	if c.ownerless || c.connection {
		return ""
	}
	return c.User
}

// beside lets others who have been identified with the caller tell the backend
// what the caller does not say. The token stays in the request only if all who
// took it leave it there.
func (c *caller) beside(others []*caller) {
	for _, other := range others {
		for _, h := range other.headers {
			if !slices.ContainsFunc(c.headers, func(set header) bool { return set.name == h.name }) {
				c.headers = append(c.headers, h)
			}
		}
		c.keep = c.keep.and(other.keep)
	}
}

// tokenUse is what becomes of the token in a request that passes.
type tokenUse int

const (
	// notTaken: nobody has verified it, so that it goes.
	notTaken tokenUse = iota
	// keptInRequest: its provider says that the backend is to see it.
	keptInRequest
	// takenOut: its provider does not say so.
	takenOut
)

func (q *Requirement) tokenUse() tokenUse {
	switch {
	case !q.takesToken():
		return notTaken
	case q.keepsToken():
		return keptInRequest
	}
	return takenOut
}

// and is the use of a token of which two have a say.
func (u tokenUse) and(other tokenUse) tokenUse { return max(u, other) }

// examineAll adds what can be said of AllOf to an examination. ways are the
// callers whom AnyOf's findings name, nil where one names none. It returns the
// caller whom the first of AllOf names, if it does.
func (s *Server) examineAll(ctx context.Context, shown *credentials, p *Policy, ways []*caller, x *Examination) *caller {
	if len(p.AllOf) == 0 {
		return nil
	}
	var together []*caller
	if way := certainWay(x.Findings, ways); way != nil {
		together = append(together, way)
	}
	var first *caller
	for i := range p.AllOf {
		found, who := s.finding(ctx, shown, &p.AllOf[i])
		x.AllOf = append(x.AllOf, found)
		if found.Denial != nil || who == nil {
			continue
		}
		if i == 0 {
			first = who
		}
		together = append(together, who)
	}
	if contradicting(together) != nil {
		x.Mismatch = denial(refuse(ReasonIdentityMismatch))
	}
	return first
}

// certainWay is the caller of AnyOf if the request passes at all: the one that
// holds before whatever is in doubt, or the only one that could.
func certainWay(findings []Finding, ways []*caller) *caller {
	var only *caller
	for i, f := range findings {
		switch {
		case f.Denial != nil:
		case only != nil || ways[i] == nil:
			return nil
		case f.Holds():
			return ways[i]
		default:
			only = ways[i]
		}
	}
	return only
}
