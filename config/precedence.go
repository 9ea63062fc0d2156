package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Precedence is a rule by which one route goes before another.
type Precedence string

// The rules, in the order in which they are asked: each decides only where
// those above it tell nothing apart.
const (
	ByPriority    Precedence = "priority"    // the higher priority
	ByPathKind    Precedence = "pathKind"    // exact, then with variables, then with /**
	ByPathLength  Precedence = "pathLength"  // more segments
	ByVariables   Precedence = "variables"   // fewer variables, so more literals
	ByLiterals    Precedence = "literals"    // literals that come earlier
	ByHosts       Precedence = "hosts"       // exact hosts, then the longer suffix, then every host
	ByMethods     Precedence = "methods"     // named methods before every method
	ByHeaders     Precedence = "headers"     // more headers
	ByQuery       Precedence = "query"       // more query parameters
	ByExactValues Precedence = "exactValues" // more values that are said in full
	ByName        Precedence = "name"        // neither is more specific: any fixed order
)

// Decision is why one route goes before another. It reads as "its Subject
// Loser, that one's Winner": its path ends in /**, that one's is exact.
type Decision struct {
	By            Precedence
	Subject       string
	Winner, Loser string
}

// Decide is why the one of s and t that Compare puts first goes first. The
// second result is false where Compare is 0.
func Decide(s, t Specificity) (Decision, bool) {
	order, rule := compare(&s, &t)
	if order == 0 {
		return Decision{}, false
	}
	if order > 0 {
		s, t = t, s
	}
	return Decision{By: rule.by, Subject: rule.subject, Winner: rule.says(&s), Loser: rule.says(&t)}, true
}

// precedence is a rule: how it compares, and what it compares in words.
type precedence struct {
	by      Precedence
	compare func(s, t *Specificity) int
	subject string
	says    func(s *Specificity) string
}

// precedences are all rules, in their order. Of two paths that share one, the
// rules of the path put the narrower first; patterns that share none are in an
// order that is only fixed.
var precedences = []precedence{
	{
		ByPriority, func(s, t *Specificity) int { return cmp.Compare(t.priority, s.priority) },
		"priority", func(s *Specificity) string { return "is " + strconv.Itoa(s.priority) },
	}, {
		ByPathKind, func(s, t *Specificity) int { return cmp.Compare(s.pathKind(), t.pathKind()) },
		"path", func(s *Specificity) string { return pathKinds[s.pathKind()] },
	}, {
		ByPathLength, func(s, t *Specificity) int { return cmp.Compare(len(t.path.Segments), len(s.path.Segments)) },
		"path", func(s *Specificity) string { return "has " + counted(len(s.path.Segments), "segment") },
	}, {
		ByVariables, func(s, t *Specificity) int { return cmp.Compare(s.variables, t.variables) },
		"path", func(s *Specificity) string { return "has " + counted(s.variables, "variable") },
	}, {
		ByLiterals, func(s, t *Specificity) int {
			return slices.CompareFunc(s.path.Segments, t.path.Segments, compareSegments)
		},
		"path", func(s *Specificity) string { return "is " + s.path.String() },
	}, {
		ByHosts, compareHosts,
		"host", (*Specificity).widestHost,
	}, {
		ByMethods, func(s, t *Specificity) int { return trueFirst(s.methods, t.methods) },
		"method", func(s *Specificity) string { return anyUnless(s.methods) },
	}, {
		ByHeaders, func(s, t *Specificity) int { return cmp.Compare(t.headers, s.headers) },
		"match", func(s *Specificity) string { return "has " + counted(s.headers, "header") },
	}, {
		ByQuery, func(s, t *Specificity) int { return cmp.Compare(t.query, s.query) },
		"match", func(s *Specificity) string { return "has " + counted(s.query, "query parameter") },
	}, {
		ByExactValues, func(s, t *Specificity) int { return cmp.Compare(t.exact, s.exact) },
		"match", func(s *Specificity) string { return "says " + counted(s.exact, "value") + " in full" },
	}, {
		ByName, func(s, t *Specificity) int { return strings.Compare(s.name, t.name) },
		"name", func(s *Specificity) string { return "is " + s.name },
	},
}

// compare asks the rules one after the other, and tells which one decided. It
// is nil where none did.
func compare(s, t *Specificity) (int, *precedence) {
	for i := range precedences {
		if order := precedences[i].compare(s, t); order != 0 {
			return order, &precedences[i]
		}
	}
	return 0, nil
}

// pathKinds are what a path can be, the narrowest first.
var pathKinds = [...]string{"is exact", "has variables", "ends in /**"}

func (s *Specificity) pathKind() int {
	switch {
	case s.path.Rest:
		return 2
	case s.variables > 0:
		return 1
	}
	return 0
}

// compareSegments orders literals before variables, whatever their names.
func compareSegments(a, b Segment) int {
	return cmp.Or(
		trueFirst(a.Variable == "", b.Variable == ""),
		strings.Compare(a.Literal, b.Literal),
	)
}

// compareHosts orders exact hosts before suffixes, longer suffixes before
// shorter ones, and every host last.
func compareHosts(s, t *Specificity) int {
	return cmp.Or(
		trueFirst(s.named, t.named),
		trueFirst(s.suffix == "", t.suffix == ""),
		cmp.Compare(len(t.suffix), len(s.suffix)),
	)
}

func (s *Specificity) widestHost() string {
	if s.suffix != "" {
		return "may be *" + s.suffix
	}
	return anyUnless(s.named)
}

func anyUnless(named bool) string {
	if named {
		return "is named"
	}
	return "may be any"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
