package config

import (
	"errors"
	"strconv"
	"strings"
)

// Numbers are a customer's own for one limit: a bucket where the limit is a
// tokenBucket, and else how much it is to count. At most one is set; the zero value
// is none.
type Numbers struct {
	Bucket TokenBucket
	Count  int64
}

// ParseNumbers reads Numbers in one word: 500,100/s or 1000. So they stand on
// command lines and in records of tenants. They are held to the rules of a config
// file; the error says the one that s breaks.
func ParseNumbers(s string) (Numbers, error) {
	if strings.Contains(s, ",") {
		b, err := ParseTokenBucket(s)
		if err != nil {
			return Numbers{}, err
		}
		return Numbers{Bucket: b}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s || n < 1 || n > maxCount {
		return Numbers{}, errors.New("must be a capacity and a refill, as 500,100/s, for a tokenBucket, and a number from 1 to 2^53 for any other limit")
	}
	return Numbers{Count: n}, nil
}

// HasBucket tells whether they are a bucket.
func (n Numbers) HasBucket() bool { return n.Bucket != TokenBucket{} }

// String is what ParseNumbers reads; empty for none.
func (n Numbers) String() string {
	switch {
	case n.HasBucket():
		return n.Bucket.String()
	case n.Count != 0:
		return strconv.FormatInt(n.Count, 10)
	}
	return ""
}

// MarshalText writes the Numbers as String does, so that they are a word in JSON.
func (n Numbers) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what ParseNumbers reads.
func (n *Numbers) UnmarshalText(text []byte) (err error) {
	*n, err = ParseNumbers(string(text))
	return err
}
