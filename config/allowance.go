package config

import (
	"errors"
	"strings"
)

// Allowance is what a limit is for one caller. The zero value is the limit's own
// algorithm. At most one of Plan and Own is set.
type Allowance struct {
	// Plan is the name of the caller's plan. A limit that does not name it is
	// for the caller what it is for everybody.
	Plan string
	// Apart counts the caller apart from those who have the same key without
	// being apart: a plan of a credential's own does not resize their bucket.
	Apart bool
	// Own goes before every plan: a customer's own numbers.
	Own Numbers
}

// apartMark begins the text of an Allowance that is Apart. No name begins with it.
const apartMark = "+"

// countMark begins the text of a count, which a plan's name may look like.
const countMark = "="

// String is the Allowance in one word, as it travels through an Envoy from the
// call that judges a request to the one that charges it: a plan's name, with +
// before it where it is apart, or own numbers: a bucket as 500,100/s, a count as
// =1000. Empty is the zero value.
func (a Allowance) String() string {
	switch {
	case a.Own.HasBucket():
		return a.Own.String()
	case a.Own.Count > 0:
		return countMark + a.Own.String()
	case a.Apart:
		return apartMark + a.Plan
	}
	return a.Plan
}

// ParseAllowance reads what String writes. The error says the rule that s breaks.
func ParseAllowance(s string) (Allowance, error) {
	if numbers, isCount := strings.CutPrefix(s, countMark); isCount || strings.Contains(s, ",") {
		own, err := ParseNumbers(numbers)
		if err == nil && isCount && own.HasBucket() {
			err = errors.New("must be a number after " + countMark)
		}
		if err != nil {
			return Allowance{}, err
		}
		return Allowance{Own: own}, nil
	}
	name, apart := strings.CutPrefix(s, apartMark)
	if name != "" {
		if rule := nameRule(name); rule != "" {
			return Allowance{}, errors.New(rule)
		}
	}
	return Allowance{Plan: name, Apart: apart}, nil
}
