package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxFaults bounds what one load reports: enough for any honest mistake, and
// little enough that a hostile file costs no time and no memory.
const maxFaults = 1000

// report gathers the faults of one document.
type report struct {
	file   string
	root   *yaml.Node
	faults Faults
	// refused holds the places that decoding refused, above the places that
	// lead to one of them. See trusted.
	refused, above map[string]bool
}

func newReport(file string, root *yaml.Node) *report {
	return &report{file: file, root: root, refused: map[string]bool{}, above: map[string]bool{}}
}

// refuse reports that the value at a place breaks a rule.
func (r *report) refuse(at *place, rule string) {
	if r.full() {
		return
	}
	node, line := at.find(r.root)
	r.add(Fault{Line: line, Path: at.String(), Value: scalarShown(node), Rule: rule})
}

// refuseUnshown is refuse for a value that nobody may read in a log.
func (r *report) refuseUnshown(at *place, rule string) {
	if r.full() {
		return
	}
	_, line := at.find(r.root)
	r.add(Fault{Line: line, Path: at.String(), Rule: rule})
}

func (r *report) add(f Fault) {
	if r.full() {
		return
	}
	f.File = r.file
	r.faults = append(r.faults, f)
}

// full tells that no more faults are taken: then none need be worded.
func (r *report) full() bool { return len(r.faults) > maxFaults }

// suggestion is suggestion, at no cost where nobody will read it.
func (r *report) suggestion(separator, name string, known []string) string {
	if r.full() {
		return ""
	}
	return suggestion(separator, name, known)
}

// err is all that was reported, by line, or nil.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	r.faults.sort()
	if r.full() {
		last := &r.faults[maxFaults]
		*last = Fault{File: r.file, Line: last.Line, Rule: fmt.Sprintf("more than %d faults: the rest are not shown", maxFaults)}
	}
	return r.faults
}

// distrust marks a place whose value could not be taken from the file, so that
// the rules do not judge what is not what was written.
func (r *report) distrust(at *place) {
	if r.full() {
		return
	}
	r.refused[at.String()] = true
	for up := at.in; up != nil; up = up.in {
		r.above[up.String()] = true
	}
}

// trusted tells whether the value at a place is what the file says: decoding
// refused neither it, nor what it stands in, nor anything in it.
func (r *report) trusted(at *place) bool {
	if len(r.refused) == 0 {
		return true
	}
	if r.above[at.String()] {
		return false
	}
	return r.found(at)
}

// found tells whether the place was reached: decoding refused neither it nor
// what it stands in, though perhaps something in it.
func (r *report) found(at *place) bool {
	for up := at; up != nil; up = up.in {
		if r.refused[up.String()] {
			return false
		}
	}
	return true
}

// scalarShown is the value of a node as it was written, or nothing for what is
// not a single value.
func scalarShown(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	n = target(n)
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n):
		return ""
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return quoted(n.Value)
	default:
		return shown(n.Value)
	}
}
