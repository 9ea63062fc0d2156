package main

import (
	"time"

	"github.com/gatewright/gatewright/xds"
)

// drainGrace is how long the connections of a listener that has changed may
// still bring requests to its old form: Envoy drains them for 10 minutes unless
// it was told otherwise (--drain-time-s), and these find their routes in the
// old form until then.
const drainGrace = 11 * time.Minute

// forms remembers in which form routes are served, and in which they were. The
// zero value has served none.
type forms struct {
	serving xds.Form
	// left is when a form was served last.
	left map[xds.Form]time.Time
}

// next is the form for the next plan, and those that must go on beside it. A
// gateway that has grown stays as it is when it shrinks: a change of form
// closes connections. It goes back where it must (xds.OnlyTable).
func (f *forms) next(suits xds.Form, onlyTable bool, now time.Time) (form xds.Form, also []xds.Form) {
	switch {
	case f.serving == "":
		f.serving = suits
	case f.serving == xds.Table && suits == xds.Scoped, f.serving == xds.Scoped && onlyTable:
		f.left = map[xds.Form]time.Time{f.serving: now}
		f.serving = suits
	}
	for form, since := range f.left {
		if now.Sub(since) < drainGrace {
			also = append(also, form)
		}
	}
	return f.serving, also
}
