package config

import "time"

// DefaultBackoff is the first wait before a repeated attempt, at its longest,
// where a config says none.
const DefaultBackoff = 25 * time.Millisecond

// longestBackoffs is how many first waits the longest one is by default.
const longestBackoffs = 10

// FirstWait is the wait before the first repeat, at its longest.
func (b *Backoff) FirstWait() time.Duration { return b.Base.Or(DefaultBackoff) }

// LongestWait is any wait at its longest.
func (b *Backoff) LongestWait() time.Duration { return b.Max.Or(longestBackoffs * b.FirstWait()) }
