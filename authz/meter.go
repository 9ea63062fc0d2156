package authz

import (
	"slices"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/rule"
)

// meter is how a limit reads requests: by whose bucket, and how much. It is
// immutable.
type meter struct {
	limit *config.Limit
	parts []meterPart
	cost  rule.Number // of Limit.Cost.Rule
	// ofCaller: which bucket it is, or how much, depends on who the caller is.
	ofCaller bool
}

// meterPart is one part of a limit's key.
type meterPart struct {
	config.KeyPart        // one of the constants, or else one of these:
	header, claim  string // names
	rule           rule.Text
	kind           partKind
}

// partKind is what a part carries.
type partKind int

const (
	plainPart partKind = iota
	headerPart
	claimPart
	rulePart
)

// newMeter compiles a limit's rules. Validation has done so before; one that
// cannot be compiled fails for each request.
func newMeter(l *config.Limit) *meter {
	m := &meter{limit: l, parts: make([]meterPart, len(l.Key)), ofCaller: l.OfCaller()}
	for i, p := range l.Key {
		m.parts[i] = newMeterPart(p)
	}
	if l.Cost != nil && l.Cost.Rule != "" {
		m.cost, _ = rule.CompileNumber(l.Cost.Rule)
	}
	return m
}

func newMeterPart(p config.KeyPart) meterPart {
	part := meterPart{KeyPart: p}
	if name, ok := p.Header(); ok {
		part.header, part.kind = name, headerPart
	} else if name, ok := p.Claim(); ok {
		part.claim, part.kind = name, claimPart
	} else if text, ok := p.Rule(); ok {
		part.kind = rulePart
		part.rule, _ = rule.CompileText(text)
	}
	return part
}

// newMeters are those of limits, in their order.
func newMeters(limits []*config.Limit) []*meter {
	if len(limits) == 0 {
		return nil
	}
	all := make([]*meter, len(limits))
	for i, l := range limits {
		all[i] = newMeter(l)
	}
	return all
}

// limiting are the meters of the policy's limits, in their order.
func (p *Policy) limiting() []*meter {
	if len(p.meters) != len(p.Limits) { // it was not made by NewPolicy
		return newMeters(p.Limits)
	}
	return p.meters
}

// countable fails where a header that limits read is doubtful.
func (r *request) countable(meters []*meter) *refusal {
	for _, m := range meters {
		for _, p := range m.parts {
			if p.kind != headerPart {
				continue
			}
			if _, refused := r.limitHeader(p.header); refused != nil {
				return refused
			}
		}
		if m.limit.Cost == nil || m.limit.Cost.Header == "" {
			continue
		}
		if _, refused := r.limitHeader(m.limit.Cost.Header); refused != nil {
			return refused
		}
	}
	return nil
}

// knownMethods are those that are counted by themselves.
var knownMethods = config.Methods()

// methodKey is what a limit counts by for a method. Clients can make up others as
// they like, which therefore count together.
func methodKey(method string) string {
	if slices.Contains(knownMethods, method) {
		return method
	}
	return ""
}
