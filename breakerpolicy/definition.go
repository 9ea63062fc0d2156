package breakerpolicy

import (
	"github.com/gatewright/gatewright/config"
)

// Definition is one breaker of a config.
type Definition struct {
	// Backend is what it is in front of, and Route the only route that it is for.
	// An empty Route is all of them.
	Route, Backend string
	// Config says when it opens and closes.
	Config *config.Breaker
}

// law is a definition as breakers work by it.
type law struct {
	Definition
	rules    rules
	failures failures
	ramp     int64 // milliseconds
	shadow   bool
}

func newLaw(d Definition) *law {
	return &law{
		Definition: d,
		rules:      rulesOf(d.Config),
		failures:   failuresOf(&d.Config.Failures),
		ramp:       d.Config.Ramp.Or(0).Milliseconds(),
		shadow:     d.Config.InShadow(),
	}
}
