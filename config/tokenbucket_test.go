package config

import (
	"strings"
	"testing"
	"time"
)

func TestTokenBucketInAWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]TokenBucket{
		"500,100/s":        {Capacity: 500, Refill: Rate{100, time.Second}},
		"1,1/d":            {Capacity: 1, Refill: Rate{1, 24 * time.Hour}},
		"1000000000,600/m": {Capacity: 1_000_000_000, Refill: Rate{600, time.Minute}},
		"7,1000000000/h":   {Capacity: 7, Refill: Rate{1_000_000_000, time.Hour}},
		"104249,1/d":       {Capacity: 104_249, Refill: Rate{1, 24 * time.Hour}}, // 2^53 parts
	} {
		got, err := ParseTokenBucket(word)
		if err != nil || got != want || got.String() != word {
			t.Errorf("%s: %+v (%s), %v", word, got, got, err)
		}
	}
}

func TestWordsThatAreNoTokenBucket(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"":               "must be a capacity and a refill, as 500,100/s",
		"500":            "must be a capacity and a refill, as 500,100/s",
		"500, 100/s":     "refill: must be a number over s, m, h or d",
		"+500,100/s":     "capacity: must be a number from 1 to 1000000000",
		"0500,100/s":     "capacity: must be a number from 1 to 1000000000",
		"0,100/s":        "capacity: must be a number from 1 to 1000000000",
		"1000000001,1/s": "capacity: must be a number from 1 to 1000000000",
		"500,0/s":        "refill: must be from 1 to 1000000000",
		"500,100":        "refill: a rate needs a time",
		"500,100/s,1":    "refill: must be a number over s, m, h or d",
		"104250,1/d":     "that Redis can count exactly",
	} {
		if b, err := ParseTokenBucket(word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", word, b, err, want)
		}
	}
}
