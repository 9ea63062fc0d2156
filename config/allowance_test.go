package config

import (
	"reflect"
	"testing"
	"time"
)

func TestAllowanceInAWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]Allowance{
		"":         {},
		"gold":     {Plan: "gold"},
		"+gold":    {Plan: "gold", Apart: true},
		"+":        {Apart: true},
		"=1000":    {Own: Numbers{Count: 1000}},
		"1000":     {Plan: "1000"},
		"5,600/m":  {Own: Numbers{Bucket: TokenBucket{Capacity: 5, Refill: Rate{600, time.Minute}}}},
		"a.b-c_d1": {Plan: "a.b-c_d1"},
	} {
		got, err := ParseAllowance(word)
		if err != nil || !reflect.DeepEqual(got, want) || got.String() != word {
			t.Errorf("%q: %+v (%s), %v", word, got, got, err)
		}
	}
	for _, word := range []string{"++", "a b", "+5,6/s", "5,6", ",", "gold+", "=", "=0", "=-1", "=01", "=9007199254740993", "=5,6/s", "=gold", "+=5", "gatewright", "\xff"} {
		if a, err := ParseAllowance(word); err == nil {
			t.Errorf("%q is read as %+v", word, a)
		}
	}
}

func TestWhatALimitIsForACaller(t *testing.T) {
	t.Parallel()
	own, gold, special := &TokenBucket{Capacity: 1}, &TokenBucket{Capacity: 2}, &TokenBucket{Capacity: 3}
	l := &Limit{TokenBucket: own, Plans: map[string]*LimitPlan{"gold": {TokenBucket: gold}}}
	for _, c := range []struct {
		a    Allowance
		want *TokenBucket
	}{
		{Allowance{}, own},
		{Allowance{Plan: "gold"}, gold},
		{Allowance{Plan: "gold", Apart: true}, gold},
		{Allowance{Plan: "tin"}, own},
		{Allowance{Apart: true}, own},
		{Allowance{Own: Numbers{Bucket: *special}}, special},
		{Allowance{Own: Numbers{Count: 7}}, own},
	} {
		if got := l.For(c.a).TokenBucket; *got != *c.want {
			t.Errorf("%q: %v, want %v", c.a, got, c.want)
		}
	}
}

func TestWhoseBucketsALimitHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key                []KeyPart
		callers, customers bool
	}{
		{[]KeyPart{KeyUser}, true, true},
		{[]KeyPart{KeyRoute, KeyAPIKey}, true, true},
		{[]KeyPart{KeyTenant, KeyRoute}, false, true},
		{[]KeyPart{"claim:org"}, false, true},
		{[]KeyPart{KeyClientIP, KeyRoute, "header:user"}, false, false},
	} {
		l := &Limit{Key: c.key}
		if l.CountsCallers() != c.callers || l.CountsCustomers() != c.customers {
			t.Errorf("%v: callers %t, customers %t", c.key, l.CountsCallers(), l.CountsCustomers())
		}
	}
}
