package rollout

import (
	"fmt"
	"strconv"
	"time"
)

// numbers are those of both sides in the step, in words.
func (s State) numbers() string {
	c, o := &s.Seen.Canary, &s.Seen.Stable
	text := fmt.Sprintf("%s, p99 %s", failed(s.Spec.Backend, c), round(c.Latency.Quantile(p99)))
	if o.Requests == 0 {
		return text
	}
	return text + fmt.Sprintf("; %s, p99 %s", failed("the stable side", o), round(o.Latency.Quantile(p99)))
}

// failed says how many requests of a side failed.
func failed(who string, c *Counts) string {
	return fmt.Sprintf("%s failed %d of %d requests (%s)", who, c.Failed, c.Requests, percent(c.ErrorRate()))
}

// chance says how likely a score is for a canary that stands.
func chance(score float64) string {
	if score >= 1e9 {
		return "the chance of that is below 1 in a billion"
	}
	return fmt.Sprintf("the chance of that is below 1 in %.0f", score)
}

func percent(share float64) string {
	return strconv.FormatFloat(share*100, 'g', 3, 64) + " %"
}

// round leaves of a duration what people read.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
