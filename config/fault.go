package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong with a config file, and where.
type Fault struct {
	// File is the file as it was named to Load or Parse.
	File string
	// Line is counted from 1. What is missing has the line of what lacks it. It is 0
	// where there are no lines: in what was never written as text.
	Line int
	// Path leads from the top of the file to the faulty value, as
	// limits.per-user.tokenBucket.capacity or routes[2].to[0].backend. It is
	// empty where the file as a whole is at fault.
	Path string
	// Value is what stands there, as it was written and cut to a bounded
	// length. It is empty where there is no value to show, or none that may
	// be shown.
	Value string
	// Rule is what the value breaks, in words.
	Rule string
}

// String is the fault in one line:
//
//	gateway.yaml:41: limits.per-user.tokenBucket.capacity: -1, must be > 0
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	if f.Value != "" {
		b.WriteString(f.Value + ", ")
	}
	b.WriteString(f.Rule)
	return b.String()
}

// Error is String: a Fault is an error by itself.
func (f Fault) Error() string { return f.String() }

// Faults are all faults of one file, by line. As an error they are never empty.
type Faults []Fault

// Error is one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// sort orders faults by line, and those of one line so that two loads of one
// file say the same.
func (fs Faults) sort() {
	slices.SortFunc(fs, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Rule, b.Rule),
		)
	})
}

// maxShown is how many characters of anything written in the file a fault repeats.
const maxShown = 64

// shown is a value fit to stand in a fault: short, on one line, and in quotes
// where it would not be clear where it ends.
func shown(value string) string {
	if plain(value) && len(value) <= maxShown {
		return value
	}
	return quoted(value)
}

// quoted is a value in quotes, cut to maxShown characters.
func quoted(value string) string {
	count := 0
	for at := range value {
		if count == maxShown {
			return strconv.Quote(value[:at]) + "…"
		}
		count++
	}
	return strconv.Quote(value)
}

// plain tells whether a value can be read without quotes.
func plain(value string) bool {
	for _, r := range value {
		if r == ' ' || r == '"' || r == ',' || !strconv.IsPrint(r) {
			return false
		}
	}
	return value != ""
}
