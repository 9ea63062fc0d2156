package config

import "time"

// DefaultBackoff is the first wait before a repeated attempt, at its longest,
// where a config says none. It is what keeps the repeats of a quiet backend to ten a
// second: one may always be under way, and on average waits half as long.
const DefaultBackoff = 200 * time.Millisecond

// longestBackoffs is how many first waits the longest one is by default.
const longestBackoffs = 10

// FirstWait is the wait before the first repeat, at its longest.
func (b *Backoff) FirstWait() time.Duration { return b.Base.Or(DefaultBackoff) }

// LongestWait is any wait at its longest.
func (b *Backoff) LongestWait() time.Duration { return b.Max.Or(longestBackoffs * b.FirstWait()) }
