package config

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Expression is a compiled ValueMatch.Regex. It means in Go what it means in
// Envoy, which reads expressions and values byte by byte, as Latin-1, and not
// as UTF-8: a dot takes one byte of a letter that has two. The zero value fits
// nothing.
type Expression struct{ whole *regexp.Regexp }

// CompileExpression compiles a Regex. The error is the rule that it breaks.
func CompileExpression(regex string) (Expression, error) {
	bytewise := latin1(regex)
	// Alone first: between the brackets below, "a)|(b" would be one.
	tree, err := syntax.Parse(bytewise, syntax.Perl)
	if err != nil {
		return Expression{}, notRegular(err)
	}
	for _, err := range []error{classRule(bytewise), bytewiseRule(tree), stepsRule(tree)} {
		if err != nil {
			return Expression{}, err
		}
	}
	whole, err := regexp.Compile(`^(?:` + bytewise + `)$`)
	if err != nil {
		return Expression{}, notRegular(err)
	}
	return Expression{whole}, nil
}

func notRegular(err error) error {
	return errors.New("must be a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

// Fits tells whether the whole value, and not only a part, fits.
func (e Expression) Fits(value string) bool {
	return e.whole != nil && e.whole.MatchString(latin1(value))
}

// bytewiseRule is what Go and Envoy read in different ways. Envoy refuses
// characters that are no byte, and heeds the case of all letters but those of
// ASCII, whatever the expression says.
func bytewiseRule(tree *syntax.Regexp) error {
	foldsCase := tree.Flags&syntax.FoldCase != 0
	switch tree.Op {
	case syntax.OpLiteral:
		for _, r := range tree.Rune {
			if r > unicode.MaxLatin1 {
				return errors.New(`must not name characters above \xff: it is matched byte by byte`)
			}
			if foldsCase && isCased(r) {
				return errCase
			}
		}
	case syntax.OpCharClass:
		if foldsCase && takesSomeCased(tree.Rune) {
			return errCase
		}
	}
	for _, part := range tree.Sub {
		if err := bytewiseRule(part); err != nil {
			return err
		}
	}
	return nil
}

var errCase = errors.New("must not ignore the case of letters outside of ASCII: Envoy does not")

// isCased tells a letter outside of ASCII of which another byte is the other case.
func isCased(r rune) bool {
	if r < utf8.RuneSelf || r > unicode.MaxLatin1 {
		return false
	}
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if other <= unicode.MaxLatin1 {
			return true
		}
	}
	return false
}

// takesSomeCased tells whether a class, as pairs of first and last, has some
// of the letters that isCased tells, and not all, as [^a] and \pL have.
func takesSomeCased(ranges []rune) bool {
	has, lacks := false, false
	for r := rune(utf8.RuneSelf); r <= unicode.MaxLatin1; r++ {
		if !isCased(r) {
			continue
		}
		in := false
		for i := 0; i < len(ranges); i += 2 {
			in = in || ranges[i] <= r && r <= ranges[i+1]
		}
		has, lacks = has || in, lacks || !in
	}
	return has && lacks
}

// latin1 is s with each byte as one character. Text in ASCII is itself.
func latin1(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			out := make([]rune, len(s))
			for j := range len(s) {
				out[j] = rune(s[j])
			}
			return string(out)
		}
	}
	return s
}
