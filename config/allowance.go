package config

import (
	"errors"
	"strings"
)

// Allowance is what a limit is for one caller. The zero value is the limit's own
// algorithm. At most one of Plan and Bucket is set.
type Allowance struct {
	// Plan is the name of the caller's plan. A limit that does not name it is
	// for the caller what it is for everybody.
	Plan string
	// Apart counts the caller apart from those who have the same key without
	// being apart: a plan of a credential's own does not resize their bucket.
	Apart bool
	// Bucket goes before every plan: a customer's own numbers.
	Bucket *TokenBucket
}

// BucketFor is the bucket that the limit is for a caller.
func (l *Limit) BucketFor(a Allowance) *TokenBucket {
	if a.Bucket != nil {
		return a.Bucket
	}
	if p := l.Plans[a.Plan]; p != nil {
		return p.TokenBucket
	}
	return l.TokenBucket
}

// apartMark begins the text of an Allowance that is Apart. No name begins with it.
const apartMark = "+"

// String is the Allowance in one word, as it travels through an Envoy from the
// call that judges a request to the one that charges it: a plan's name, with +
// before it where it is apart, or a bucket as 500,100/s. Empty is the zero value.
func (a Allowance) String() string {
	switch {
	case a.Bucket != nil:
		return a.Bucket.String()
	case a.Apart:
		return apartMark + a.Plan
	}
	return a.Plan
}

// ParseAllowance reads what String writes. The error says the rule that s breaks.
func ParseAllowance(s string) (Allowance, error) {
	if strings.Contains(s, ",") {
		b, err := ParseTokenBucket(s)
		if err != nil {
			return Allowance{}, err
		}
		return Allowance{Bucket: &b}, nil
	}
	name, apart := strings.CutPrefix(s, apartMark)
	if name != "" {
		if rule := nameRule(name); rule != "" {
			return Allowance{}, errors.New(rule)
		}
	}
	return Allowance{Plan: name, Apart: apart}, nil
}
