package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseTokenBucket reads a token bucket in one word, capacity and refill, as
// 500,100/s: so it stands on command lines and in records of tenants. The bucket
// is held to the rules that one in a config file is held to; the error says the
// one that s breaks.
func ParseTokenBucket(s string) (TokenBucket, error) {
	first, second, found := strings.Cut(s, ",")
	if !found {
		return TokenBucket{}, errors.New("must be a capacity and a refill, as 500,100/s")
	}
	capacity, err := strconv.ParseInt(first, 10, 64)
	if err != nil || strconv.FormatInt(capacity, 10) != first || capacity < 1 || capacity > maxCapacity {
		return TokenBucket{}, fmt.Errorf("capacity: must be a number from 1 to %d", maxCapacity)
	}
	refill, err := ParseRate(second)
	if err != nil {
		return TokenBucket{}, fmt.Errorf("refill: %w", err)
	}
	if refill.Events < 1 || refill.Events > maxCapacity {
		return TokenBucket{}, fmt.Errorf("refill: must be from 1 to %d", maxCapacity)
	}
	b := TokenBucket{Capacity: capacity, Refill: refill}
	if !exact(&b) {
		return TokenBucket{}, errors.New(inexactRule)
	}
	return b, nil
}

// Rule is the rule of a config file that the bucket breaks, or "".
func (b TokenBucket) Rule() string {
	switch {
	case b.Capacity < 1 || b.Capacity > maxCapacity || b.Refill.Events < 1 || b.Refill.Events > maxCapacity:
		return fmt.Sprintf("must be from 1 to %d", maxCapacity)
	case !exact(&b):
		return inexactRule
	}
	return ""
}

// String is the bucket as ParseTokenBucket reads it.
func (b TokenBucket) String() string {
	return strconv.FormatInt(b.Capacity, 10) + "," + b.Refill.String()
}

// MarshalText writes the bucket as String does, so that it is a word in JSON.
func (b TokenBucket) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what ParseTokenBucket reads.
func (b *TokenBucket) UnmarshalText(text []byte) (err error) {
	*b, err = ParseTokenBucket(string(text))
	return err
}

// NameRule says what is wrong with the name of a plan or of a limit; "" where
// nothing is.
func NameRule(name string) string { return nameRule(name) }
