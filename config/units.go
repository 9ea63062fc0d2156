package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)

// ParseDuration reads a Duration: 500ms, 10s, 5m, 1h30m. It is not negative,
// and a whole number of milliseconds, because Envoy cuts off the rest and a
// timeout of 0 is none. The error is the rule that s breaks.
func ParseDuration(s string) (Duration, error) {
	if rest, negative := strings.CutPrefix(s, "-"); negative && durationForm.MatchString(rest) {
		return 0, errors.New("must not be negative")
	}
	if isNumber(s) {
		return 0, errors.New("a duration needs a unit, as 5s")
	}
	if !durationForm.MatchString(s) {
		return 0, errors.New("must be a duration, as 500ms, 10s, 5m or 1h30m")
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errors.New("must be less than 292 years")
	case d%time.Millisecond != 0:
		return 0, errors.New("must be a whole number of milliseconds")
	}
	return Duration(d), nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// String is the duration as a config file says it.
func (d Duration) String() string {
	s := time.Duration(d).String()
	for _, unit := range []string{"m", "h"} { // 5m0s is 5m, 1h0m is 1h
		if strings.HasSuffix(s, unit+"0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, unit+"0m") {
			s = strings.TrimSuffix(s, "0m")
		}
	}
	return s
}

var rateForm = regexp.MustCompile(`^([0-9]+)/([smhd])$`)

// rateTimes are the times that a rate is counted over.
var rateTimes = map[string]time.Duration{
	"s": time.Second,
	"m": time.Minute,
	"h": time.Hour,
	"d": 24 * time.Hour,
}

// ParseRate reads a Rate: 10/s, 600/m, 5/h, 1000/d. The error is the rule that
// s breaks.
func ParseRate(s string) (Rate, error) {
	if isNumber(s) {
		return Rate{}, errors.New("a rate needs a time, as 10/s")
	}
	parts := rateForm.FindStringSubmatch(s)
	if parts == nil {
		return Rate{}, errors.New("must be a number over s, m, h or d, as 10/s or 600/m")
	}
	events, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Rate{}, errors.New("must be at most " + strconv.FormatInt(math.MaxInt64, 10) + " events")
	}
	return Rate{Events: events, Per: rateTimes[parts[2]]}, nil
}

// String is the rate as a config file says it.
func (r Rate) String() string {
	for unit, per := range rateTimes {
		if r.Per == per {
			return strconv.FormatInt(r.Events, 10) + "/" + unit
		}
	}
	return strconv.FormatInt(r.Events, 10) + "/" + r.Per.String()
}
