// Package diff tells what differs between two gateways: field by field what
// their configs say, and request by request what they would do.
//
// The second is not derived from the first. Requests are made up, out of what
// the routes of both ask for, and both route tables are asked about each. So
// what is reported is true, whatever the order of routes, and a change of one
// route that opens another is seen as what it is.
package diff

import (
	"slices"

	"github.com/gatewright/gatewright/config"
)

// Report is what differs.
type Report struct {
	// Requests are classes of requests that are judged in another way, those
	// that are less protected than before first.
	Requests []Request `json:"requests"`
	// Bounded tells that the configs differ in so much that not all requests
	// were tried.
	Bounded bool `json:"bounded,omitempty"`
	// Moved are policies that run elsewhere than before.
	Moved []Moved `json:"moved,omitempty"`
	// Fields are what the configs say in another way.
	Fields []Field `json:"fields"`
}

// Same tells that nothing differs.
func (r Report) Same() bool { return len(r.Requests) == 0 && len(r.Fields) == 0 }

// Compare is the report on two valid configs. It changes neither of them, but
// lets after share what it has in common with before.
func Compare(before, after *config.Config) Report {
	config.Adopt(after, before)
	r := Report{Fields: fields(before, after), Moved: moved(before, after)}
	s := newSearch(newSide(before), newSide(after))
	s.run()
	r.Requests, r.Bounded = s.classes(), s.bounded
	slices.SortStableFunc(r.Requests, worseFirst)
	return r
}
