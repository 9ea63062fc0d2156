package config

import (
	"fmt"
	"regexp/syntax"
	"unicode"
)

// maxSteps is how large an expression may become. Envoy's RE2 refuses some
// hundred thousands, Go's millions; both keep it in memory for each route.
const maxSteps = 100_000

// stepsRule judges how large the program of an expression is.
func stepsRule(tree *syntax.Regexp) error {
	if n := programSteps(tree); n > maxSteps {
		return fmt.Errorf("must be smaller: with its repetitions written out it has %d steps, must have at most %d", n, maxSteps)
	}
	return nil
}

// programSteps are the instructions that RE2 makes of a tree, or somewhat more: it has
// one and a fork for each range of a class, and writes repetitions out.
func programSteps(tree *syntax.Regexp) int64 {
	var n int64
	for _, part := range tree.Sub {
		n += programSteps(part)
	}
	switch tree.Op {
	case syntax.OpLiteral:
		return int64(len(tree.Rune))
	case syntax.OpCharClass:
		for i := 0; i < len(tree.Rune) && tree.Rune[i] <= unicode.MaxLatin1; i += 2 {
			n += 2
		}
		return n
	case syntax.OpRepeat:
		if tree.Min != tree.Max {
			n++ // each may be the last
		}
		return n * int64(max(tree.Min, tree.Max, 1))
	case syntax.OpAlternate, syntax.OpConcat:
		return n + int64(len(tree.Sub))
	default:
		return n + 2
	}
}
