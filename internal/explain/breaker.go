package explain

import (
	"fmt"
	"strconv"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Breaker is what stands before a backend. In which state it is only the running
// gateway knows.
type Breaker struct {
	// Name is what `gatewright breaker` calls it by.
	Name string `json:"name"`
	// Says is its definition in words.
	Says string `json:"says"`
	// WhileOpen is what requests get while it is open.
	WhileOpen string `json:"whileOpen"`
}

// breakerOf is the breaker before a backend of a route; nil where it has none.
func breakerOf(r *config.Route, backend *config.Backend) *Breaker {
	b := backend.Breaker
	if b == nil {
		return nil
	}
	return &Breaker{Name: b.NameFor(r.Name, backend.Name), Says: opens(b), WhileOpen: whileOpen(b)}
}

// opens says when a breaker opens and closes.
func opens(b *config.Breaker) string {
	text := fmt.Sprintf("opens for %s when more than %s %% of at least %d requests in %s have failed",
		config.Duration(b.FirstOpen()), strconv.FormatFloat(100*b.Rate(), 'f', -1, 64), b.Least(), config.Duration(b.Over()))
	if b.Growth() > 1 {
		text += fmt.Sprintf(", for longer while probes fail, up to %s", config.Duration(b.LongestOpen()))
	}
	if n := b.ProbesToClose(); n > 1 {
		text += fmt.Sprintf("; %d probes in a row close it", n)
	}
	if b.Ramp > 0 {
		text += fmt.Sprintf("; in the %s after that it lets a growing share pass", b.Ramp)
	}
	return text
}

// whileOpen is what requests get in place of the backend.
func whileOpen(b *config.Breaker) string {
	switch f := b.Fallback; {
	case b.InShadow():
		return "requests pass: it is in shadow"
	case f != nil && f.Respond != nil:
		return fmt.Sprintf("answer %d, %d bytes; calls of gRPC get UNAVAILABLE", f.Respond.Status, len(f.Respond.Body))
	case f != nil:
		return "requests go to " + f.Backend
	}
	denial := Answer{Status: authz.ReasonCircuitOpen.Status(), Reason: string(authz.ReasonCircuitOpen), Detail: "with Retry-After"}
	return "answer " + denial.String()
}

func (b *Breaker) write(p *page) {
	if b == nil {
		return
	}
	p.line(2, "breaker %s: %s", b.Name, b.Says)
	p.line(2, "while it is open: %s", b.WhileOpen)
}
