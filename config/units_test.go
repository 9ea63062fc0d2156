package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "10s": 10 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute,
		"1.5s": 1500 * time.Millisecond, "0s": 0, "0.001s": time.Millisecond, "1h1m1s1ms": 3_661_001 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != Duration(want) {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"5": "a duration needs a unit, as 5s", "0": "a duration needs a unit, as 5s", "-5": "a duration needs a unit, as 5s",
		"-5s": "must not be negative", "1us": "must be a duration, as 500ms, 10s, 5m or 1h30m",
		"1d": "must be a duration, as 500ms, 10s, 5m or 1h30m", "": "must be a duration, as 500ms, 10s, 5m or 1h30m",
		"5 s": "must be a duration, as 500ms, 10s, 5m or 1h30m", ".5s": "must be a duration, as 500ms, 10s, 5m or 1h30m",
		"0.5ms": "must be a whole number of milliseconds", "1.0001s": "must be a whole number of milliseconds",
		"3000000h": "must be less than 292 years",
	} {
		if got, err := ParseDuration(text); err == nil || err.Error() != want {
			t.Errorf("%q is %v (%v), want the error %q", text, got, err, want)
		}
	}
}

func TestDurationIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Duration(time.Duration(rapid.Int64Range(0, 1<<43).Draw(t, "ms")) * time.Millisecond)
		if got, err := ParseDuration(want.String()); err != nil || got != want {
			t.Fatalf("%s was read as %s (%v)", want, got, err)
		}
	})
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 24 * time.Hour: "24h", 1500 * time.Millisecond: "1.5s", time.Hour + time.Second: "1h0m1s"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestDurationOr(t *testing.T) {
	if Duration(0).Or(time.Second) != time.Second || Duration(time.Minute).Or(time.Second) != time.Minute {
		t.Error("Or must take the other value for 0, and only for 0")
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"10/s": {10, time.Second}, "600/m": {600, time.Minute}, "5/h": {5, time.Hour}, "1000/d": {1000, 24 * time.Hour}, "0/s": {0, time.Second},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
	for text, want := range map[string]string{
		"10": "a rate needs a time, as 10/s", "10/5s": "must be a number over s, m, h or d, as 10/s or 600/m",
		"-1/s": "must be a number over s, m, h or d, as 10/s or 600/m", "1.5/s": "must be a number over s, m, h or d, as 10/s or 600/m",
		"10/w": "must be a number over s, m, h or d, as 10/s or 600/m", "": "must be a number over s, m, h or d, as 10/s or 600/m",
		"10 / s": "must be a number over s, m, h or d, as 10/s or 600/m", "9223372036854775808/s": "must be at most 9223372036854775807 events",
	} {
		if got, err := ParseRate(text); err == nil || err.Error() != want {
			t.Errorf("%q is %v (%v), want the error %q", text, got, err, want)
		}
	}
}
