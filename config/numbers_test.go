package config

import (
	"strings"
	"testing"
	"time"
)

func TestNumbersInAWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]Numbers{
		"1":                {Count: 1},
		"9007199254740992": {Count: 1 << 53},
		"5,600/m":          {Bucket: TokenBucket{Capacity: 5, Refill: Rate{600, time.Minute}}},
	} {
		var got Numbers
		if err := got.UnmarshalText([]byte(word)); err != nil || got != want || got.String() != word {
			t.Errorf("%q: %+v (%s), %v", word, got, got, err)
		}
	}
	for _, word := range []string{"", "0", "-1", "+1", "01", "1.5", "1e3", "9007199254740993", " 1", "1,", ",", "0,1/s", "gold", "=1"} {
		if n, err := ParseNumbers(word); err == nil {
			t.Errorf("%q is read as %+v", word, n)
		}
	}
}

// Own numbers take the place of a limit's where they are of its kind and in its
// bounds; others are as none, and deny nobody.
func TestOwnNumbersFitTheAlgorithm(t *testing.T) {
	t.Parallel()
	bucket := Numbers{Bucket: TokenBucket{Capacity: 9, Refill: Rate{9, time.Second}}}
	minute := Duration(time.Minute)
	for _, c := range []struct {
		limit Limit
		own   Numbers
		fault string // of Takes; none if empty
		is    func(LimitPlan) bool
	}{
		{Limit{TokenBucket: &TokenBucket{Capacity: 1}}, bucket, "", func(p LimitPlan) bool { return p.TokenBucket.Capacity == 9 }},
		{Limit{TokenBucket: &TokenBucket{Capacity: 1}}, Numbers{Count: 5}, "as 500,100/s", func(p LimitPlan) bool { return p.TokenBucket.Capacity == 1 }},
		{Limit{SlidingWindow: &SlidingWindow{1, minute}}, Numbers{Count: 5}, "", func(p LimitPlan) bool { return *p.SlidingWindow == SlidingWindow{5, minute} }},
		{Limit{SlidingWindow: &SlidingWindow{1, minute}}, bucket, "must be a number", func(p LimitPlan) bool { return *p.SlidingWindow == SlidingWindow{1, minute} }},
		{Limit{SlidingLog: &SlidingWindow{1, minute}}, Numbers{Count: 10_000}, "", func(p LimitPlan) bool { return p.SlidingLog.Limit == 10_000 }},
		{Limit{SlidingLog: &SlidingWindow{1, minute}}, Numbers{Count: 10_001}, "from 1 to 10000", func(p LimitPlan) bool { return p.SlidingLog.Limit == 1 }},
		{Limit{FixedWindow: &SlidingWindow{1, minute}}, Numbers{Count: 5}, "", func(p LimitPlan) bool { return *p.FixedWindow == SlidingWindow{5, minute} }},
		{Limit{Quota: &Quota{1, PerDay, "Europe/Vienna"}}, Numbers{Count: 5}, "", func(p LimitPlan) bool { return *p.Quota == Quota{5, PerDay, "Europe/Vienna"} }},
		{Limit{Concurrency: &Concurrency{1, minute}}, Numbers{Count: 5}, "", func(p LimitPlan) bool { return *p.Concurrency == Concurrency{5, minute} }},
		{Limit{Concurrency: &Concurrency{1, minute}}, Numbers{Count: 100_001}, "from 1 to 100000", func(p LimitPlan) bool { return p.Concurrency.Max == 1 }},
		{Limit{Quota: &Quota{1, PerDay, ""}}, Numbers{}, "from 1 to", func(p LimitPlan) bool { return p.Quota.Limit == 1 }},
	} {
		err := c.limit.Own().Takes(c.own)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s for a %s: %v, want %q", c.own, c.limit.Own().Algorithm(), err, c.fault)
		}
		if got := c.limit.For(Allowance{Own: c.own}); !c.is(got) {
			t.Errorf("%s for a %s: %+v", c.own, c.limit.Own().Algorithm(), got)
		}
	}
}

func TestTimeZones(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"": true, "UTC": true, "Europe/Vienna": true, "America/Argentina/Buenos_Aires": true,
		"Local": false, "Nowhere": false, "../etc/passwd": false, "/etc/localtime": false,
	} {
		zone, err := Quota{TimeZone: name}.Location()
		if (err == nil) != ok || ok && zone == nil {
			t.Errorf("%q: %v, %v", name, zone, err)
		}
	}
}
