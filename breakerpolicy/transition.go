package breakerpolicy

import (
	"context"
	"log/slog"
	"time"
)

// Event is one change of a breaker's state, as webhooks are told of it.
type Event struct {
	// Breaker is its name, Backend what it is in front of, and Route the only route
	// that it is for; empty: all.
	Breaker string `json:"breaker"`
	Backend string `json:"backend"`
	Route   string `json:"route,omitempty"`
	// From and To are the states, and Generation the number of the change: later
	// ones are higher.
	From       State `json:"from"`
	To         State `json:"to"`
	Generation int64 `json:"generation"`
	// Why is too-many-failures, open-time-over, probe-failed, probes-succeeded or
	// operator.
	Why string `json:"why"`
	// Requests and Failed are those in the window, where they opened it.
	Requests int64 `json:"requests,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
	// OpenForSeconds is how long it is open before it is probed, and Openings how
	// often it has opened since it was last closed.
	OpenForSeconds float64 `json:"openForSeconds,omitempty"`
	Openings       int64   `json:"openings,omitempty"`
	// Mode is enforce or shadow, and Shared whether the instances share the breaker
	// by Redis.
	Mode   string    `json:"mode"`
	Shared bool      `json:"shared"`
	At     time.Time `json:"at"`
}

// tell logs what has changed. The instance that has made a transition counts it,
// and tells the webhook.
func (b *Breakers) tell(c *cell, changed taken, made *transition) {
	from, to := changed.from, changed.to
	if made != nil {
		b.made(c, to, made)
		return
	}
	if from.State == to.State && (from.Gen == to.Gen || from.Gen == 0) {
		return
	}
	b.log.Info("a breaker is "+string(to.State)+" now; another instance has found out", "breaker", c.name,
		"from", from.State, "to", to.State, "generation", to.Gen, "shared", to.shared)
}

func (b *Breakers) made(c *cell, v *view, t *transition) {
	l := c.law.Load()
	c.counts.turned(t.To)
	e := Event{
		Breaker: c.name, Backend: l.Backend, Route: l.Route,
		From: t.From, To: t.To, Generation: t.Gen, Why: string(t.Why),
		Requests: t.Counts.Total, Failed: t.Counts.Failed,
		OpenForSeconds: float64(t.Open) / 1000, Openings: t.Trips,
		Mode: l.mode(), Shared: v.shared, At: time.Now().UTC(),
	}
	level := slog.LevelInfo
	if t.To == StateOpen {
		level = slog.LevelWarn
	}
	b.log.Log(context.Background(), level, "a breaker is "+string(t.To)+" now", e.attributes()...)
	if l.Config.Webhook != nil {
		b.hooks.send(l.Config.Webhook, e)
	}
}

// mode is the word for it in a config.
func (l *law) mode() string {
	if l.shadow {
		return "shadow"
	}
	return "enforce"
}

// attributes are what a log says of it.
func (e Event) attributes() []any {
	out := []any{"breaker", e.Breaker, "from", e.From, "to", e.To, "why", e.Why, "generation", e.Generation, "mode", e.Mode, "shared", e.Shared}
	if e.Requests > 0 {
		out = append(out, "requests", e.Requests, "failed", e.Failed)
	}
	if e.To == StateOpen && e.OpenForSeconds > 0 {
		out = append(out, "open_for_seconds", e.OpenForSeconds, "openings", e.Openings)
	}
	return out
}
