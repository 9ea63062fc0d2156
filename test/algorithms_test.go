package test

import (
	"strconv"
	"testing"
	"time"
)

const ofEveryKind = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  bucket: {key: ["header:X-Who"], tokenBucket: {capacity: 4, refill: 1/d}}
  sliding: {key: ["header:X-Who"], slidingWindow: {limit: 3, window: 1h}}
  log: {key: ["header:X-Who"], slidingLog: {limit: 3, window: 1h}}
  fixed: {key: ["header:X-Who"], fixedWindow: {limit: 3, window: 8784h}}
  quota: {key: ["header:X-Who"], quota: {limit: 3, per: month, timeZone: Europe/Vienna}}
routes:
  - {name: sliding, match: {path: /sliding}, auth: public, limits: [sliding], to: [{backend: app}]}
  - {name: log, match: {path: /log}, auth: public, limits: [log], to: [{backend: app}]}
  - {name: fixed, match: {path: /fixed}, auth: public, limits: [fixed], to: [{backend: app}]}
  - {name: quota, match: {path: /quota}, auth: public, limits: [quota], to: [{backend: app}]}
  - {name: all, match: {path: /all}, auth: public, limits: [bucket, sliding, log, fixed, quota], to: [{backend: app}]}
`

// TestEveryAlgorithmLimits: through both doors, on both stores, a limit of each
// kind admits what it says, tells how much is left and until when, and when to come
// back; and what one of several kinds denies, the others are not charged for.
func TestEveryAlgorithmLimits(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := backend(t, "app")
			g := start(t, setup{config: ofEveryKind, env: env(t), values: map[string]string{"app": app.Addr()}})
			vienna, err := time.LoadLocation("Europe/Vienna")
			if err != nil {
				t.Fatal(err)
			}
			for _, door := range []string{"public", "filtered"} {
				who := header{"X-Who", "alice-at-" + door}
				now := time.Now()
				inVienna := now.In(vienna)
				const year = 8784 * time.Hour
				for path, wait := range map[string]struct{ least, most time.Duration }{
					"/sliding": {59 * time.Minute, 61*time.Minute + time.Second}, // to a sixtieth
					"/log":     {59 * time.Minute, time.Hour},
					"/fixed":   {0, time.Until(now.Truncate(0).Add(year - now.Sub(time.Unix(0, 0))%year))},
					"/quota":   {0, time.Until(time.Date(inVienna.Year(), inVienna.Month()+1, 1, 0, 0, 0, 0, vienna))},
				} {
					if wait.least == 0 {
						wait.least = wait.most - time.Minute // the two clocks are one
					}
					for left := 2; left >= 0; left-- {
						r := get(t, g.url(door, path), who).ok(t)
						if got := r.Header.Get("RateLimit-Remaining"); got != strconv.Itoa(left) || r.Header.Get("RateLimit-Limit") != "3" {
							t.Errorf("%s %s: %q left of %q, want %d of 3", door, path, got, r.Header.Get("RateLimit-Limit"), left)
						}
					}
					r := get(t, g.url(door, path), who)
					r.denied(t, 429, "rate-limited")
					for _, name := range []string{"Retry-After", "RateLimit-Reset"} {
						seconds, err := strconv.Atoi(r.Header.Get(name))
						if told := time.Duration(seconds) * time.Second; err != nil || told < wait.least || told > wait.most+time.Second {
							t.Errorf("%s %s: %s %q, want from %v to %v", door, path, name, r.Header.Get(name), wait.least, wait.most)
						}
					}
				}
				bob := header{"X-Who", "bob-at-" + door}
				get(t, g.url(door, "/log"), bob).ok(t)
				for range 2 {
					get(t, g.url(door, "/all"), bob).ok(t)
				}
				for range 3 {
					get(t, g.url(door, "/all"), bob).denied(t, 429, "rate-limited") // by the log
				}
				for _, path := range []string{"/sliding", "/fixed", "/quota"} {
					get(t, g.url(door, path), bob).ok(t) // the third of three
					get(t, g.url(door, path), bob).denied(t, 429, "rate-limited")
				}
			}
		})
	}
}
